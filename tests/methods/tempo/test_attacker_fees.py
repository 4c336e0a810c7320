"""What payers who mean harm can cost a seller: fees, room for others, and questions to the node."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Iterable
from typing import Any, Protocol

import pytest
from msgspec.structs import replace

from coinslot.errors import PaymentUnavailable, VerificationFailed
from coinslot.methods import tempo
from coinslot.methods.tempo.keys import PrivateKey
from coinslot.methods.tempo.node import CHAIN_LAG
from coinslot.methods.tempo.server.fee_policy import FeePayerPolicy
from coinslot.methods.tempo.wire.p256 import P256Key
from coinslot.methods.tempo.wire.proof import proof_hash
from coinslot.methods.tempo.wire.signatures import AccessKey, SigningKey
from coinslot.methods.tempo.wire.source import format_source
from coinslot.payments.method import Failed, NotSent, Proof, Settled, Unknown
from coinslot.protocol import Credential
from coinslot.sandbox.tempo import ThreadedDevnet
from faulty_node import FaultyNode, answers, drops, forwards_and, refuses
from tempo_payments import (
    chain_is_ahead,
    issue,
    new_address,
    pathusd_balance,
    pushed,
    unsigned,
    verified,
)

PRICE = 10_000
"""Base units of what the tests sell."""


class Clock:
    """The time, and as much later as it is told."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sponsor(devnet: ThreadedDevnet) -> PrivateKey:
    """A fee payer with a million of every token."""
    key = PrivateKey.generate()
    devnet.fund(key.address)
    return key


class Open(Protocol):
    """Opens a shop that pays the fees, within a policy."""

    def __call__(self, timeout: float = 4, **policy: Any) -> tempo.TempoCharge: ...


@pytest.fixture
async def opened(node: FaultyNode, sponsor: PrivateKey, clock: Clock) -> AsyncIterator[Open]:
    """Opens a shop that pays the fees, within a policy."""
    shops: list[tempo.TempoCharge] = []

    def open_shop(timeout: float = 4, **policy: Any) -> tempo.TempoCharge:
        fee_payer = tempo.FeePayer(sponsor, policy=FeePayerPolicy(**policy))
        shops.append(
            tempo.charge(
                new_address(), rpc_url=node.url, fee_payer=fee_payer, settle_timeout=timeout, clock=clock
            )
        )
        return shops[-1]

    yield open_shop
    for shop in shops:
        await shop.aclose()


async def present(shop: tempo.TempoCharge, payer: SigningKey, *, ahead: float = 0) -> Proof:
    """Have a good payment verified."""
    challenge = issue(shop, expires_at=time.time() + ahead + 300)
    return await verified(shop, challenge, unsigned(challenge, now=time.time() + ahead).sign(payer))


async def purse(node: FaultyNode, rich: PrivateKey, units: int) -> PrivateKey:
    """A new account with exactly so many base units, and nothing to pay a fee with."""
    key = PrivateKey.generate()
    method = tempo.charge(key.address, rpc_url=node.url)
    challenge = issue(method, f"0.{units:06}")
    settled = await method.settle(await verified(method, challenge, unsigned(challenge).sign(rich)))
    assert isinstance(settled, Settled)
    await method.aclose()
    return key


