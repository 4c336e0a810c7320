"""Sums of payments and refunds, put together into the lines of the books."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, NamedTuple

from coinslot.payments.books import Total
from coinslot.payments.payment import State
from coinslot.payments.refunds import OPEN_REFUNDS, RefundState

DAY: Final = 86_400
"""Seconds."""


class Kind(StrEnum):
    """What a sum is of."""

    PAYMENT = "payment"
    REFUND = "refund"


class Line(NamedTuple):
    """Where a sum belongs. `day` counts from 1970; a refund belongs where its payment does."""

    day: int
    method: str
    currency: str
    route: str


class Sum(NamedTuple):
    """How many payments or refunds there are in one state, and what they come to, in base units."""

    line: Line
    kind: Kind
    state: str
    number: int
    amount: int


_COLUMNS: Final[dict[tuple[Kind, str], tuple[str, ...]]] = {
    (Kind.PAYMENT, State.SETTLED): ("settled",),
    (Kind.PAYMENT, State.DELIVERED): ("settled", "delivered"),
    (Kind.PAYMENT, State.UNDELIVERED): ("settled", "undelivered"),
    (Kind.PAYMENT, State.UNAPPLIED): ("unapplied",),
    (Kind.REFUND, RefundState.DONE): ("refunded",),
    **{(Kind.REFUND, state): ("refunding",) for state in OPEN_REFUNDS},
}


def add_up(sums: Iterable[Sum]) -> list[Total]:
    """One total for each line, in their order."""
    lines: defaultdict[Line, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for each in sums:
        columns = lines[each.line]
        if each.kind is Kind.PAYMENT:
            columns["payments"] += each.number
        for column in _COLUMNS.get((each.kind, each.state), ()):
            columns[column] += each.amount
    return [_total(line, lines[line]) for line in sorted(lines)]


def _total(line: Line, columns: dict[str, int]) -> Total:
    return Total(
        day=datetime.fromtimestamp(line.day * DAY, UTC).date().isoformat(),
        method=line.method,
        currency=line.currency,
        route=line.route,
        payments=columns["payments"],
        settled=columns["settled"],
        delivered=columns["delivered"],
        undelivered=columns["undelivered"],
        unapplied=columns["unapplied"],
        refunded=columns["refunded"],
        refunding=columns["refunding"],
    )
