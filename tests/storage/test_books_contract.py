"""What `coinslot.payments.books.Books` promises, asked of every ledger."""

from __future__ import annotations

from typing import Final

import pytest
from msgspec.structs import replace

from coinslot.payments.books import Cursor, Query, Total
from coinslot.payments.ledger import Ledger
from coinslot.payments.payment import Payment, State
from coinslot.payments.refunds import RefundState
from ledgers import NOW, make_payment, make_refund

MIDNIGHT: Final = 1_749_945_600.0  # 2025-06-15, UTC


async def write(ledger: Ledger, payments: list[Payment]) -> None:
    for payment in payments:
        await ledger.insert(payment)


async def pages(ledger: Ledger, query: Query, *, newest_first: bool = False, limit: int) -> list[Payment]:
    """All pages, one after the other."""
    found: list[Payment] = []
    after: Cursor | None = None
    while page := await ledger.select(query, after=after, newest_first=newest_first, limit=limit):
        assert len(page) <= limit
        found += page
        after = page[-1].created_at, page[-1].challenge_id
    return found


@pytest.mark.parametrize("query", [Query(), Query(states=frozenset(State))])
@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_pages_have_every_payment_once_in_order(ledger: Ledger, query: Query, limit: int) -> None:
    """By time, then by challenge in the order of code points; backwards it is the same order reversed."""
    names = ["b", "a", "B", "Ä", "d", "c", "e"]
    payments = [
        make_payment(challenge_id=name, created_at=NOW + n // 4, state=list(State)[n % len(State)])
        for n, name in enumerate(names)
    ]
    await write(ledger, payments)
    in_order = sorted(payments, key=lambda payment: (payment.created_at, payment.challenge_id))
    assert await pages(ledger, query, limit=limit) == in_order
    assert await pages(ledger, query, newest_first=True, limit=limit) == in_order[::-1]


async def test_pages_are_stable_while_payments_come_and_change(ledger: Ledger) -> None:
    """Who reads on sees what is behind the page, once, whatever is written before it."""
    payments = [make_payment(created_at=NOW + n) for n in range(6)]
    await write(ledger, payments)
    page = await ledger.select(Query(), limit=3)
    await ledger.insert(make_payment(created_at=NOW - 1))
    assert await ledger.replace(payments[0], replace(payments[0], state=State.FAILED, revision=1))
    after = (page[-1].created_at, page[-1].challenge_id)
    assert page + await ledger.select(Query(), after=after) == payments


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (Query(), "abcd"),
        (Query(since=NOW + 1), "bcd"),
        (Query(until=NOW + 2), "ab"),
        (Query(since=NOW + 1, until=NOW + 2), "b"),
        (Query(states=frozenset({State.SETTLING})), "ad"),
        (Query(states=frozenset({State.SETTLING, State.UNKNOWN})), "abd"),
        (Query(states=frozenset({State.FAILED})), ""),
        (Query(method="token"), "b"),
        (Query(currency="other"), "c"),
        (Query(route="GET /other"), "c"),
        (Query(payer="ann"), "ad"),
        (Query(recipient="bob"), "b"),
        (Query(disputed=True), "d"),
        (Query(disputed=False), "abc"),
        (Query(payer="ann", disputed=True, states=frozenset({State.SETTLING}), since=NOW), "d"),
    ],
)
async def test_a_query_chooses_payments(ledger: Ledger, query: Query, found: str) -> None:
    """Each member narrows it down, and `select` and `totals` agree about what is meant."""
    await write(
        ledger,
        [
            make_payment(challenge_id="a", payer="ann"),
            make_payment(
                challenge_id="b", created_at=NOW + 1, state=State.UNKNOWN, method="token", recipient="bob"
            ),
            make_payment(
                challenge_id="c",
                created_at=NOW + 2,
                state=State.SETTLED,
                currency="other",
                route="GET /other",
            ),
            make_payment(challenge_id="d", created_at=NOW + 3, payer="ann", disputed=True),
        ],
    )
    assert "".join(payment.challenge_id for payment in await ledger.select(query)) == found
    assert sum(total.payments for total in await ledger.totals(query)) == len(found)


