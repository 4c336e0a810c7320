"""Money that came for a challenge and cannot be accepted is kept for a refund; anybody else's is not."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from coinslot.errors import NotApplied, NotHonoured, PaymentError, PaymentUnavailable
from coinslot.methods import tempo
from coinslot.methods.tempo.keys import PrivateKey
from coinslot.methods.tempo.wire import attribution_memo
from coinslot.methods.tempo.wire.source import format_source
from coinslot.payments.back_office import BackOffice
from coinslot.payments.events import Events, PaymentUnapplied
from coinslot.payments.method import Proof
from coinslot.payments.order import Order, fingerprint
from coinslot.payments.payment import State
from coinslot.payments.refunds import RefundState
from coinslot.payments.till import Policy, Till
from coinslot.protocol import Challenge
from coinslot.sandbox.tempo import ThreadedDevnet
from coinslot.storage.memory import MemoryLedger
from faulty_node import FaultyNode, edits
from tempo_payments import (
    OTHER,
    credential,
    issue,
    mined,
    new_address,
    pathusd_balance,
    pays,
    pushed,
    unsigned,
)

PATH_USD, ALPHA_USD = (token.address for token in tempo.TESTNET.tokens[:2])


async def kept(shop: tempo.TempoCharge, challenge: Challenge, reference: str) -> Proof:
    """What the server keeps of a push payment that it does not take."""
    with pytest.raises(NotApplied) as refused:
        await shop.verify(pushed(challenge, reference), challenge.decode_request())
    received = refused.value.received
    assert isinstance(received, Proof)
    assert received.key == f"tempo:42431:{reference}"
    assert received.reference == reference
    return received


async def not_kept(shop: tempo.TempoCharge, challenge: Challenge, reference: str, **members: Any) -> None:
    """It is refused, and nothing is kept of it."""
    with pytest.raises(PaymentError) as refused:
        await shop.verify(pushed(challenge, reference, **members), challenge.decode_request())
    assert not isinstance(refused.value, NotApplied), refused.value.detail
    assert not isinstance(refused.value, PaymentUnavailable), refused.value.log


class TestKept:
    """Money for this very challenge, to our recipient."""

    async def test_what_came_too_late(
        self, devnet: ThreadedDevnet, charge: tempo.TempoCharge, payer: PrivateKey
    ) -> None:
        """The block is later than the challenge's expiry: the whole payment is kept."""
        over = issue(charge, expires_at=time.time() - 20)
        received = await kept(charge, over, await mined(devnet, unsigned(over).sign(payer)))
        assert (received.amount, received.currency, received.payer) == (10_000, PATH_USD, payer.address)
        assert received.recipient == over.decode_request()["recipient"]

    @pytest.mark.parametrize(
        ("changes", "amount", "currency"),
        [
            ({"amount": 9_999}, 9_999, PATH_USD),
            ({"amount": 10_001}, 10_001, PATH_USD),
            ({"token": ALPHA_USD}, 10_000, ALPHA_USD),
        ],
        ids=["too little", "too much", "another token"],
    )
    async def test_what_is_not_what_was_asked(
        self,
        changes: dict[str, Any],
        amount: int,
        currency: str,
        devnet: ThreadedDevnet,
        charge: tempo.TempoCharge,
        payer: PrivateKey,
    ) -> None:
        """It is kept as what it is, whoever paid it."""
        challenge = issue(charge)
        paying = pays(challenge, **changes)(unsigned(challenge))
        received = await kept(charge, challenge, await mined(devnet, paying.sign(payer)))
        assert (received.amount, received.currency, received.payer) == (amount, currency, payer.address)

    async def test_what_came_in_parts(
        self, devnet: ThreadedDevnet, charge: tempo.TempoCharge, payer: PrivateKey
    ) -> None:
        """Of several transfers for it, the first in the right token is kept: a row is one transfer."""
        challenge = issue(charge)
        good = unsigned(challenge)
        parts = [
            pays(challenge, **changes)(good).calls[0]
            for changes in ({"token": ALPHA_USD}, {"amount": 4_000}, {"amount": 5_000})
        ]
        paying = replace(good, calls=tuple(parts), gas_limit=2_000_000)
        received = await kept(charge, challenge, await mined(devnet, paying.sign(payer)))
        assert (received.amount, received.currency) == (4_000, PATH_USD)

    async def test_what_lacks_a_split(
        self, devnet: ThreadedDevnet, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """What the seller got is kept; what nobody got is not."""
        shop = tempo.charge(
            new_address(), rpc_url=node.url, splits=[tempo.Split(new_address(), amount="0.001")]
        )
        challenge = issue(shop)
        good = unsigned(challenge)
        reference = await mined(devnet, replace(good, calls=good.calls[:1]).sign(payer))
        assert (await kept(shop, challenge, reference)).amount == 9_000
        await shop.aclose()

    async def test_what_has_the_challenges_own_memo(
        self, devnet: ThreadedDevnet, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """The memo that the seller made up binds as the attribution memo does."""
        own = b"INV".ljust(32, b"\x01")
        numbers = iter(range(1, 100))
        shop = tempo.charge(new_address(), rpc_url=node.url, memo=lambda: next(numbers).to_bytes(32))
        challenge = issue(shop, methodDetails={"chainId": 42431, "memo": "0x" + own.hex()})
        paying = pays(challenge, amount=1, memo=own)(unsigned(challenge))
        assert (await kept(shop, challenge, await mined(devnet, paying.sign(payer)))).amount == 1
        await shop.aclose()


class TestNotKept:
    """Somebody else's money, or none: whoever shows it gets a refusal and leaves no row."""

    @pytest.mark.parametrize(
        "memo",
        [
            lambda challenge: None,
            lambda challenge: bytes(32),
            lambda challenge: attribution_memo("another", challenge.realm),
            lambda challenge: attribution_memo(challenge.id, "another.example"),
        ],
        ids=["no memo", "an empty memo", "another challenge's", "another realm's"],
    )
    @pytest.mark.parametrize(
        "changes", [{}, {"amount": 9_999}, {"token": ALPHA_USD}, {"late": True}], ids=repr
    )
    async def test_a_transfer_that_is_not_bound(
        self,
        memo: Callable[[Challenge], bytes | None],
        changes: dict[str, Any],
        devnet: ThreadedDevnet,
        charge: tempo.TempoCharge,
        payer: PrivateKey,
    ) -> None:
        """Of whatever amount, in whatever token, in time or late."""
        late = "late" in changes
        challenge = issue(charge, expires_at=time.time() - 20 if late else None)
        members = {name: value for name, value in changes.items() if name != "late"}
        paying = pays(challenge, memo=memo(challenge), **members)(unsigned(challenge))
        await not_kept(charge, challenge, await mined(devnet, paying.sign(payer)))

    async def test_the_payment_of_another_challenge(
        self, devnet: ThreadedDevnet, charge: tempo.TempoCharge, payer: PrivateKey
    ) -> None:
        """Whoever saw a payment on the chain can present it for no challenge of their own."""
        theirs, mine = issue(charge), issue(charge, "0.02")
        await not_kept(charge, mine, await mined(devnet, unsigned(theirs).sign(payer)))

    @pytest.mark.parametrize("changes", [{"to": OTHER}, {"amount": 0}], ids=repr)
    async def test_what_brought_us_nothing(
        self,
        changes: dict[str, Any],
        devnet: ThreadedDevnet,
        charge: tempo.TempoCharge,
        payer: PrivateKey,
    ) -> None:
        """A memo alone is no money: somebody else got it, or nobody."""
        challenge = issue(charge)
        paying = pays(challenge, **changes)(unsigned(challenge))
        await not_kept(charge, challenge, await mined(devnet, paying.sign(payer)))

    async def test_what_was_reverted(
        self, devnet: ThreadedDevnet, charge: tempo.TempoCharge, payer: PrivateKey
    ) -> None:
        """It moved nothing, late as it was."""
        over = issue(charge, "2000000", expires_at=time.time() - 20)
        await not_kept(charge, over, await mined(devnet, unsigned(over).sign(payer)))

    async def test_what_another_account_paid(
        self, devnet: ThreadedDevnet, charge: tempo.TempoCharge, payer: PrivateKey
    ) -> None:
        """It may still be presented by whoever it is of."""
        challenge = issue(charge)
        reference = await mined(devnet, pays(challenge, amount=1)(unsigned(challenge)).sign(payer))
        await not_kept(charge, challenge, reference, source=format_source(42431, OTHER))
        assert (await kept(charge, challenge, reference)).amount == 1

    async def test_what_only_a_contract_says(
        self, devnet: ThreadedDevnet, charge: tempo.TempoCharge, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """Any contract can write a log that looks like a transfer: only tokens' logs count."""
        challenge = issue(charge)
        reference = await mined(devnet, pays(challenge, amount=1)(unsigned(challenge)).sign(payer))
        forged = edits(
            lambda receipt: {**receipt, "logs": [{**log, "address": OTHER} for log in receipt["logs"]]}
        )
        node.behaviours["eth_getTransactionReceipt"] = forged
        await not_kept(charge, challenge, reference)

    async def test_a_transaction_that_was_not_broadcast(
        self, charge: tempo.TempoCharge, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """In pull nothing has moved when a payment is refused, so there is nothing to keep."""
        challenge = issue(charge)
        for signed in (
            pays(challenge, amount=9_999)(unsigned(challenge)).sign(payer),
            pays(challenge, token=ALPHA_USD)(unsigned(challenge)).sign(payer),
        ):
            with pytest.raises(PaymentError) as refused:
                await charge.verify(credential(challenge, signed), challenge.decode_request())
            assert not isinstance(refused.value, NotApplied)
        assert node.sent == []


class TestLedger:
    """What becomes of it."""

    @pytest.fixture
    async def shop(self, devnet: ThreadedDevnet, node: FaultyNode) -> AsyncIterator[tempo.TempoCharge]:
        purse = PrivateKey.generate()
        devnet.fund(purse.address)
        method = tempo.charge(new_address(), rpc_url=node.url, refund_account=purse)
        yield method
        await method.aclose()

    async def test_it_is_kept_told_and_sent_back(
        self, devnet: ThreadedDevnet, shop: tempo.TempoCharge, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """A late push is a row of its own from the first look, and goes back to the last base unit."""
        events, told = Events(), list[PaymentUnapplied]()
        events.subscribe(PaymentUnapplied, told.append)  # type: ignore[arg-type]  # it hears of nothing else
        till = Till(MemoryLedger(), policy=Policy(), events=events)
        office = BackOffice(till, [shop], events)
        over = issue(shop, expires_at=time.time() - 20)
        before = await pathusd_balance(node, payer.address)
        presented = pushed(over, await mined(devnet, unsigned(over).sign(payer)))
        order = Order(
            method=shop,
            credential=presented,
            fingerprint=fingerprint(presented),
            request=over.decode_request(),
            route="GET /paid",
            expires_at=over.expires_at() or 0.0,
        )
        await till.open()
        for _ in range(2):
            with pytest.raises(NotHonoured, match="made after the challenge's expiry"):
                await till.take(order)
        payment = await till.ledger.find(over.id)
        assert payment is not None
        assert (payment.state, payment.amount) == (State.UNAPPLIED, 10_000)
        assert [event.payment for event in told] == [payment]
        refund = await office.refund(over.id)
        assert (refund.state, refund.amount) == (RefundState.DONE, 10_000)
        fees = before - await pathusd_balance(node, payer.address)
        assert 0 <= fees < 10_000, "but for the fee of its own transaction"
