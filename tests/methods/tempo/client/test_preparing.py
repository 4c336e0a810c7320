"""Paying from another token, and with an access key: what is tried, what is signed, and what is missing."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, strategies as st

from coinslot.errors import InsufficientFunds, OverLimit, WalletError
from coinslot.methods import tempo
from coinslot.methods.tempo.client.drafting import fee_of
from coinslot.methods.tempo.client.preparing import Swapping
from coinslot.methods.tempo.keys import PrivateKey, checksum_address
from coinslot.methods.tempo.wire import Swap, decode_swap
from coinslot.payments.method import Settled
from coinslot.protocol import JSONObject
from coinslot.sandbox.tempo import ThreadedDevnet
from faulty_node import FaultyNode, answers
from tempo_buying import (
    ALPHA_USD,
    BETA_USD,
    PATH_USD,
    THETA_USD,
    asking,
    balance,
    give,
    settled,
    signed,
    transfers,
)
from tempo_payments import issue, new_address

STRANGE = "0x20C0000000000000000000006a37DA5C996874BE"


@given(st.integers(1, 2**128), st.decimals("0", "0.99", places=6))
def test_slippage_is_rounded_up_to_a_base_unit(amount: int, slippage: Decimal) -> None:
    """The surcharge is the least whole number that is not below price times slippage."""
    surcharge = Swapping(tokens=None, slippage=slippage).surcharge(amount)
    assert surcharge - 1 < amount * Fraction(slippage) <= surcharge


class TestSwap:
    """A payment from another token than is asked."""

    @pytest.mark.parametrize(
        "details",
        [
            {},
            {"splits": [{"recipient": new_address(), "amount": "1000"}]},
            {"feePayer": True},
            {"supportedModes": ["push"]},
        ],
        ids=["plain", "splits", "sponsored", "pushed"],
    )
    async def test_the_token_is_bought_in_the_same_transaction(
        self, devnet: ThreadedDevnet, node: FaultyNode, details: JSONObject
    ) -> None:
        """An approval and a swap for the price come first, and it settles with our server in any mode."""
        key, sponsor = PrivateKey.generate(), PrivateKey.generate()
        await give(devnet, key.address, alpha_usd=50_000)
        devnet.fund(sponsor.address)
        account = tempo.account(key, rpc_url=node.url, auto_swap=True)
        splits: Any = details.get("splits", [])
        charge = tempo.charge(
            new_address(),
            rpc_url=node.url,
            fee_payer=sponsor if details.get("feePayer") else None,
            modes=["push"] if "supportedModes" in details else None,
            splits=[tempo.Split(split["recipient"], amount="0.001") for split in splits],
        )
        challenge = issue(charge)
        payload = await account.pay(challenge)
        assert isinstance(await settled(charge, challenge, payload), Settled)
        spent = 50_000 - await balance(devnet, key.address, ALPHA_USD)
        assert 10_000 <= spent < 20_000
        assert await balance(devnet, key.address) == 0
        await account.aclose()
        await charge.aclose()

    async def test_it_costs_the_slippage_at_most(self, devnet: ThreadedDevnet, node: FaultyNode) -> None:
        """The DEX takes price and slippage at most, the fee is in the same token, and the quote has both."""
        key = PrivateKey.generate()
        await give(devnet, key.address, theta_usd=50_000)
        account = tempo.account(key, rpc_url=node.url, auto_swap=True, slippage="0.005", max_fee="0.01")
        challenge = asking("0.010001")
        quote = await account.quote(challenge)
        assert quote is not None
        assert quote.fee == Decimal("0.010051")
        transaction = signed(await account.pay(challenge))
        assert decode_swap(transaction.calls) == Swap(
            token_in=THETA_USD, token_out=PATH_USD, amount_out=10_001, max_amount_in=10_052
        )
        assert transfers(transaction)[2] is not None
        assert checksum_address(transaction.fee_token or b"") == THETA_USD
        await account.aclose()

    @pytest.mark.parametrize(
        ("holds", "asked", "auto_swap", "paid_from"),
        [
            (["path_usd", "beta_usd"], ALPHA_USD, True, PATH_USD),
            (["theta_usd", "beta_usd"], ALPHA_USD, True, BETA_USD),
            (["path_usd", "beta_usd"], ALPHA_USD, [BETA_USD, PATH_USD], BETA_USD),
            (["path_usd", "theta_usd"], ALPHA_USD, [STRANGE, ALPHA_USD, THETA_USD.lower()], THETA_USD),
        ],
        ids=["pathUSD first", "then in order", "as listed", "only as listed"],
    )
    async def test_tokens_are_tried_in_order(
        self,
        holds: list[str],
        asked: str,
        auto_swap: Any,
        paid_from: str,
        devnet: ThreadedDevnet,
        node: FaultyNode,
    ) -> None:
        """pathUSD, then the network's own, in their order; or those of the list, in its order."""
        key = PrivateKey.generate()
        await give(devnet, key.address, **dict.fromkeys(holds, 50_000))
        account = tempo.account(key, rpc_url=node.url, auto_swap=auto_swap)
        swap = decode_swap(signed(await account.pay(asking(currency=asked))).calls)
        assert swap is not None
        assert (swap.token_in, swap.token_out) == (paid_from, asked)
        await account.aclose()

    async def test_the_asked_token_goes_first(self, payer: PrivateKey, node: FaultyNode) -> None:
        """Where it suffices, nothing is swapped and nothing more is asked."""
        account = tempo.account(payer, network="testnet", rpc_url=node.url, auto_swap=True)
        transaction = signed(await account.pay(asking()))
        assert decode_swap(transaction.calls) is None
        assert node.exchanges == 2
        await account.aclose()

    async def test_three_requests_are_enough(self, devnet: ThreadedDevnet, node: FaultyNode) -> None:
        """The chain's id aside: what is asked is short, what else there is, and what the swap takes."""
        key = PrivateKey.generate()
        await give(devnet, key.address, theta_usd=50_000)
        account = tempo.account(key, network="testnet", rpc_url=node.url, auto_swap=True)
        await account.pay(asking())
        assert node.exchanges == 4
        await account.aclose()

    async def test_what_is_missing_is_told_of_every_token(
        self, devnet: ThreadedDevnet, node: FaultyNode
    ) -> None:
        """The asked token, how much there is of each other one, and the fee where only that is too much."""
        key = PrivateKey.generate()
        await give(devnet, key.address, alpha_usd=10_099, beta_usd=10_100, theta_usd=20)
        account = tempo.account(key, rpc_url=node.url, auto_swap=True)
        with pytest.raises(InsufficientFunds) as error:
            await account.pay(asking())
        assert str(error.value).startswith(
            f"{key.address} has 0 pathUSD on chain 42431; this payment needs 0.01. Swapping for it takes up"
            " to 0.0101, and it has 0.010099 AlphaUSD; it has 0.0101 BetaUSD with a fee of up to 0.0"
        )
        assert str(error.value).endswith("; it has 0.00002 ThetaUSD")
        assert not node.sent
        await account.aclose()

    async def test_a_dear_swap_is_no_way(self, devnet: ThreadedDevnet, node: FaultyNode) -> None:
        """A price on the DEX beyond the slippage is not paid, and is named."""
        key = PrivateKey.generate()
        await give(devnet, key.address, alpha_usd=50_000)
        account = tempo.account(key, rpc_url=node.url, auto_swap=[ALPHA_USD], slippage="0")
        with pytest.raises(InsufficientFunds, match=r"to 0\.01, and of AlphaUSD it takes 0\.01000\d$"):
            await account.pay(asking())
        await account.aclose()

    async def test_where_there_is_no_market_there_is_no_swap(
        self, payer: PrivateKey, node: FaultyNode
    ) -> None:
        """The DEX refuses to name a price: that is said of the token, and no other reason is made up."""
        node.behaviours["eth_call"] = no_market
        account = tempo.account(payer, rpc_url=node.url, auto_swap=[ALPHA_USD])
        with pytest.raises(InsufficientFunds, match=r"the DEX does not give it for AlphaUSD$"):
            await account.pay(asking("2000000"))
        await account.aclose()

    @pytest.mark.parametrize(
        ("auto_swap", "price"), [([], "2000000"), ([PATH_USD], "2000000"), (True, "4" + "0" * 33)]
    )
    async def test_with_nothing_to_swap_there_is_no_swap(
        self, auto_swap: Any, price: str, payer: PrivateKey, node: FaultyNode
    ) -> None:
        """An empty list, the asked token alone, or more than the DEX has numbers for."""
        account = tempo.account(payer, rpc_url=node.url, auto_swap=auto_swap)
        with pytest.raises(InsufficientFunds, match="There is nothing that could be swapped for it"):
            await account.pay(asking(price))
        await account.aclose()

    async def test_trouble_on_the_way_is_trouble(self, devnet: ThreadedDevnet, node: FaultyNode) -> None:
        """A node that answers nonsense about a swap is no reason to think that there is none."""
        key = PrivateKey.generate()
        account = tempo.account(key, rpc_url=node.url, auto_swap=True)
        node.behaviours["eth_call"] = first_word_only
        with pytest.raises(WalletError, match=r"cannot be prepared: .* Nothing was paid"):
            await account.pay(asking())
        await account.aclose()