async def test_totals_say_what_became_of_the_money(ledger: Ledger) -> None:
    """Each state counts where it belongs, and refunds on the line of their payment."""
    payments = {
        state: make_payment(state=state, amount=10**n, created_at=MIDNIGHT) for n, state in enumerate(State)
    }
    await write(ledger, list(payments.values()))
    paid = make_payment(state=State.UNDELIVERED, created_at=MIDNIGHT - 1)
    await ledger.insert(paid)
    for amount, state in enumerate(RefundState, start=1):
        assert await ledger.insert_refund(
            make_refund(paid, amount=amount, state=state, created_at=MIDNIGHT + 9)
        )
    amounts = {state: payment.amount for state, payment in payments.items()}
    arrived = (State.SETTLED, State.DELIVERED, State.UNDELIVERED)
    line = Total(
        day="2025-06-14",
        method="scrip",
        currency="credits",
        route="GET /paid",
        payments=1,
        settled=10_000,
        delivered=0,
        undelivered=10_000,
        unapplied=0,
        refunded=4,
        refunding=1 + 2 + 3,
    )
    assert await ledger.totals(Query()) == [
        line,
        replace(
            line,
            day="2025-06-15",
            payments=len(State),
            settled=sum(amounts[state] for state in arrived),
            delivered=amounts[State.DELIVERED],
            undelivered=amounts[State.UNDELIVERED],
            unapplied=amounts[State.UNAPPLIED],
            refunded=0,
            refunding=0,
        ),
    ]
    assert list(RefundState) == ["requested", "sent", "unknown", "done", "failed"]  # as numbered above


async def test_totals_are_exact_far_beyond_64_bits(ledger: Ledger) -> None:
    """Sums of amounts that no machine word and no float holds are right to the last base unit."""
    amounts = [10**60 + n for n in range(7)]
    await write(ledger, [make_payment(amount=amount, state=State.SETTLED) for amount in amounts])
    [total] = await ledger.totals(Query())
    assert total.settled == sum(amounts)
    paid = make_payment(amount=10**60, state=State.SETTLED)
    await ledger.insert(paid)
    assert await ledger.insert_refund(make_refund(paid, amount=10**59 + 1, state=RefundState.DONE))
    assert await ledger.insert_refund(make_refund(paid, amount=10**59 + 2, state=RefundState.DONE))
    [total] = await ledger.totals(Query())
    assert total.refunded == 2 * 10**59 + 3


async def test_a_day_begins_at_midnight_utc(ledger: Ledger) -> None:
    """The last moment of a day, to the fraction of a second, is not rounded into the next."""
    await write(ledger, [make_payment(created_at=at) for at in (MIDNIGHT - 0.0001, MIDNIGHT)])
    assert [total.day for total in await ledger.totals(Query())] == ["2025-06-14", "2025-06-15"]


async def test_totals_are_in_order(ledger: Ledger) -> None:
    """By day, method, currency, route, in the order of code points."""
    keys = [("b", "x", "GET /"), ("B", "x", "GET /"), ("B", "x", "GET /Ä"), ("B", "x", "GET /a")]
    for method, currency, route in keys:
        await ledger.insert(make_payment(method=method, currency=currency, route=route))
    await ledger.insert(make_payment(method="z", created_at=NOW - 86_400))
    found = [(total.method, total.currency, total.route) for total in await ledger.totals(Query())]
    assert found == [("z", "credits", "GET /paid"), *sorted(keys)]


async def test_the_books_of_an_empty_ledger_are_empty(ledger: Ledger) -> None:
    """No rows, no lines."""
    assert await ledger.select(Query()) == []
    assert await ledger.totals(Query()) == []
