"""What is the memory ledger's own: its bounds."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from coinslot.errors import LedgerError
from coinslot.payments.answers import MAX_ANSWER
from coinslot.payments.payment import State
from coinslot.payments.refunds import RefundState, advance_refund
from coinslot.server.engine import LATE
from coinslot.storage import MemoryLedger
from ledgers import NOW, Clock, make_answer, make_payment, make_record, make_refund, settled

FINAL = [State.DELIVERED, State.UNDELIVERED, State.FAILED]
LONG_AFTER = NOW + 2 * 3600


@pytest.mark.parametrize("state", [State.SETTLING, State.UNKNOWN, State.SETTLED])
async def test_an_unfinished_payment_is_never_forgotten(clock: Clock, state: State) -> None:
    """A ledger full of payments in a state that is not final refuses new ones, however late it is."""
    ledger = MemoryLedger(2, clock=clock)
    kept = [make_payment(state=state) for _ in range(2)]
    for payment in kept:
        await ledger.insert(payment)
    clock.now = LONG_AFTER
    with pytest.raises(LedgerError, match=r"full: 2 payments are unfinished.*sqlite:///"):
        await ledger.insert(make_payment())
    assert [await ledger.find(payment.challenge_id) for payment in kept] == kept
    assert len(ledger) == 2


@pytest.mark.parametrize("state", FINAL)
async def test_a_final_payment_makes_room_once_its_challenge_is_well_expired(
    clock: Clock, state: State
) -> None:
    """It is kept for as long as its credential might be honoured, and five minutes more: then its place can
    be another's.
    """
    kept = LATE + 300
    ledger = MemoryLedger(1, clock=clock)
    old, new = make_payment(state=state), make_payment()
    await ledger.insert(old)
    clock.now = old.expires_at + kept - 1
    with pytest.raises(LedgerError, match="full"):
        await ledger.insert(new)
    clock.now = old.expires_at + kept
    assert await ledger.find(old.challenge_id) == old
    await ledger.insert(new)
    assert await ledger.find(old.challenge_id) is None
    assert await ledger.find(new.challenge_id) == new


async def test_what_expired_first_is_forgotten_first(clock: Clock) -> None:
    """The order of forgetting is the order of expiry, not that of insertion."""
    ledger = MemoryLedger(3, clock=clock)
    expiries = [NOW + 30, NOW + 10, NOW + 20]
    payments = [make_payment(state=State.DELIVERED, expires_at=expiry) for expiry in expiries]
    for payment in payments:
        await ledger.insert(payment)
    clock.now = LONG_AFTER
    forgotten = []
    for _ in payments:
        await ledger.insert(make_payment())
        forgotten += [p for p in payments if p not in forgotten and not await ledger.find(p.challenge_id)]
    assert [payment.expires_at for payment in forgotten] == sorted(expiries)


async def test_a_payment_becomes_forgettable_when_it_becomes_final(clock: Clock) -> None:
    """What was inserted unfinished and replaced by a final state makes room like any other."""
    ledger = MemoryLedger(1, clock=clock)
    payment = make_payment()
    await ledger.insert(payment)
    assert await ledger.replace(payment, replace(payment, state=State.FAILED, revision=1))
    clock.now = LONG_AFTER
    await ledger.insert(make_payment())
    assert await ledger.find(payment.challenge_id) is None


async def test_a_payment_that_left_a_final_state_is_kept_until_it_is_final_again(clock: Clock) -> None:
    """A failed payment that turns out settled is unfinished business, and is treated as such."""
    ledger = MemoryLedger(1, clock=clock)
    failed = make_payment(state=State.FAILED)
    await ledger.insert(failed)
    assert await ledger.replace(failed, found := settled(failed))
    clock.now = LONG_AFTER
    with pytest.raises(LedgerError, match="full"):
        await ledger.insert(make_payment())
    assert await ledger.find(failed.challenge_id) == found
    assert await ledger.replace(found, replace(found, state=State.DELIVERED, revision=2))
    await ledger.insert(make_payment())
    assert await ledger.find(failed.challenge_id) is None


async def test_it_never_holds_more_than_its_capacity(clock: Clock) -> None:
    """However many payments pass through, the ledger does not grow, inside or out."""
    ledger = MemoryLedger(10, clock=clock)
    for _ in range(200):
        payment = make_payment(created_at=clock.now, expires_at=clock.now + 1)
        await ledger.insert(payment)
        await ledger.replace(payment, replace(payment, state=State.DELIVERED, revision=1))
        clock.now += 400
        assert len(ledger) <= 10
    assert all(len(part) <= 10 for part in vars(ledger).values() if hasattr(part, "__len__"))


async def test_lapsed_leases_do_not_pile_up(clock: Clock) -> None:
    """Leases that are never given back are cleared away by those that come later."""
    ledger = MemoryLedger(clock=clock)
    for number in range(10_000):
        assert await ledger.lease(f"c{number}", "owner", 10)
        clock.now += 1
    assert len(ledger._leases) < 50


async def test_live_leases_have_a_bound(clock: Clock) -> None:
    """No more leases than payments: beyond that a new one is refused, and a held one can still be renewed."""
    ledger = MemoryLedger(2, clock=clock)
    assert await ledger.lease("a", "owner", 10)
    assert await ledger.lease("b", "owner", 10)
    with pytest.raises(LedgerError, match="2 leases are held at once"):
        await ledger.lease("c", "owner", 10)
    assert await ledger.lease("a", "owner", 10)
    clock.now += 10
    assert await ledger.lease("c", "owner", 10)


def test_a_ledger_without_room_is_refused() -> None:
    """A capacity below one is a mistake that is found when it is made."""
    with pytest.raises(ValueError, match="at least one"):
        MemoryLedger(0)


async def test_a_payment_that_is_forgotten_takes_everything_of_it_along(clock: Clock) -> None:
    """Its proof, its reference, its refunds and their keys are free again."""
    ledger = MemoryLedger(1, clock=clock)
    payment = make_payment(state=State.UNDELIVERED)
    refund = make_refund(payment, state=RefundState.DONE, reference="re_1")
    await ledger.insert(payment)
    assert await ledger.insert_refund(refund)
    clock.now = LONG_AFTER
    await ledger.insert(make_payment(state=State.FAILED))
    again = make_payment(proof_key=payment.proof_key, reference=payment.reference)
    await ledger.insert(again)
    assert await ledger.find_by_reference(payment.reference) == again
    assert await ledger.find_refund("re_1") is None
    assert await ledger.insert_refund(make_refund(again, key=refund.key, id=refund.id))


async def test_a_payment_whose_refund_is_on_its_way_is_not_forgotten(clock: Clock) -> None:
    """Until that has ended, there is no room; and then there is, a little later."""
    ledger = MemoryLedger(1, clock=clock)
    payment = make_payment(state=State.UNDELIVERED)
    refund = make_refund(payment, state=RefundState.SENT)
    await ledger.insert(payment)
    assert await ledger.insert_refund(refund)
    clock.now = LONG_AFTER
    with pytest.raises(LedgerError, match="full"):
        await ledger.insert(make_payment())
    assert await ledger.replace_refund(refund, advance_refund(refund, RefundState.DONE, at=clock.now))
    clock.now = 2 * LONG_AFTER - NOW
    await ledger.insert(make_payment())
    assert await ledger.find(payment.challenge_id) is None


async def test_refunds_and_records_have_a_bound(clock: Clock) -> None:
    """Beyond it a new one is an error, and what is there stays."""
    ledger = MemoryLedger(2, clock=clock)
    payment = make_payment()
    await ledger.insert(payment)
    for _ in range(2):
        assert await ledger.insert_refund(make_refund(payment))
        assert await ledger.insert_record(make_record())
    with pytest.raises(LedgerError, match="full: it keeps 2 refunds"):
        await ledger.insert_refund(make_refund(payment))
    with pytest.raises(LedgerError, match="full: it keeps 2 records"):
        await ledger.insert_record(make_record())


async def test_answers_have_a_bound_in_bytes(clock: Clock) -> None:
    """Beyond it those that would end first go, and the newest is there."""
    ledger = MemoryLedger(clock=clock)
    answers = [make_answer(body=bytes(MAX_ANSWER), until=NOW + 100 + n) for n in range(300)]
    for answer in answers:
        assert await ledger.keep_answer(answer)
        assert await ledger.find_answer(answer.challenge_id) == answer
    kept = [answer for answer in answers if await ledger.find_answer(answer.challenge_id)]
    assert kept == answers[-len(kept) :]
    assert 200 < len(kept) <= 256