class TestDrained:
    """A payer who empties the account between the look at it and the payment."""

    async def test_each_attempt_costs_the_fee_and_three_end_it(
        self, opened: Open, node: FaultyNode, payer: PrivateKey, sponsor: PrivateKey
    ) -> None:
        """What is reverted costs no more than the policy's fee, and after so many the payer is on his own."""
        shop = opened(max_fee="0.03", max_reverts_per_payer=3)
        thief = await purse(node, payer, PRICE)
        good = [await present(shop, thief) for _ in range(4)]
        assert isinstance(await shop.settle(good[0]), Settled)
        for proof in good[1:]:
            before = await pathusd_balance(node, sponsor.address)
            outcome = await shop.settle(proof)
            assert isinstance(outcome, Failed)
            assert "was reverted; it moved nothing" in outcome.reason
            assert 0 < before - await pathusd_balance(node, sponsor.address) <= 30_000
        with pytest.raises(PaymentUnavailable, match="reverted at the seller's expense") as refusal:
            await present(shop, thief)
        assert 3500 < (refusal.value.retry_after or 0) <= 3600
        assert isinstance(await shop.settle(await present(shop, payer)), Settled)

    async def test_the_fee_is_bounded_whatever_the_payer_names(
        self, opened: Open, node: FaultyNode, payer: PrivateKey, sponsor: PrivateKey
    ) -> None:
        """With the dearest gas that the policy admits, a revert costs at most the policy's fee."""
        shop = opened(max_fee="0.05")
        thief = await purse(node, payer, PRICE)
        dear = []
        for _ in range(2):
            challenge = issue(shop)
            fee = {"gas_limit": 500_000, "max_fee_per_gas": 10**11, "max_priority_fee_per_gas": 5 * 10**10}
            dear.append(await verified(shop, challenge, replace(unsigned(challenge), **fee).sign(thief)))
        assert isinstance(await shop.settle(dear[0]), Settled)
        before = await pathusd_balance(node, sponsor.address)
        assert isinstance(await shop.settle(dear[1]), Failed)
        assert 0 < before - await pathusd_balance(node, sponsor.address) <= 50_000

    async def test_what_is_found_out_later_counts_too(
        self, opened: Open, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """A revert whose answer was lost is counted when it is looked up."""
        shop = opened(timeout=0.5, max_reverts_per_payer=1, max_in_flight=2)
        thief = await purse(node, payer, PRICE)
        one, other = await present(shop, thief), await present(shop, thief)
        assert isinstance(await shop.settle(one), Settled)
        node.behaviours["eth_sendRawTransactionSync"] = forwards_and(drops)
        node.behaviours["eth_getTransactionReceipt"] = drops
        assert isinstance(await shop.settle(other), Unknown)
        node.behaviours.clear()
        assert isinstance(await shop.look_up(other), Failed)
        with pytest.raises(PaymentUnavailable, match="reverted at the seller's expense"):
            await present(shop, thief)
        for _ in range(2):
            await present(shop, payer)

    async def test_many_payers_cost_no_more_than_one(
        self, opened: Open, node: FaultyNode, payer: PrivateKey, sponsor: PrivateKey
    ) -> None:
        """Accounts without number cost what the policy says in an hour, and then nobody is sponsored."""
        shop = opened(max_lost_fee="0.05")  # a payment's fee is 0.02 at the most
        one, other = await purse(node, payer, PRICE), await purse(node, payer, PRICE)
        good, bad = await present(shop, one), await present(shop, one)
        assert isinstance(await shop.settle(good), Settled)
        before = await pathusd_balance(node, sponsor.address)
        assert isinstance(await shop.settle(bad), Failed)
        assert 0 < before - await pathusd_balance(node, sponsor.address) <= 20_000
        for _ in range(2):
            await present(shop, other)
        # Another would come to 0.06 and what is lost already, if all of them were reverted.
        with pytest.raises(PaymentUnavailable, match="not sponsored right now") as refusal:
            await present(shop, other)
        assert 3500 < (refusal.value.retry_after or 0) <= 3600


class TestRoom:
    """How much is under way at once."""

    @pytest.mark.parametrize(
        ("policy", "room"),
        [
            ({"max_in_flight": 3}, 3),
            ({"max_in_flight_fee": "0.0999", "max_in_flight": 50}, 4),
            ({"max_in_flight_per_payer": 2}, 2),
        ],
        ids=["number", "fees", "one payer"],
    )
    async def test_concurrent_payments_share_it(
        self, policy: dict[str, Any], room: int, opened: Open, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """However many come at once, as many as there is room for are taken, and later others."""
        shop = opened(**policy)
        for _ in range(2):
            proofs = await together(present(shop, payer) for _ in range(8))
            taken = [proof for proof in proofs if isinstance(proof, Proof)]
            assert len(taken) == room
            assert all(isinstance(other, Proof | PaymentUnavailable) for other in proofs)
            with pytest.raises(PaymentUnavailable, match="Too many sponsored payments") as refusal:
                await present(shop, payer)
            assert refusal.value.retry_after
            outcomes = await asyncio.gather(*map(shop.settle, taken))
            assert all(isinstance(outcome, Settled) for outcome in outcomes)

    async def test_other_payers_have_room(self, opened: Open, node: FaultyNode, payer: PrivateKey) -> None:
        """One payer's share leaves the rest to others."""
        shop = opened(max_in_flight=3, max_in_flight_per_payer=2)
        other = await purse(node, payer, PRICE)
        await together(present(shop, payer) for _ in range(5))
        assert isinstance(await shop.settle(await present(shop, other)), Settled)

    async def test_what_fails_makes_room(self, opened: Open, node: FaultyNode, payer: PrivateKey) -> None:
        """A revert and a refusal free their place at once."""
        shop = opened(max_in_flight=2)
        thief = await purse(node, payer, PRICE)
        one, other = await present(shop, thief), await present(shop, thief)
        assert isinstance(await shop.settle(one), Settled)
        assert isinstance(await shop.settle(other), Failed)
        for _ in range(3):
            with pytest.raises(VerificationFailed, match="holds 0 base units"):
                await present(shop, thief)
        node.behaviours["eth_call"] = refuses(-32603, "out of order")
        for _ in range(3):
            with pytest.raises(PaymentUnavailable, match="cannot be checked right now"):
                await present(shop, payer)
        node.behaviours.clear()
        await present(shop, payer)
        await present(shop, payer)
        with pytest.raises(PaymentUnavailable, match="Too many sponsored"):
            await present(shop, payer)

    @pytest.mark.parametrize("fault", ["not sent", "no answer"])
    async def test_what_is_open_holds_its_place_until_it_cannot_come(
        self, fault: str, opened: Open, node: FaultyNode, payer: PrivateKey, clock: Clock
    ) -> None:
        """An outcome that nobody knows costs room until the chain is past the payment's validBefore."""
        shop = opened(timeout=0.5, max_in_flight=1)
        proof = await present(shop, payer)
        if fault == "not sent":
            await node.stop()
            assert isinstance(await shop.settle(proof), NotSent)
            await node.start()
        else:
            node.behaviours["eth_sendRawTransactionSync"] = drops
            node.behaviours["eth_getTransactionReceipt"] = answers(None)
            assert isinstance(await shop.settle(proof), Unknown)
            node.behaviours.clear()
        for ahead in (0, 25 + CHAIN_LAG - 2):
            clock.ahead = ahead
            with pytest.raises(PaymentUnavailable, match="Too many sponsored"):
                await present(shop, payer, ahead=ahead)
        clock.ahead = 25 + CHAIN_LAG + 2
        await present(shop, payer, ahead=clock.ahead)

    async def test_a_payment_that_expired_makes_room(
        self, opened: Open, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """As soon as the chain says that it cannot come any more; it is no loss."""
        shop = opened(timeout=0.5, max_in_flight=1, max_reverts_per_payer=1)
        proof = await present(shop, payer)
        node.behaviours["eth_sendRawTransactionSync"] = drops
        node.behaviours["eth_getTransactionReceipt"] = answers(None)
        assert isinstance(await shop.settle(proof), Unknown)
        node.behaviours["eth_getBlockByNumber"] = chain_is_ahead(by=60)
        outcome = await shop.look_up(proof)
        assert isinstance(outcome, Failed)
        assert outcome.slug == "payment-expired"
        node.behaviours.clear()
        await present(shop, payer)


class TestQuestions:
    """How often the node is asked about one payment, once it has said which chain it is on."""

    @pytest.mark.parametrize("splits", [0, 10])
    @pytest.mark.parametrize(("sponsored", "most"), [(False, 2), (True, 3)], ids=["pull", "sponsored"])
    async def test_a_transaction(
        self,
        sponsored: bool,
        most: int,
        splits: int,
        node: FaultyNode,
        payer: PrivateKey,
        sponsor: PrivateKey,
    ) -> None:
        """A trial run and the broadcast, and what is in the fee payer's purse; however many get a part."""
        policy = FeePayerPolicy(max_gas=5_000_000, max_fee="0.10")
        shop = tempo.charge(
            new_address(),
            rpc_url=node.url,
            splits=[tempo.Split(new_address(), amount="0.0001") for _ in range(splits)],
            fee_payer=tempo.FeePayer(sponsor, policy=policy) if sponsored else None,
        )
        await present(shop, payer)
        node.methods.clear()
        assert isinstance(await shop.settle(await present(shop, payer)), Settled)
        assert len(node.methods) <= most
        await shop.aclose()

    async def test_a_hash(self, charge: tempo.TempoCharge, node: FaultyNode, payer: PrivateKey) -> None:
        """The receipt, if it is there."""
        for _ in range(2):
            challenge = issue(charge)
            proof = await verified(charge, challenge, unsigned(challenge).sign(payer))
            assert isinstance(await charge.settle(proof), Settled)
            node.methods.clear()
            pushed_proof = await charge.verify(pushed(challenge, proof.reference), challenge.decode_request())
            assert isinstance(await charge.settle(pushed_proof), Settled)
            assert len(node.methods) <= 1

    @pytest.mark.parametrize(
        "key", [PrivateKey(b"\x11" * 32), P256Key(b"\x11" * 32)], ids=["secp256k1", "p256"]
    )
    async def test_a_proof(self, key: SigningKey, charge: tempo.TempoCharge, node: FaultyNode) -> None:
        """Nobody is asked about an account's own key."""
        challenge = issue(charge, "0")
        digest = proof_hash(
            3, chain_id=42431, challenge_id=challenge.id, realm=challenge.realm, account=key.address
        )
        proof = await charge.verify(
            Credential(
                challenge=challenge,
                payload={"type": "proof", "signature": "0x" + key.sign(digest).hex()},
                source=format_source(42431, key.address),
            ),
            challenge.decode_request(),
        )
        assert isinstance(await charge.settle(proof), Settled)
        assert node.methods == []

    async def test_an_access_keys_transaction(self, devnet_t4: ThreadedDevnet) -> None:
        """What the chain knows of the key is asked in the same exchange."""
        node, root, key = FaultyNode(devnet_t4.rpc_url), PrivateKey.generate(), PrivateKey.generate()
        await node.start()
        devnet_t4.fund(root.address)
        devnet_t4.authorize_key(root, key.address)
        shop = tempo.charge(new_address(), rpc_url=node.url)
        agent = AccessKey(key, root.address)
        await present(shop, agent)
        node.exchanges = 0
        assert isinstance(await shop.settle(await present(shop, agent)), Settled)
        assert node.exchanges <= 2
        await shop.aclose()
        await node.aclose()


async def together(attempts: Iterable[Awaitable[Proof]]) -> list[Proof | BaseException]:
    """What comes of attempts that are made at once."""
    return await asyncio.gather(*attempts, return_exceptions=True)
