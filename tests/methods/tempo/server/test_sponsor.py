from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from coinslot.errors import (
    ConfigurationError,
    InvalidPayload,
    PaymentError,
    PaymentUnavailable,
    VerificationFailed,
)
from coinslot.methods import tempo
from coinslot.methods.tempo.keys import PrivateKey, parse_address
from coinslot.methods.tempo.node import Node
from coinslot.methods.tempo.rpc import Rpc
from coinslot.methods.tempo.wire import FEE_PAYER_PLACEHOLDER, Transaction
from coinslot.payments.method import Failed, Proof, Settled
from coinslot.protocol import Challenge
from coinslot.sandbox.tempo import ThreadedDevnet
from faulty_node import Behaviour, FaultyNode, answers, drops, edits, refuses, says
from tempo_payments import (
    OTHER,
    chain_is_ahead,
    credential,
    issue,
    new_address,
    offered,
    pathusd_balance,
    pays,
    unsigned,
    verified,
)

RECIPIENT = "0x742d35Cc6634c0532925a3b844bC9e7595F8fE00"
PATH_USD = tempo.TESTNET.currency.address


@pytest.fixture
def sponsor(devnet: ThreadedDevnet) -> PrivateKey:
    """A fee payer with a million of every token."""
    key = PrivateKey.generate()
    devnet.fund(key.address)
    return key


@pytest.fixture
async def sponsored(node: FaultyNode, sponsor: PrivateKey) -> AsyncIterator[tempo.TempoCharge]:
    """A server method whose seller pays the fees."""
    method = tempo.charge(new_address(), rpc_url=node.url, fee_payer=sponsor, settle_timeout=4)
    yield method
    await method.aclose()


async def sign(charge: tempo.TempoCharge, payer: PrivateKey, **changes: Any) -> Proof:
    challenge = issue(charge)
    return await verified(charge, challenge, replace(unsigned(challenge), **changes).sign(payer))


class TestConfiguration:
    """Whom a seller may name, and what that asks of payers."""

    @pytest.mark.parametrize(
        "fee_payer",
        [
            PrivateKey(b"\x01" * 32),
            "0x" + "01" * 32,
            tempo.FeePayer("0x" + "01" * 32, token=PATH_USD),
            "https://fees.example/rpc",
            tempo.HostedFeePayer("https://fees.example/rpc", headers={"authorization": "Bearer x"}),
        ],
        ids=["key", "hex", "account", "url", "service"],
    )
    def test_challenges_promise_the_fee_and_take_pull_only(self, fee_payer: Any) -> None:
        """Whoever pays the fee signs last, so the payer cannot broadcast."""
        request = offered(tempo.charge(RECIPIENT, fee_payer=fee_payer), "1").request
        assert request["methodDetails"] == {
            "chainId": 42431,
            "feePayer": True,
            "supportedModes": ["pull"],
        }

    @pytest.mark.parametrize(
        ("settings", "reason"),
        [
            ({"fee_payer": "0x1234"}, "a private key is 0x and 64"),
            ({"fee_payer": "ftp://fees.example"}, "has to be the http or https URL"),
            ({"fee_payer": "0x" + "01" * 32, "modes": ["pull", "push"]}, "goes with pull only"),
            ({"fee_payer": "0x" + "01" * 32, "relay": tempo.Relay("k")}, "a relay pays fees itself"),
            ({"modes": "pull"}, "modes is a list of 'pull' and 'push'"),
            ({"modes": []}, "modes is a list"),
            ({"modes": ["teleport"]}, "modes is a list"),
        ],
        ids=str,
    )
    def test_what_does_not_go_together_is_refused(self, settings: dict[str, Any], reason: str) -> None:
        """In one sentence, when the method is made."""
        with pytest.raises(ConfigurationError, match=reason):
            tempo.charge(RECIPIENT, **settings)

    def test_secrets_are_not_shown(self) -> None:
        """Neither a key nor what a service is paid with is in a repr."""
        key = "ab" * 32
        assert key not in repr(tempo.FeePayer("0x" + key))
        hosted = tempo.HostedFeePayer("https://user:pass@fees.example/v1/key", headers={"x-key": "secret"})
        assert repr(hosted) == "HostedFeePayer('fees.example')"


