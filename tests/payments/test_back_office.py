"""The back office: what nobody came back for is found out, and background work goes on whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from coinslot.errors import LedgerError, PaymentInProgress
from coinslot.payments import back_office
from coinslot.payments.back_office import BackOffice
from coinslot.payments.desk import NO_CHALLENGE, Desk
from coinslot.payments.events import Event, Events, PaymentDisputed, PaymentSettled, PaymentUnapplied
from coinslot.payments.lease import Lease
from coinslot.payments.method import Failed, Proof, Recovery, Settled
from coinslot.payments.payment import Payment, State
from coinslot.payments.till import Policy, Till
from coinslot.storage.sqlite import SQLiteLedger
from ledgers import NOW, make_payment
from scrip import Mint, ScripCharge


class Busy(ScripCharge):
    """A method with work of its own in the background."""

    def __init__(self, mint: Mint) -> None:
        super().__init__(mint)
        self.desk: Desk | None = None
        self.rounds = 0
        self.fault: Exception | None = None
        self.worked = asyncio.Event()

    def keep(self, desk: Desk) -> None:
        """Have a desk."""
        self.desk = desk

    async def tend(self) -> float:
        """One round."""
        self.rounds += 1
        self.worked.set()
        if self.fault is not None:
            raise self.fault
        return 3600


class Shop:
    """One worker."""

    def __init__(self, path: Path) -> None:
        self.now = NOW
        self.ledger = SQLiteLedger(path)
        self.events = Events()
        self.told: list[Event] = []
        for kind in (PaymentSettled, PaymentUnapplied, PaymentDisputed):
            self.events.subscribe(kind, self.told.append)
        self.mint = Mint()
        self.method = Busy(self.mint)
        policy = Policy(settle_timeout=5, redelivery_window=3600)
        self.till = Till(self.ledger, policy=policy, events=self.events, clock=lambda: self.now)
        self.office = BackOffice(self.till, [self.method], self.events, clock=lambda: self.now)
        self.till.when_opened = self.office.furnish

    async def payment(self, state: State, *, spent: bool) -> Payment:
        """A payment by a note that is spent, or not."""
        note = self.mint.issue(100)
        if spent:
            await self.mint.spend(note)
        payment = make_payment(
            state=state, amount=100, reference=note, recovery=Recovery(note.encode()), settled_at=NOW
        )
        await self.ledger.insert(payment)
        return payment

    async def state(self, payment: Payment) -> State:
        """What the ledger says."""
        row = await self.ledger.find(payment.challenge_id)
        assert row is not None
        return row.state


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    made = Shop(tmp_path / "ledger.db")
    await made.till.open()
    yield made
    await made.office.stop()
    await made.till.close()


@pytest.mark.parametrize("state", [State.SETTLING, State.UNKNOWN])
async def test_a_stuck_payment_whose_money_came_is_settled(shop: Shop, state: State) -> None:
    """A payment that its worker died over ends as settled, with a receipt, and no delivery is counted."""
    payment = await shop.payment(state, spent=True)
    found = await shop.office.reconcile()
    row = await shop.ledger.find(payment.challenge_id)
    assert row is not None
    assert (row.state, row.attempts, row.payer) == (State.SETTLED, 0, "bearer")
    assert row.receipt is not None
    assert [(finding.before, finding.after) for finding in found.findings] == [(payment, row)]
    assert found.undecided == 0
    assert [type(event) for event in shop.told] == [PaymentSettled]


async def test_what_was_never_sent_waits_for_its_payer_and_then_fails(shop: Shop) -> None:
    """A payment that the world never heard of may be sent by its payer for an hour; then it has failed."""
    payment = await shop.payment(State.SETTLING, spent=False)
    assert (await shop.office.reconcile()).undecided == 1
    assert await shop.state(payment) is State.UNKNOWN
    shop.now = payment.expires_at + 3601
    await shop.office.reconcile()
    assert await shop.state(payment) is State.FAILED


async def test_asking_in_vain_writes_nothing_new(shop: Shop) -> None:
    """An outcome that is still unknown, for the same reason, is not written again."""
    payment = await shop.payment(State.SETTLING, spent=False)
    await shop.office.reconcile()
    once = await shop.ledger.find(payment.challenge_id)
    await shop.office.reconcile()
    assert await shop.ledger.find(payment.challenge_id) == once


async def test_what_somebody_works_on_is_left_alone(shop: Shop) -> None:
    """A payment under lease is its worker's."""
    payment = await shop.payment(State.SETTLING, spent=True)
    lease = Lease(shop.ledger, payment.challenge_id)
    assert await lease.take()
    await shop.office.reconcile()
    assert await shop.state(payment) is State.SETTLING
    await lease.release()
    await shop.office.reconcile()
    assert await shop.state(payment) is State.SETTLED


async def test_what_was_never_fetched_is_given_up(shop: Shop) -> None:
    """A settled payment is owed for as long as it is honoured; then it is undelivered, for a refund."""
    payment = await shop.payment(State.SETTLED, spent=True)
    await shop.office.reconcile()
    assert await shop.state(payment) is State.SETTLED
    shop.now = NOW + 3601
    await shop.office.reconcile()
    assert await shop.state(payment) is State.UNDELIVERED


