"""An account pays: in which mode, to whom, under which memo, and who bears the fee."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from coinslot.errors import NoAcceptableChallenge, UnexpectedTerms
from coinslot.methods import tempo
from coinslot.methods.tempo.keys import PrivateKey
from coinslot.methods.tempo.wire import FEE_PAYER_PLACEHOLDER, attribution_memo
from coinslot.methods.tempo.wire.proof import proof_hash
from coinslot.methods.tempo.wire.signatures import recover_signer
from coinslot.payments.method import Settled, Share
from coinslot.protocol import JSONObject
from coinslot.sandbox.tempo import ThreadedDevnet
from faulty_node import FaultyNode
from tempo_buying import RECIPIENT, asking, balance, give, settled, signed, transfers
from tempo_payments import REALM, issue, new_address

NOWHERE = "http://127.0.0.1:9"
BATCH = ["eth_call", "eth_estimateGas", "eth_gasPrice", "eth_maxPriorityFeePerGas"]
MEMO = b"\x11" * 32


@pytest.fixture
async def account(node: FaultyNode, payer: PrivateKey) -> AsyncIterator[tempo.TempoAccount]:
    """An account with a million, on the node that counts."""
    made = tempo.account(payer, rpc_url=node.url, network="testnet")
    yield made
    await made.aclose()


def offline(**settings: Any) -> tempo.TempoAccount:
    """An account that can only be asked what needs no node."""
    return tempo.account(PrivateKey(b"\x11" * 32), network="testnet", rpc_url=NOWHERE, **settings)


class TestMode:
    """Who broadcasts."""

    @pytest.mark.parametrize(
        ("details", "mode", "kind"),
        [
            ({}, None, "transaction"),
            ({}, "pull", "transaction"),
            ({}, "push", "hash"),
            ({"supportedModes": ["push", "pull"]}, None, "transaction"),
            ({"supportedModes": ["push"]}, None, "hash"),
            ({"supportedModes": ["pull"]}, "pull", "transaction"),
            ({"feePayer": True}, None, "transaction"),
        ],
        ids=str,
    )
    async def test_the_server_unless_it_will_not(
        self, node: FaultyNode, payer: PrivateKey, details: JSONObject, mode: Any, kind: str
    ) -> None:
        """Pull wherever there is a choice; push where it is chosen, or all that is taken."""
        account = tempo.account(payer, rpc_url=node.url, mode=mode)
        payload = await account.pay(asking(to=new_address(), details=details))
        assert payload.payload["type"] == kind
        assert bool(node.sent) == (kind == "hash")
        await account.aclose()

    @pytest.mark.parametrize(
        ("details", "mode", "reason"),
        [
            ({"supportedModes": ["pull"]}, "push", "pays by push only, and it takes pull"),
            ({"supportedModes": ["push"]}, "pull", "pays by pull only, and it takes push"),
            ({"feePayer": True}, "push", "pays by push only, and it takes pull"),
            (
                {"feePayer": True, "supportedModes": ["push"]},
                None,
                "fee of a payment that it does not",
            ),
        ],
        ids=str,
    )
    async def test_what_is_not_taken_is_refused(self, details: JSONObject, mode: Any, reason: str) -> None:
        """A mode that the server does not take is not tried, and push never where it pays the fee."""
        with pytest.raises(UnexpectedTerms, match=reason):
            await offline(mode=mode).quote(asking(details=details))


class TestTransfers:
    """Who gets what, and under which memo."""

    async def test_splits_follow_in_their_order(self, account: tempo.TempoAccount) -> None:
        """The primary recipient gets what the splits leave; each has its own memo, or none."""
        first, second = new_address(), new_address()
        splits = [
            {"recipient": first.lower(), "amount": "2500", "memo": "0x" + MEMO.hex()},
            {"recipient": second, "amount": "500"},
        ]
        challenge = asking(details={"splits": splits})
        made = transfers(signed(await account.pay(challenge)))
        memo = attribution_memo(challenge.id, REALM)
        assert [(each.recipient, each.amount, each.memo) for each in made if each is not None] == [
            (RECIPIENT, 7_000, memo),
            (first, 2_500, MEMO),
            (second, 500, None),
        ]

    @pytest.mark.parametrize("count", [1, 10])
    async def test_splits_are_paid(
        self, account: tempo.TempoAccount, devnet: ThreadedDevnet, node: FaultyNode, count: int
    ) -> None:
        """One and as many as there can be, to accounts that never had anything, settle with our server."""
        partners = [new_address() for _ in range(count)]
        charge = tempo.charge(
            new_address(),
            rpc_url=node.url,
            splits=[tempo.Split(partner, amount="0.0005") for partner in partners],
        )
        challenge = issue(charge, "0.01")
        assert isinstance(await settled(charge, challenge, await account.pay(challenge)), Settled)
        for partner in partners:
            assert await balance(devnet, partner) == 500
        await charge.aclose()

    async def test_the_challenges_own_memo_goes_first(self, account: tempo.TempoAccount) -> None:
        """A memo that the challenge names is what the primary transfer has, and not the attribution memo."""
        details = {"memo": "0x" + MEMO.hex().upper()}
        (made,) = transfers(signed(await account.pay(asking(details=details))))
        assert made is not None
        assert made.memo == MEMO

    async def test_every_recipient_has_to_be_expected(self) -> None:
        """A list of recipients is for those of the splits as well."""
        partner = new_address()
        challenge = asking(details={"splits": [{"recipient": partner, "amount": "1"}]})
        assert await offline(recipients=[RECIPIENT, partner]).quote(challenge) is not None
        with pytest.raises(UnexpectedTerms, match=f"{partner} is not among the recipients"):
            await offline(recipients=[RECIPIENT]).quote(challenge)
        with pytest.raises(UnexpectedTerms, match=f"{RECIPIENT} is not among the recipients"):
            await offline(recipients=[partner]).quote(challenge)

    async def test_the_quote_names_who_gets_a_share(self) -> None:
        """What people are asked to agree to includes the splits, in the currency's unit."""
        partner = new_address()
        quote = await offline().quote(asking(details={"splits": [{"recipient": partner, "amount": "2500"}]}))
        assert quote is not None
        assert (quote.amount, quote.recipient) == (Decimal("0.01"), RECIPIENT)
        assert quote.shares == (Share(recipient=partner, amount=Decimal("0.0025")),)

    async def test_what_is_for_people_changes_nothing(self, account: tempo.TempoAccount) -> None:
        """A description and the seller's own reference are not the account's business."""
        challenge = asking(description="a cookie", externalId="order-7")
        (made,) = transfers(signed(await account.pay(challenge)))
        assert made is not None
        assert (made.recipient, made.amount) == (RECIPIENT, 10_000)