class TestAccount:
    """An account of the seller's pays the fees."""

    @pytest.mark.parametrize("chain", ["devnet", "devnet_t4"])
    async def test_the_payer_pays_the_price_and_nothing_else(
        self, chain: str, request: pytest.FixtureRequest
    ) -> None:
        """Three calls in all; the payer's balance falls by the price, the fee payer's by the fee."""
        devnet: ThreadedDevnet = request.getfixturevalue(chain)
        payer, sponsor, node = PrivateKey.generate(), PrivateKey.generate(), FaultyNode(devnet.rpc_url)
        for key in (payer, sponsor):
            devnet.fund(key.address)
        await node.start()
        charge = tempo.charge(new_address(), rpc_url=node.url, fee_payer=sponsor)
        before = [await pathusd_balance(node, key.address) for key in (payer, sponsor)]
        node.methods.clear()
        proof = await sign(charge, payer)
        assert await charge.settle(proof) == Settled(reference=proof.reference, payer=payer.address)
        assert node.methods == ["eth_chainId", "eth_call", "eth_call", "eth_sendRawTransactionSync"]
        after = [await pathusd_balance(node, key.address) for key in (payer, sponsor)]
        assert before[0] - after[0] == 10_000
        assert 0 < before[1] - after[1] < 50_000
        assert await pathusd_balance(node, str(proof.recipient)) == 10_000
        assert await charge.look_up(proof) == Settled(reference=proof.reference, payer=payer.address)
        await charge.aclose()
        await node.aclose()

    async def test_a_payer_without_fee_money_can_pay(
        self, devnet: ThreadedDevnet, node: FaultyNode, sponsor: PrivateKey
    ) -> None:
        """An account with exactly the price, split among three, pays it; the fee is in another token."""
        alpha = tempo.TESTNET.tokens[1].address
        splits = [tempo.Split(new_address(), share="0.2"), tempo.Split(new_address(), amount="0.001")]
        charge = tempo.charge(
            new_address(),
            rpc_url=node.url,
            splits=splits,
            fee_payer=tempo.FeePayer(sponsor, token=alpha),
        )
        proof = await sign(charge, await _with_exactly(devnet, node, 10_000), gas_limit=1_900_000)
        assert isinstance(await charge.settle(proof), Settled)
        recipients = [str(proof.recipient), *(split.recipient for split in splits)]
        shares = [await pathusd_balance(node, recipient) for recipient in recipients]
        assert shares == [7_000, 2_000, 1_000]
        await charge.aclose()

    async def test_the_payers_signature_is_what_counts_once(
        self, sponsored: tempo.TempoCharge, payer: PrivateKey
    ) -> None:
        """The proof's key does not depend on what the fee payer adds; its reference is the final hash."""
        challenge = issue(sponsored)
        signed = unsigned(challenge).sign(payer)
        proof = await verified(sponsored, challenge, signed)
        assert proof.key == f"tempo:42431:0x{signed.hash().hex()}"
        assert proof.reference not in proof.key
        enveloped = credential(challenge, signed)
        enveloped.payload["signature"] = "0x" + signed.encode_sponsored().hex()
        assert await sponsored.verify(enveloped, challenge.decode_request()) == proof

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"fee_payer_signature": None}, "has to be the placeholder"),
            ({"fee_token": parse_address(PATH_USD)}, "must not name a fee token"),
            ({"gas_limit": 2_000_001}, "gas limit is more than"),
            ({"nonce_key": 5}, "lane of expiring nonces"),
        ],
        ids=str,
    )
    async def test_nothing_else_is_paid_for(
        self,
        changes: dict[str, Any],
        reason: str,
        sponsored: tempo.TempoCharge,
        node: FaultyNode,
        payer: PrivateKey,
    ) -> None:
        """What the policy forbids is refused before the node is asked, or anything signed."""
        with pytest.raises((VerificationFailed, InvalidPayload), match=reason):
            await sign(sponsored, payer, **changes)
        assert node.methods == []

    async def test_a_payment_that_would_fail_is_not_paid_for(
        self, sponsored: tempo.TempoCharge, node: FaultyNode
    ) -> None:
        """A payer without the money is found in the trial run, and holds no place in the budget."""
        for _ in range(9):  # one more than one payer may have under way
            with pytest.raises(VerificationFailed, match="holds 0 base units"):
                await sign(sponsored, PrivateKey(b"\x31" * 32))
        assert not node.sent

    async def test_an_empty_fee_payer_is_the_sellers_trouble(
        self, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """The payer may come again, and the operator reads which account is empty."""
        empty = PrivateKey.generate()
        charge = tempo.charge(new_address(), rpc_url=node.url, fee_payer=empty)
        with pytest.raises(PaymentUnavailable, match="The seller cannot pay the fee") as unavailable:
            await sign(charge, payer)
        assert unavailable.value.log == (
            f"the fee payer {empty.address} holds 0 of {PATH_USD}: too little for the fees under way"
        )
        await charge.aclose()

    async def test_losses_are_counted_against_the_payer(
        self, devnet: ThreadedDevnet, node: FaultyNode, sponsor: PrivateKey
    ) -> None:
        """Whose payments revert at the seller's expense is not sponsored any more."""
        policy = tempo.FeePayerPolicy(max_reverts_per_payer=1)
        charge = tempo.charge(
            new_address(), rpc_url=node.url, fee_payer=tempo.FeePayer(sponsor, policy=policy)
        )
        payer = await _with_exactly(devnet, node, 10_000)
        one, other = await sign(charge, payer), await sign(charge, payer)
        assert isinstance(await charge.settle(one), Settled)
        assert isinstance(await charge.settle(other), Failed)
        with pytest.raises(PaymentUnavailable, match="reverted at the seller's expense") as refusal:
            await sign(charge, payer)
        assert (refusal.value.retry_after or 0) > 3500
        await charge.aclose()

    async def test_what_another_fee_payer_sent_is_found(
        self, sponsored: tempo.TempoCharge, node: FaultyNode, payer: PrivateKey, millionaire: PrivateKey
    ) -> None:
        """A payer can have somebody else pay the fee: by another hash, the seller has the money."""
        proof = await sign(sponsored, payer)
        ours = Transaction.decode(proof.recovery.data)
        signed = replace(ours, fee_payer_signature=FEE_PAYER_PLACEHOLDER, fee_token=None)
        theirs = signed.co_sign(millionaire, parse_address(PATH_USD))
        behind = Node(Rpc(node.url))
        receipt = await behind.send(theirs, 10)
        await behind.aclose()
        assert receipt is not None
        node.behaviours["eth_getBlockByNumber"] = chain_is_ahead(by=60)
        assert await sponsored.look_up(proof) == Settled(reference=receipt.hash, payer=payer.address)

    async def test_a_twin_frees_no_place(
        self, node: FaultyNode, sponsor: PrivateKey, payer: PrivateKey
    ) -> None:
        """The same transaction, presented again and refused, leaves the first one's place as it is."""
        policy = tempo.FeePayerPolicy(max_in_flight=1)
        fees = tempo.FeePayer(sponsor, policy=policy)
        charge = tempo.charge(
            new_address(), rpc_url=node.url, fee_payer=fees, unbound_transfers=True, settle_timeout=4
        )
        challenge = issue(charge)
        signed = pays(challenge, memo=None)(unsigned(challenge)).sign(payer)
        await verified(charge, challenge, signed)
        node.behaviours["eth_call"] = refuses(-32000, "transfer would fail: insufficient balance")
        with pytest.raises(PaymentError):
            await verified(charge, challenge, signed)
        node.behaviours.clear()
        with pytest.raises(PaymentUnavailable, match="Too many"):
            await sign(charge, payer)
        await charge.aclose()

    async def test_settled_payments_make_room(
        self, node: FaultyNode, sponsor: PrivateKey, payer: PrivateKey
    ) -> None:
        """With room for one at a time, one after the other is paid."""
        policy = tempo.FeePayerPolicy(max_in_flight=1)
        charge = tempo.charge(
            new_address(), rpc_url=node.url, fee_payer=tempo.FeePayer(sponsor, policy=policy)
        )
        for _ in range(3):
            proof = await sign(charge, payer)
            with pytest.raises(PaymentUnavailable, match="Too many"):
                await sign(charge, payer)
            assert isinstance(await charge.settle(proof), Settled)
        await charge.aclose()

    async def test_a_challenge_that_promised_it_is_kept_or_comes_again(
        self, sponsored: tempo.TempoCharge, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """A server that lost its fee payer says 503, since the challenge was good."""
        challenge = issue(sponsored)
        charge = tempo.charge(RECIPIENT, rpc_url=node.url)
        with pytest.raises(PaymentUnavailable) as unavailable:
            await verified(charge, challenge, unsigned(challenge).sign(payer))
        assert "no fee payer is configured any more" in (unavailable.value.log or "")
        await charge.aclose()


class TestService:
    """A service pays the fees. The devnet is one."""

    async def test_a_service_signs_and_we_broadcast(
        self, devnet: ThreadedDevnet, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """One question to the service, and the payment is completed with its signature."""
        service = FaultyNode(devnet.rpc_url)
        await service.start()
        charge = tempo.charge(new_address(), rpc_url=node.url, fee_payer=service.url)
        before = await pathusd_balance(node, payer.address)
        proof = await sign(charge, payer)
        assert isinstance(await charge.settle(proof), Settled)
        assert service.methods == ["eth_fillTransaction"]
        assert before - await pathusd_balance(node, payer.address) == 10_000
        await charge.aclose()
        await service.aclose()

    @pytest.mark.parametrize(
        "fault",
        [
            drops,
            says(b"no", 500),
            refuses(-32000, "budget exhausted"),
            answers(None),
            answers({"tx": {}}),
            edits(lambda filled: {"tx": {**filled["tx"], "feeToken": OTHER}}),
            edits(lambda filled: {"tx": {**filled["tx"], "feeToken": "0x"}}),
            edits(lambda filled: {"tx": {**filled["tx"], "feePayerSignature": {"r": "0x1", "s": -1}}}),
            edits(
                lambda filled: {
                    "tx": {
                        **filled["tx"],
                        "feePayerSignature": {**filled["tx"]["feePayerSignature"], "s": hex(2**256 - 1)},
                    }
                }
            ),
        ],
        ids=["drops", "500", "refuses", "null", "nothing", "token", "no token", "nonsense", "high s"],
    )
    async def test_a_service_that_fails_is_not_the_payers_trouble(
        self, fault: Behaviour, devnet: ThreadedDevnet, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """Nothing is broadcast, and the payer keeps a good credential."""
        service = FaultyNode(devnet.rpc_url)
        await service.start()
        service.behaviours["eth_fillTransaction"] = fault
        charge = tempo.charge(new_address(), rpc_url=node.url, fee_payer=service.url)
        with pytest.raises(PaymentUnavailable, match="fee cannot be paid right now") as unavailable:
            await sign(charge, payer)
        assert "the fee payer at 127.0.0.1" in (unavailable.value.log or "")
        assert not node.sent
        await charge.aclose()
        await service.aclose()

    async def test_it_is_told_who_asks(
        self, devnet: ThreadedDevnet, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """The headers go with the request."""
        service = FaultyNode(devnet.rpc_url)
        await service.start()
        hosted = tempo.HostedFeePayer(service.url, headers={"x-customer": "seller 7"})
        charge = tempo.charge(new_address(), rpc_url=node.url, fee_payer=hosted)
        await sign(charge, payer)
        assert "x-customer: seller 7" in service.heads[0]
        await charge.aclose()
        await service.aclose()


async def _with_exactly(devnet: ThreadedDevnet, node: FaultyNode, units: int) -> PrivateKey:
    """A new account with so many base units of pathUSD, and nothing else."""
    key, rich = PrivateKey.generate(), PrivateKey.generate()
    await asyncio.to_thread(devnet.fund, rich.address)
    charge = tempo.charge(key.address, rpc_url=node.url)
    challenge: Challenge = issue(charge, f"0.{units:06}")
    outcome = await charge.settle(await verified(charge, challenge, unsigned(challenge).sign(rich)))
    assert isinstance(outcome, Settled)
    await charge.aclose()
    return key
