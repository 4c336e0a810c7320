"""The totals: what came in, what went out for it and what went back, by whatever is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from coinslot.cli.output import print_table
from coinslot.cli.payments.money import unit_of
from coinslot.cli.payments.options import By
from coinslot.payments.books import Total
from coinslot.protocol import JSONObject

SUMS: Final = ("settled", "delivered", "undelivered", "unapplied", "refunded", "refunding")
_ALWAYS: Final = ("settled", "delivered", "refunded")
_HEADINGS: Final = {"refunding": "GOING BACK"}


def add_up(totals: Sequence[Total], by: frozenset[By]) -> list[Total]:
    """One total for each group, in order; day and route are empty if they do not count.

    A currency, and the method that names it, are never mixed.
    """
    groups: dict[tuple[str, ...], Total] = {}
    for total in totals:
        line = replace(
            total,
            day=total.day if By.DAY in by else "",
            route=total.route if By.ROUTE in by else "",
        )
        key = (line.day, line.method, line.currency, line.route)
        groups[key] = _sum(groups[key], line) if key in groups else line
    return [groups[key] for key in sorted(groups)]


def describe_total(total: Total) -> JSONObject:
    """A total as --json has it. Base units are strings; decimal amounts are null if they are not known."""
    unit = unit_of(total.method, total.currency)
    members: JSONObject = {
        "day": total.day or None,
        "method": total.method,
        "currency": total.currency,
        "asset": unit.symbol,
        "route": total.route or None,
        "payments": total.payments,
    }
    for name in SUMS:
        members[name] = unit.amount(getattr(total, name))
        members[f"{name}_base_units"] = str(getattr(total, name))
    return members


def print_totals(totals: Sequence[Total], by: frozenset[By]) -> None:
    """A line each. What nobody has any of gets no column."""
    sums = [name for name in SUMS if name in _ALWAYS or any(getattr(total, name) for total in totals)]
    places = [name for name in ("day", "method", "route") if name in {*by, "method"}]
    print_table(
        [
            (
                *(getattr(total, name) for name in places),
                str(total.payments),
                *(unit.shown(getattr(total, name)) for name in sums),
                unit.name,
            )
            for total in totals
            for unit in [unit_of(total.method, total.currency)]
        ],
        headings=[
            *(name.upper() for name in places),
            *(numbers := ["PAYMENTS", *(_HEADINGS.get(name, name.upper()) for name in sums)]),
            "IN",
        ],
        numbers=numbers,
        folds=False,
    )


def _sum(one: Total, other: Total) -> Total:
    names = ("payments", *SUMS)
    return replace(one, **{name: getattr(one, name) + getattr(other, name) for name in names})
