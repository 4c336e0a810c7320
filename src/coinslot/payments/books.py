"""The books: questions about many payments at once."""

from __future__ import annotations

from typing import Protocol, TypeAlias

from msgspec import Struct

from coinslot.payments.payment import Payment, State

Cursor: TypeAlias = tuple[float, str]
"""Where a page ended: the last payment's `created_at` and `challenge_id`."""


class Query(Struct, frozen=True, kw_only=True):
    """Which payments. What is left out, or empty, does not matter.

    `since` (inclusive) and `until` (exclusive) are Unix seconds and go by `created_at`. `route` is exact, as
    in `Payment.route`.
    """

    since: float | None = None
    until: float | None = None
    states: frozenset[State] = frozenset()
    method: str | None = None
    currency: str | None = None
    route: str | None = None
    payer: str | None = None
    recipient: str | None = None
    disputed: bool | None = None


class Total(Struct, frozen=True, kw_only=True):
    """What came in on one day (UTC, of `created_at`: `2026-11-24`) by one method, currency and route.

    `payments` is how many there are, whatever became of them; a refund counts where its payment does. All
    amounts are base units. `settled` counts every payment whose money is here, `delivered` those of them
    whose resource went out, `undelivered` those given up; `unapplied` is money that came and was no payment;
    `refunded` is what of all that is through to the payers, `refunding` what is on its way.
    """

    day: str
    method: str
    currency: str
    route: str
    payments: int
    settled: int
    delivered: int
    undelivered: int
    unapplied: int
    refunded: int
    refunding: int


class Books(Protocol):
    """Reading from many rows. May raise `LedgerError`."""

    async def select(
        self, query: Query, *, after: Cursor | None = None, newest_first: bool = False, limit: int = 100
    ) -> list[Payment]:
        """A page of payments in the order of `(created_at, challenge_id)`, beginning behind `after`."""
        ...

    async def totals(self, query: Query) -> list[Total]:
        """Sums, exact, in the order of day, method, currency, route."""
        ...