async def test_a_failed_payment_whose_money_came_after_all_is_settled(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """The world's word is last, and the operator is told."""
    payment = await shop.payment(State.FAILED, spent=True)
    after = await shop.office.reconsider(payment.challenge_id)
    assert after is not None
    assert after.state is State.SETTLED
    assert "came after all" in caplog.text


@pytest.mark.parametrize("state", [State.SETTLED, State.DELIVERED, State.UNDELIVERED, State.UNAPPLIED])
async def test_looking_again_at_what_is_decided_changes_nothing(shop: Shop, state: State) -> None:
    """A hint about a payment that is decided, or that is not ours, is harmless."""
    payment = await shop.payment(state, spent=True)
    assert await shop.office.reconsider(payment.challenge_id) == payment
    assert await shop.office.reconsider("nobody's") is None


async def test_a_dispute_is_a_flag_in_any_state(shop: Shop) -> None:
    """It is set and cleared once each, however often the news comes."""
    for state in State:
        payment = await shop.payment(state, spent=True)
        for disputed in (True, True, False, False):
            row = await shop.office.dispute(payment.challenge_id, disputed)
            assert row is not None
            assert (row.disputed, row.state) == (disputed, state)
        assert row is not None
        assert row.revision == payment.revision + 2
    assert await shop.office.dispute("nobody's", True) is None


async def test_a_dispute_stands_in_nobody_s_way(shop: Shop) -> None:
    """A delivery that ends after the flag was set is written down as one, flag and all."""
    payment = await shop.payment(State.SETTLED, spent=True)
    await shop.office.dispute(payment.challenge_id, True)
    after = await shop.till.register.deliver(payment)
    assert (after.state, after.disputed) == (State.DELIVERED, True)
    assert await shop.ledger.find(payment.challenge_id) == after
    with pytest.raises(PaymentInProgress):
        await shop.till.register.give_up(payment)


async def test_money_without_a_challenge_is_kept_once(shop: Shop) -> None:
    """A desk keeps what came and pays for nothing as a row of its own, once for each transfer."""
    desk = shop.method.desk
    assert desk is not None
    proof = Proof(key="scrip:7", reference="note 7", amount=5, currency="scrip", payer="bearer")
    kept = await desk.unapplied(proof, "It came too late.")
    assert kept is not None
    assert (kept.state, kept.challenge_id, kept.reason) == (
        State.UNAPPLIED,
        NO_CHALLENGE + "scrip:7",
        "It came too late.",
    )
    assert await desk.unapplied(proof, "It came too late.") is None
    assert await desk.find(reference="note 7") == kept
    assert [type(event) for event in shop.told] == [PaymentUnapplied]


async def test_one_worker_at_a_time_is_alone(tmp_path: Path) -> None:
    """Of two workers that would do a thing, one does; afterwards the other may."""
    one, other = Shop(tmp_path / "shared.db"), Shop(tmp_path / "shared.db")
    await one.till.open()
    await other.till.open()
    assert one.method.desk is not None
    assert other.method.desk is not None
    async with one.method.desk.alone("filling") as is_mine:
        assert is_mine
        async with other.method.desk.alone("filling") as is_others:
            assert not is_others
    async with other.method.desk.alone("filling") as is_others:
        assert is_others
    await one.till.close()
    await other.till.close()


async def test_money_that_is_found_has_the_last_word(shop: Shop) -> None:
    """A payment that was taken for failed while its sender heard that it settled is settled."""
    payment = await shop.payment(State.SETTLING, spent=True)
    register = shop.till.register
    await register.record(payment, Failed(reason="It was not sent in time."))
    after = await register.record(payment, Settled(reference="note"), delivering=True)
    assert (after.state, after.attempts) == (State.SETTLED, 1)
    assert await shop.ledger.find(payment.challenge_id) == after
    with pytest.raises(PaymentInProgress):  # but it is settled once
        await register.record(payment, Settled(reference="note"))


async def test_background_work_begins_with_the_office_and_ends_with_it(shop: Shop) -> None:
    """The first round is over when the office has started; waking has the next one done at once."""
    await shop.office.start()
    assert shop.method.rounds == 1
    shop.method.worked.clear()
    shop.office.wake()
    await asyncio.wait_for(shop.method.worked.wait(), 10)
    assert shop.method.rounds == 2
    await shop.office.stop()
    shop.office.wake()
    await asyncio.sleep(0)
    assert shop.method.rounds == 2


async def test_background_work_survives_its_faults(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What a round raises is logged without its message, which may quote a secret, and it goes on."""
    monkeypatch.setattr(back_office, "_AFTER_A_FAULT", 0.01)
    shop.method.fault = ValueError("sk_live_secret")
    await shop.office.start()
    shop.method.worked.clear()
    await asyncio.wait_for(shop.method.worked.wait(), 10)
    assert "ValueError" in caplog.text
    assert "secret" not in caplog.text
    shop.method.fault = LedgerError("the ledger is away")
    shop.method.worked.clear()
    await asyncio.wait_for(shop.method.worked.wait(), 10)


async def test_reconciling_begins_at_once_and_by_itself(shop: Shop) -> None:
    """A worker that starts finds out what its predecessor left."""
    payment = await shop.payment(State.UNKNOWN, spent=True)
    await shop.office.start()
    async with asyncio.timeout(10):
        while await shop.state(payment) is not State.SETTLED:
            await asyncio.sleep(0.01)