async def no_market(request: Any, forward: Any) -> Any:
    """The DEX has no pairs."""
    if request["params"][0]["to"].lower() == "0xdec0000000000000000000000000000000000000":
        error = {"code": 3, "message": "execution reverted", "data": "0x"}
        return {"jsonrpc": "2.0", "id": request["id"], "error": error}
    if request["params"][0]["to"] == ALPHA_USD:
        return {"jsonrpc": "2.0", "id": request["id"], "result": "0x" + (10**15).to_bytes(32).hex()}
    return await forward()


async def first_word_only(request: Any, forward: Any) -> Any:
    """What the DEX says is cut short."""
    answer = await forward()
    if request["params"][0]["to"].lower() == "0xdec0000000000000000000000000000000000000":
        answer["result"] = answer["result"][:20]
    return answer


class Delegated:
    """An account on a chain with access keys, and accounts to pay from with such keys of it."""

    def __init__(self, devnet: ThreadedDevnet, node: FaultyNode) -> None:
        self.root = PrivateKey.generate()
        self.node = node
        self.charges: list[tempo.TempoCharge] = []
        self.accounts: list[tempo.TempoAccount] = []
        devnet.fund(self.root.address)
        self.owner = self.account(self.root)

    def key(self, *limits: tempo.TokenLimit, **settings: Any) -> tempo.AccessKey:
        """An access key with these limits, good for an hour; with none it may spend everything."""
        settings.setdefault("expires", time.time() + 3600)
        return tempo.authorize(self.root, limits=limits or None, **settings)

    def account(self, key: tempo.SigningKey, **settings: Any) -> tempo.TempoAccount:
        """What pays with a key. Authorizing one costs more than a payment."""
        settings = {"max_fee": "0.5", "network": "testnet", "rpc_url": self.node.url, **settings}
        account = tempo.account(key, **settings)
        self.accounts.append(account)
        return account

    def charge(self, **settings: Any) -> tempo.TempoCharge:
        """A server whose recipient nobody has paid before."""
        charge = tempo.charge(new_address(), rpc_url=self.node.url, **settings)
        self.charges.append(charge)
        return charge

    async def aclose(self) -> None:
        for account in self.accounts:
            await account.aclose()
        for charge in self.charges:
            await charge.aclose()