class TestSponsored:
    """The seller pays the fee."""

    async def test_the_fee_is_left_open(self, account: tempo.TempoAccount) -> None:
        """No fee token, a placeholder for the fee payer, and the account's signature over that."""
        challenge = asking(details={"feePayer": True, "supportedModes": ["pull"]})
        quote = await account.quote(challenge)
        assert quote is not None
        assert quote.fee == 0
        payload = await account.pay(challenge)
        transaction = signed(payload)
        assert (transaction.fee_token, transaction.fee_payer_signature) == (None, FEE_PAYER_PLACEHOLDER)
        assert transaction.sender() == account.address
        assert payload.reference is None

    async def test_it_is_handed_over_in_the_form_that_every_server_reads(
        self, account: tempo.TempoAccount
    ) -> None:
        """Type 0x78: of the specification's own, 0x76 with a placeholder, some servers make nothing."""
        payload = await account.pay(asking(details={"feePayer": True}))
        assert str(payload.payload["signature"]).startswith("0x78")

    @pytest.mark.parametrize("splits", [False, True])
    async def test_the_price_is_all_it_takes(
        self, devnet: ThreadedDevnet, node: FaultyNode, splits: bool
    ) -> None:
        """An account that has the price and nothing else pays, and has nothing left."""
        sponsor, poor = PrivateKey.generate(), PrivateKey.generate()
        devnet.fund(sponsor.address)
        await give(devnet, poor.address, path_usd=10_000)
        account = tempo.account(poor, rpc_url=node.url, max_fee="0")
        charge = tempo.charge(
            new_address(),
            rpc_url=node.url,
            fee_payer=sponsor,
            splits=[tempo.Split(new_address(), share="0.3")] if splits else (),
        )
        challenge = issue(charge)
        assert isinstance(await settled(charge, challenge, await account.pay(challenge)), Settled)
        assert await balance(devnet, poor.address) == 0
        await account.aclose()
        await charge.aclose()


