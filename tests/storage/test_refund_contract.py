"""What `coinslot.payments.refunds.RefundLedger` promises, asked of every ledger."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from coinslot.errors import LedgerError
from coinslot.payments.ledger import Ledger
from coinslot.payments.method import Recovery
from coinslot.payments.payment import Payment
from coinslot.payments.refunds import OPEN_REFUNDS, Refund, RefundState, advance_refund
from ledgers import NOW, make_payment, make_refund


@pytest.fixture
async def payment(ledger: Ledger) -> Payment:
    """A payment of 10,000 base units that is in the ledger."""
    made = make_payment()
    await ledger.insert(made)
    return made


async def test_a_refund_is_found_as_it_was_written(ledger: Ledger, payment: Payment) -> None:
    """Every member survives, the optional ones set."""
    refund = make_refund(payment, reference="re_1", reason="asked", recovery=Recovery(b"\x00raw"), revision=3)
    assert await ledger.insert_refund(refund)
    assert await ledger.select_refunds(payment.challenge_id) == [refund]
    assert await ledger.find_refund("re_1") == refund


async def test_absent_members_stay_absent(ledger: Ledger, payment: Payment) -> None:
    """What was left out is left out when it is found; what nobody wrote is not found."""
    refund = make_refund(payment)
    assert await ledger.insert_refund(refund)
    assert await ledger.select_refunds(payment.challenge_id) == [refund]
    assert await ledger.find_refund("re_1") is None
    assert await ledger.select_refunds("nobody's") == []


@pytest.mark.parametrize("state", list(RefundState))
async def test_every_state_can_be_kept(ledger: Ledger, payment: Payment, state: RefundState) -> None:
    """There is no state that a ledger refuses, and the open ones are listed as such."""
    refund = make_refund(payment, state=state)
    assert await ledger.insert_refund(refund)
    assert await ledger.select_refunds(payment.challenge_id) == [refund]
    is_open = bool(await ledger.select_open_refunds(until=NOW, limit=10))
    assert is_open == (state in OPEN_REFUNDS)


async def test_refunds_never_exceed_what_was_paid(ledger: Ledger, payment: Payment) -> None:
    """What is left can be refunded to the last base unit, and not one more."""
    assert not await ledger.insert_refund(make_refund(payment, amount=10_001))
    assert await ledger.insert_refund(make_refund(payment, amount=9_999))
    assert not await ledger.insert_refund(make_refund(payment, amount=2))
    assert await ledger.insert_refund(make_refund(payment, amount=1))
    assert not await ledger.insert_refund(make_refund(payment, amount=1))
    assert [refund.amount for refund in await ledger.select_refunds(payment.challenge_id)] == [9_999, 1]


async def test_what_is_left_is_exact_beyond_64_bits(ledger: Ledger) -> None:
    """A base unit counts among amounts that no machine word holds."""
    payment = make_payment(amount=10**40)
    await ledger.insert(payment)
    assert await ledger.insert_refund(make_refund(payment, amount=10**40 - 1))
    assert not await ledger.insert_refund(make_refund(payment, amount=2))
    assert await ledger.insert_refund(make_refund(payment, amount=1))


async def test_a_refund_that_failed_makes_room(ledger: Ledger, payment: Payment) -> None:
    """Its amount is left again; one that is done, or on its way, keeps its own."""
    first = make_refund(payment, amount=10_000)
    assert await ledger.insert_refund(first)
    assert await ledger.replace_refund(first, advance_refund(first, RefundState.FAILED, at=NOW + 1))
    second = make_refund(payment, amount=10_000)
    assert await ledger.insert_refund(second)
    assert await ledger.replace_refund(second, advance_refund(second, RefundState.DONE, at=NOW + 1))
    assert not await ledger.insert_refund(make_refund(payment, amount=1))


async def test_of_fifty_refunds_at_once_no_more_than_was_paid_is_written(
    ledger: Ledger, payment: Payment
) -> None:
    """Fifty of a third each: three fit, whoever comes first."""
    refunds = [make_refund(payment, amount=3_333) for _ in range(50)]
    answers = await asyncio.gather(*(ledger.insert_refund(refund) for refund in refunds))
    assert answers.count(True) == 3
    written = {refund.id for refund, answer in zip(refunds, answers, strict=True) if answer}
    assert {refund.id for refund in await ledger.select_refunds(payment.challenge_id)} == written


@pytest.mark.parametrize("amount", [0, -1])
async def test_a_refund_is_of_something(ledger: Ledger, payment: Payment, amount: int) -> None:
    """A refund of nothing, or of less, would make room for others: `ValueError`."""
    with pytest.raises(ValueError, match="at least one"):
        await ledger.insert_refund(make_refund(payment, amount=amount))
    assert await ledger.select_refunds(payment.challenge_id) == []


async def test_a_refund_needs_a_payment(ledger: Ledger) -> None:
    """What was never paid is not refunded."""
    with pytest.raises(LedgerError, match="no payment"):
        await ledger.insert_refund(make_refund(make_payment()))


@pytest.mark.parametrize("member", ["id", "key"])
async def test_ids_and_keys_of_refunds_are_unique(ledger: Ledger, payment: Payment, member: str) -> None:
    """A second refund under the same id or key is an error, of another payment too, and changes nothing."""
    other = make_payment()
    await ledger.insert(other)
    first = make_refund(payment, amount=10_000)
    assert await ledger.insert_refund(first)
    for paid in (payment, other):
        second = make_refund(paid, **{member: getattr(first, member)})
        with pytest.raises(LedgerError, match="this id or this key"):
            await ledger.insert_refund(second)
    assert await ledger.select_refunds(payment.challenge_id) == [first]
    assert await ledger.select_refunds(other.challenge_id) == []


async def test_of_twenty_refunds_with_one_key_one_is_written(ledger: Ledger) -> None:
    """Twenty at once, of twenty payments: one is written, all others are an error and leave nothing."""
    payments = [make_payment() for _ in range(20)]
    for payment in payments:
        await ledger.insert(payment)
    refunds = [make_refund(payment, key="the one") for payment in payments]
    answers = await asyncio.gather(
        *(ledger.insert_refund(refund) for refund in refunds), return_exceptions=True
    )
    assert answers.count(True) == 1
    assert [type(answer) for answer in answers if answer is not True] == [LedgerError] * 19
    written = [found for payment in payments for found in await ledger.select_refunds(payment.challenge_id)]
    assert written == [refunds[answers.index(True)]]


async def test_replace_writes_the_next_revision(ledger: Ledger, payment: Payment) -> None:
    """State, time, reference, reason and recovery may change, and are found as they were given."""
    before = make_refund(payment)
    after = advance_refund(
        before, RefundState.SENT, at=NOW + 2, reference="re_1", reason="on its way", recovery=Recovery(b"raw")
    )
    assert await ledger.insert_refund(before)
    assert await ledger.replace_refund(before, after)
    assert await ledger.find_refund("re_1") == after


async def test_of_fifty_moves_from_one_revision_one_is_made(ledger: Ledger, payment: Payment) -> None:
    """Fifty workers that saw the same revision: one wins, and its move is what is found."""
    before = make_refund(payment)
    assert await ledger.insert_refund(before)
    moves = [advance_refund(before, RefundState.SENT, at=NOW, reference=str(n)) for n in range(50)]
    answers = await asyncio.gather(*(ledger.replace_refund(before, after) for after in moves))
    assert answers.count(True) == 1
    assert await ledger.select_refunds(payment.challenge_id) == [moves[answers.index(True)]]


async def test_a_refund_that_is_not_there_is_not_replaced(ledger: Ledger, payment: Payment) -> None:
    """A refund that was never inserted cannot be replaced into being."""
    refund = make_refund(payment)
    assert not await ledger.replace_refund(refund, advance_refund(refund, RefundState.SENT, at=NOW))
    assert await ledger.select_refunds(payment.challenge_id) == []


@pytest.mark.parametrize(
    "changes",
    [{"revision": 2}, {"id": "other"}, {"challenge_id": "other"}, {"key": "other"}, {"amount": 1}],
)
async def test_replace_refuses_what_is_not_the_next_revision(
    ledger: Ledger, payment: Payment, changes: dict[str, object]
) -> None:
    """A caller's bug is a `ValueError`, and the refund stays as it was."""
    before = make_refund(payment)
    assert await ledger.insert_refund(before)
    after = advance_refund(before, RefundState.SENT, at=NOW)
    with pytest.raises(ValueError, match=r"keeps its|comes next"):
        await ledger.replace_refund(before, replace(after, **changes))
    assert await ledger.select_refunds(payment.challenge_id) == [before]