@pytest.fixture
async def node_t4(devnet_t4: ThreadedDevnet) -> AsyncIterator[FaultyNode]:
    """The way to the chain that has access keys. Gas has one price there."""
    node = FaultyNode(devnet_t4.rpc_url)
    node.behaviours["eth_gasPrice"] = answers(hex(30 * 10**9))
    node.behaviours["eth_maxPriorityFeePerGas"] = answers(hex(10**9))
    await node.start()
    yield node
    await node.aclose()


@pytest.fixture
async def delegated(devnet_t4: ThreadedDevnet, node_t4: FaultyNode) -> AsyncIterator[Delegated]:
    """An account with a million of everything."""
    made = Delegated(devnet_t4, node_t4)
    yield made
    await made.aclose()


def surveys(node: FaultyNode) -> int:
    """How often somebody asked what a transaction would take."""
    return node.methods.count("eth_estimateGas")


class TestAccessKey:
    """A key that signs for another account, within limits."""

    @pytest.mark.parametrize("curve", [PrivateKey, tempo.P256Key], ids=["secp256k1", "p256"])
    @pytest.mark.parametrize("mode", ["pull", "push"])
    async def test_the_first_payment_brings_the_authorization(
        self, delegated: Delegated, mode: Any, curve: Any
    ) -> None:
        """The chain learns of the key as it is used first, and needs no telling after that."""
        key = delegated.key(tempo.limit("1", PATH_USD, per="day"), key=curve.generate())
        account = delegated.account(key, mode=mode)
        assert account.address == delegated.root.address
        for _ in range(3):
            charge = delegated.charge()
            challenge = issue(charge)
            outcome = await settled(charge, challenge, await account.pay(challenge))
            assert isinstance(outcome, Settled)
            assert outcome.payer == delegated.root.address

    async def test_the_authorization_is_sent_once(self, delegated: Delegated) -> None:
        """One survey for each payment, and one more where the key turns out to be known already."""
        key = delegated.key(tempo.limit("1", PATH_USD))
        account = delegated.account(key, mode="push")
        await account.pay(asking(to=new_address()))
        assert surveys(delegated.node) == 1
        await account.pay(asking(to=new_address()))
        assert surveys(delegated.node) == 3
        payload = await delegated.account(key).pay(asking(to=new_address()))
        assert surveys(delegated.node) == 5
        assert signed(payload).key_authorization is None
        await account.pay(asking(to=new_address()))
        assert surveys(delegated.node) == 6

    async def test_a_key_that_was_never_authorized(self, delegated: Delegated) -> None:
        """Without an authorization, on the chain or at hand, nothing is signed."""
        stray = tempo.AccessKey(PrivateKey.generate(), delegated.root.address)
        with pytest.raises(WalletError, match=f"has not authorized the access key {stray.key_address}"):
            await delegated.account(stray).pay(asking())

    @pytest.mark.parametrize("missing", [0, 1])
    async def test_the_limit_has_to_cover_price_and_fee(self, delegated: Delegated, missing: int) -> None:
        """Up to the last base unit: what the fee may come to counts, as it does on the chain."""
        key = delegated.key(tempo.limit("0.5", PATH_USD), key=tempo.P256Key.generate())
        account = delegated.account(key, mode="push")
        await account.pay(asking(to=new_address()))
        # What a transaction takes differs with the digits of the amount.
        delegated.node.behaviours["eth_estimateGas"] = answers(hex(500_000))
        account = delegated.account(key)
        info = f"the access key {key.key_address} of {delegated.root.address} may spend"
        with pytest.raises(InsufficientFunds, match=rf"{info} 0\.4\d+ pathUSD .*; this payment needs 0\.5$"):
            await account.pay(asking("0.5"))
        recipient = new_address()
        fee = fee_of(signed(await account.pay(asking("0.01", to=recipient))))
        with pytest.raises(InsufficientFunds) as error:
            await account.pay(asking("0.49", to=recipient))
        left = Decimal(str(error.value).partition("may spend ")[2].partition(" ")[0])
        most = left - Decimal(fee).scaleb(-6)
        asked = asking(str(most + Decimal(missing).scaleb(-6)), to=recipient)
        if missing:
            with pytest.raises(InsufficientFunds, match="and a fee of up to"):
                await account.pay(asked)
        else:
            pusher = delegated.account(key, mode="push")
            await pusher.pay(asked)

    async def test_somebody_elses_fee_is_not_on_the_limit(
        self, delegated: Delegated, devnet_t4: ThreadedDevnet
    ) -> None:
        """A sponsored payment may take all of it."""
        agent = PrivateKey.generate()
        await delegated.owner.authorize_key(
            agent.address, expires=None, limits=[tempo.limit("0.01", PATH_USD)]
        )
        sponsor = PrivateKey.generate()
        devnet_t4.fund(sponsor.address)
        charge = delegated.charge(fee_payer=sponsor)
        challenge = issue(charge)
        account = delegated.account(tempo.AccessKey(agent, delegated.root.address))
        assert isinstance(await settled(charge, challenge, await account.pay(challenge)), Settled)
        with pytest.raises(InsufficientFunds, match="may spend 0 pathUSD"):
            await account.pay(issue(charge))

    async def test_nobody_else_pays_for_making_it_known(self, delegated: Delegated) -> None:
        """A key that the chain does not know yet cannot be used where the seller pays the fee."""
        account = delegated.account(delegated.key())
        with pytest.raises(WalletError, match=r"on the chain yet, and who .* authorize it first"):
            await account.pay(asking(details={"feePayer": True}))

    async def test_a_key_without_limits_spends_what_there_is(self, delegated: Delegated) -> None:
        """Before and after it is known, only the balance counts."""
        account = delegated.account(delegated.key(), mode="push")
        for _ in range(2):
            await account.pay(asking("10", to=new_address()))
        with pytest.raises(InsufficientFunds, match=f"^{delegated.root.address} has 99"):
            await account.pay(asking("2000000"))

    async def test_a_revoked_key_signs_nothing(self, delegated: Delegated) -> None:
        """The chain is asked before each payment, whatever the key brings along."""
        key = delegated.key(tempo.limit("1", PATH_USD))
        account = delegated.account(key, mode="push")
        await account.pay(asking(to=new_address()))
        await delegated.owner.revoke_key(key.key_address)
        for each in (account, delegated.account(key)):
            with pytest.raises(WalletError, match=f"{key.key_address} of .* was revoked"):
                await each.pay(asking())

    async def test_an_expired_key_signs_nothing(self, delegated: Delegated) -> None:
        """Neither one that the chain knows nor one that it has yet to learn of."""
        key = delegated.key(expires=time.time() + 60)
        later = time.time() + 120
        with pytest.raises(WalletError, match="has expired"):
            await delegated.account(key, clock=lambda: later).pay(asking())
        await delegated.account(key, mode="push").pay(asking(to=new_address()))
        with pytest.raises(WalletError, match="has expired"):
            await delegated.account(key, clock=lambda: later).pay(asking())

    async def test_authorizing_counts_as_a_fee(self, delegated: Delegated) -> None:
        """`max_fee` is a limit on the first payment, too."""
        with pytest.raises(OverLimit, match="max_fee"):
            await delegated.account(delegated.key(), max_fee="0.02").pay(asking())

    async def test_another_token_within_its_limit_does_as_well(
        self, devnet_t4: ThreadedDevnet, node_t4: FaultyNode
    ) -> None:
        """A swap takes the one token and passes on the other: both have to be within their limits."""
        made = Delegated(devnet_t4, node_t4)
        made.root = PrivateKey.generate()
        await give(devnet_t4, made.root.address, alpha_usd=10_000_000)
        both = made.key(tempo.limit("1", PATH_USD), tempo.limit("1", ALPHA_USD))
        charge = made.charge()
        challenge = issue(charge)
        account = made.account(both, auto_swap=True)
        assert isinstance(await settled(charge, challenge, await account.pay(challenge)), Settled)
        no_alpha = made.key(tempo.limit("1", PATH_USD))
        with pytest.raises(InsufficientFunds, match="its access key may spend 0 AlphaUSD"):
            await made.account(no_alpha, auto_swap=True).pay(asking())
        no_path = made.key(tempo.limit("1", ALPHA_USD))
        with pytest.raises(InsufficientFunds, match=r"may spend 0 pathUSD .* needs 0\.01$"):
            await made.account(no_path, auto_swap=True).pay(asking())
        await made.aclose()

    async def test_it_proves_the_account(self, delegated: Delegated) -> None:
        """A proof by an access key that the chain knows is a proof of the account's."""
        key = delegated.key()
        await delegated.account(key, mode="push").pay(asking(to=new_address()))
        charge = delegated.charge()
        challenge = issue(charge, "0")
        payload = await delegated.account(key).pay(challenge)
        assert await settled(charge, challenge, payload) == Settled(
            reference=challenge.id, payer=delegated.root.address
        )
