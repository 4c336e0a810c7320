"""The books, in SQL."""

from __future__ import annotations

from typing import Final

from coinslot.payments.books import Cursor, Query, Total
from coinslot.payments.payment import Payment, State
from coinslot.storage.rows import PAYMENTS, Value
from coinslot.storage.script import Dialect, Row, Script, ask
from coinslot.storage.totals import Kind, Line, Sum, add_up

Condition = tuple[str, Value]

_LINE: Final = "day, payments.method, payments.currency, payments.route"


def select(query: Query, after: Cursor | None, newest_first: bool, limit: int) -> Script[list[Payment]]:
    """`Books.select`.

    Each state is asked for by itself, so that a page takes as long as it is large: the index has the payments
    of one state in their order, and of several it has not.
    """
    direction, beyond = (" DESC", "<") if newest_first else ("", ">")
    order = f"ORDER BY created_at{direction}, challenge_id{direction} LIMIT ?"
    parts: list[str] = []
    values: list[Value] = []
    states: list[State | None] = [*sorted(query.states)]
    for state in states or [None]:
        conditions = _conditions(query)
        if state is not None:
            conditions.append(("payments.state = ?", state.value))
        where, page = _where(conditions)
        if after is not None:
            where += f" AND (created_at, challenge_id) {beyond} (?, ?)"
            page += after
        parts.append(f"SELECT * FROM (SELECT {PAYMENTS.names} FROM payments {where} {order}) AS page")  # noqa: S608 - constants, as in all that follow
        values += (*page, limit)
    rows = yield from ask(f"{' UNION ALL '.join(parts)} {order}", *values, limit)
    return [PAYMENTS.from_row(row) for row in rows]


def totals(query: Query, dialect: Dialect) -> Script[list[Total]]:
    """`Books.totals`. One statement, so that payments and refunds are of one moment."""
    conditions = _conditions(query)
    where, values = _where(conditions)
    if query.states:
        where += f" AND payments.state IN ({', '.join('?' * len(query.states))})"
        values += tuple(state.value for state in sorted(query.states))
    day = f"{dialect.day.format('payments.created_at')} AS day"
    rows = yield from ask(
        f"SELECT {day}, method, currency, route, '{Kind.PAYMENT}', state, count(*), "  # noqa: S608
        f"{dialect.total.format('amount')} FROM payments {where} GROUP BY {_LINE}, payments.state "
        f"UNION ALL SELECT {day}, method, currency, route, '{Kind.REFUND}', refunds.state, count(*), "
        f"{dialect.total.format('refunds.amount')} FROM refunds "
        f"JOIN payments ON payments.challenge_id = refunds.challenge_id {where} "
        f"GROUP BY {_LINE}, refunds.state",
        *values,
        *values,
    )
    return add_up(_sum(row) for row in rows)


def _sum(row: Row) -> Sum:
    day, method, currency, route, kind, state, number, amount = map(str, row)
    line = Line(int(day), method, currency, route)
    return Sum(line, Kind(kind), state, int(number), int(amount))


def _conditions(query: Query) -> list[Condition]:
    """What every payment must meet, but for its state."""
    wanted: list[Condition] = [
        ("payments.created_at >= ?", query.since),
        ("payments.created_at < ?", query.until),
        ("payments.method = ?", query.method),
        ("payments.currency = ?", query.currency),
        ("payments.route = ?", query.route),
        ("payments.payer = ?", query.payer),
        ("payments.recipient = ?", query.recipient),
        ("payments.disputed = ?", None if query.disputed is None else int(query.disputed)),
    ]
    return [(condition, value) for condition, value in wanted if value is not None]


def _where(conditions: list[Condition]) -> tuple[str, tuple[Value, ...]]:
    clauses = ["true", *(condition for condition, _ in conditions)]
    return f"WHERE {' AND '.join(clauses)}", tuple(value for _, value in conditions)