async def test_the_newest_of_a_reference_is_found(ledger: Ledger, payment: Payment) -> None:
    """Should the world use a name twice, the later one is meant."""
    refunds = [make_refund(payment, amount=1, created_at=NOW + at, reference="re_1") for at in (1, 3, 2)]
    for refund in refunds:
        assert await ledger.insert_refund(refund)
    assert await ledger.find_refund("re_1") == refunds[1]


async def test_refunds_are_listed_in_their_order(ledger: Ledger, payment: Payment) -> None:
    """The refunds of a payment by when they were made, and no other payment's."""
    other = make_payment()
    await ledger.insert(other)
    assert await ledger.insert_refund(make_refund(other))
    refunds: list[Refund] = [make_refund(payment, amount=1, created_at=NOW + at) for at in (3, 1, 2)]
    for refund in refunds:
        assert await ledger.insert_refund(refund)
    assert await ledger.select_refunds(payment.challenge_id) == [refunds[1], refunds[2], refunds[0]]


async def test_open_refunds_are_listed_by_when_they_were_touched(ledger: Ledger, payment: Payment) -> None:
    """Those touched by then, the longest ago first, no more than asked for, and none that has ended."""
    states = [RefundState.SENT, RefundState.REQUESTED, RefundState.UNKNOWN, RefundState.DONE]
    refunds = [
        make_refund(payment, amount=1, state=state, updated_at=NOW + at)
        for state, at in zip(states, (3, 1, 2, 0), strict=True)
    ]
    for refund in refunds:
        assert await ledger.insert_refund(refund)
    assert await ledger.select_open_refunds(until=NOW + 2, limit=10) == [refunds[1], refunds[2]]
    assert await ledger.select_open_refunds(until=NOW + 9, limit=1) == [refunds[1]]
    assert await ledger.select_open_refunds(until=NOW + 0.5, limit=10) == []