class TestProof:
    """Nothing is to be paid: the account proves who it is."""

    @pytest.mark.parametrize(
        "key", [PrivateKey(b"\x11" * 32), tempo.P256Key(b"\x11" * 32)], ids=["secp256k1", "p256"]
    )
    async def test_it_is_signed_without_asking_anyone(self, key: tempo.SigningKey) -> None:
        """Version 3, over chain, account, challenge and realm, with the source that it proves; and no I/O."""
        account = tempo.account(key, rpc_url=NOWHERE)
        challenge = asking("0", details={"supportedModes": ["push"]})
        quote = await account.quote(challenge)
        assert quote is not None
        assert (quote.amount, quote.base_units, quote.fee) == (Decimal(0), 0, Decimal(0))
        payload = await account.pay(challenge)
        assert payload.source == f"did:pkh:eip155:42431:{account.address}"
        assert payload.reference is None
        digest = proof_hash(
            3, chain_id=42431, challenge_id=challenge.id, realm=REALM, account=account.address
        )
        assert payload.payload["type"] == "proof"
        signature = bytes.fromhex(str(payload.payload["signature"])[2:])
        assert recover_signer(digest, signature).account == account.address

    async def test_a_server_knows_the_account_by_it(self, node: FaultyNode, payer: PrivateKey) -> None:
        """It settles with our server, whose payment has the account's address."""
        account = tempo.account(payer, rpc_url=node.url)
        charge = tempo.charge(new_address(), rpc_url=node.url)
        challenge = issue(charge, "0")
        outcome = await settled(charge, challenge, await account.pay(challenge))
        assert outcome == Settled(reference=challenge.id, payer=payer.address)
        assert not node.methods
        await charge.aclose()

    @pytest.mark.parametrize("chain_id", [4217, 1])
    async def test_another_networks_proofs_are_not_given(self, chain_id: int) -> None:
        """Who keeps to one network is known there only."""
        challenge = asking("0", details={"chainId": chain_id})
        assert await offline().quote(challenge) is None
        with pytest.raises(NoAcceptableChallenge):
            await offline().pay(challenge)

    async def test_it_moves_nothing_whatever_the_terms(self) -> None:
        """Currency, recipients and mode are for payments: nothing of that is looked at in a proof."""
        account = offline(currencies=[], recipients=[], mode="push")
        payload = await account.pay(asking("0", details={"feePayer": True}))
        assert payload.payload["type"] == "proof"
        assert await account.is_dead(payload)


class TestEconomy:
    """What preparing costs in requests."""

    @pytest.mark.parametrize(
        "details",
        [
            {},
            {"feePayer": True},
            {"memo": "0x" + MEMO.hex()},
            {"splits": [{"recipient": RECIPIENT, "amount": "1"}] * 10},
            {"splits": [{"recipient": RECIPIENT, "amount": "1"}] * 10, "feePayer": True},
        ],
        ids=["plain", "sponsored", "memo", "splits", "sponsored splits"],
    )
    async def test_one_exchange_prepares_anything(
        self, account: tempo.TempoAccount, node: FaultyNode, details: JSONObject
    ) -> None:
        """Whatever the payment is made up of, one batch tells all about it; the chain is asked for once."""
        for _ in range(2):
            await account.pay(asking(details=details))
        assert node.methods == ["eth_chainId", *BATCH, *BATCH]
        assert node.exchanges == 3

    async def test_pushing_takes_one_more(self, node: FaultyNode, payer: PrivateKey) -> None:
        """The broadcast brings its receipt, where the node knows how to wait for it."""
        account = tempo.account(payer, network="testnet", rpc_url=node.url, mode="push")
        await account.pay(asking())
        assert node.methods == ["eth_chainId", *BATCH, "eth_sendRawTransactionSync"]
        assert node.exchanges == 3
        await account.aclose()


@pytest.mark.parametrize("mode", ["pull", "push"])
@pytest.mark.parametrize("chain", ["devnet", "devnet_t4"])
async def test_a_p256_account_pays(chain: str, mode: Any, request: pytest.FixtureRequest) -> None:
    """An account on the curve of passkeys pays like any other, on old and new chains."""
    devnet: ThreadedDevnet = request.getfixturevalue(chain)
    key = tempo.P256Key.generate()
    devnet.fund(key.address)
    account = tempo.account(key, rpc_url=devnet.rpc_url, mode=mode)
    charge = tempo.charge(new_address(), rpc_url=devnet.rpc_url)
    for _ in range(2):
        challenge = issue(charge)
        outcome = await settled(charge, challenge, await account.pay(challenge))
        assert isinstance(outcome, Settled)
        assert outcome.payer == key.address
    await account.aclose()
    await charge.aclose()


async def test_the_node_is_told_what_kind_of_key_will_sign(node: FaultyNode, devnet: ThreadedDevnet) -> None:
    """A P-256 signature takes more gas to verify, and the limit allows for it."""
    limits = []
    for key in (PrivateKey.generate(), tempo.P256Key.generate()):
        devnet.fund(key.address)
        account = tempo.account(key, rpc_url=node.url)
        limits.append(signed(await account.pay(asking())).gas_limit)
        await account.aclose()
    assert limits[1] > limits[0]
