"""The audit: the ledger against what the world says, for a range of time. Read-only.

    summary = Summary()
    async for difference in audit(ledger, paywall.methods, since=since, until=until, summary=summary):
        ...

Theory of operation. The ledger is read in pages, in the order in which payments were written down, and the
pages divide the range into slices of time. For each slice the world is asked what moved in it, and a little
before and after, since money moves a moment before or after its payment is written down. So at any moment one
page is held, however many payments there are.

    of each payment     the world has to know its money, to the base unit
    of each movement    the ledger has to know its payment, whenever that was written down

Payments that the world seems not to know are asked about again, in an ever wider range: one may have been
shown long after it was made. Several payments can share one reference; then their sums are compared. A
payment of nothing moved nothing, so it is passed over.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final

from coinslot.payments.books import Query, Total
from coinslot.payments.comparison import Comparison
from coinslot.payments.differences import Difference, Kind, Summary
from coinslot.payments.ledger import Ledger
from coinslot.payments.method import Audits, ServerMethod
from coinslot.payments.payment import Payment
from coinslot.payments.refunds import Refund

_BEFORE_THE_FIRST: Final = 3 * 86_400.0
_MOST_OPEN_REFUNDS: Final = 10_000


async def audit(
    ledger: Ledger,
    methods: Sequence[ServerMethod],
    *,
    since: float,
    until: float,
    summary: Summary | None = None,
) -> AsyncIterator[Difference]:
    """Every difference between the ledger and what the methods say of the world, as it is found.

    `since` (inclusive) and `until` (exclusive) are Unix seconds, and go by when a payment was written down
    and when money moved. Refunds that are not decided are told of whenever they were made. `summary` is
    filled in on the way. What is older by days than the ledger's first payment is not its business, and not
    asked about. Raises `LedgerError`; a method that fails is a difference (`NOT_AUDITED`).
    """
    summary = Summary() if summary is None else summary
    for first in await ledger.select(Query(), limit=1):
        since = max(since, first.created_at - _BEFORE_THE_FIRST)
    totals = await ledger.totals(Query(since=since, until=until))
    for difference in _left_out(methods, totals):
        yield summary.add(difference)
    for refund in await ledger.select_open_refunds(until=float("inf"), limit=_MOST_OPEN_REFUNDS):
        yield summary.add(_undecided_refund(refund, await ledger.find(refund.challenge_id)))
    intents = {(method.name, method.intent) for method in methods}
    for method in methods:
        if isinstance(method, Audits):
            comparison = Comparison(ledger, method, intents, totals, since, until, summary)
            async for difference in comparison.run():
                yield summary.add(difference)


def _left_out(methods: Sequence[ServerMethod], totals: Iterable[Total]) -> list[Difference]:
    """Methods that cannot say what the world knows, and those of payments that no method is there for."""
    differences = [
        Difference(
            kind=Kind.NOT_AUDITED,
            method=method.name,
            detail=f"the method {method.name}/{method.intent} cannot say what the world knows",
        )
        for method in methods
        if not isinstance(method, Audits)
    ]
    known = {method.name for method in methods}
    for name in sorted({total.method for total in totals} - known):
        detail = f"there are payments by {name}, and no such method to ask"
        differences.append(Difference(kind=Kind.NOT_AUDITED, method=name, detail=detail))
    return differences


def _undecided_refund(refund: Refund, payment: Payment | None) -> Difference:
    return Difference(
        kind=Kind.REFUND_UNDECIDED,
        method="" if payment is None else payment.method,
        detail=f"the refund is {refund.state}: {refund.reason or 'no answer yet'}",
        reference=refund.reference,
        currency=None if payment is None else payment.currency,
        recorded=refund.amount,
        challenge_id=refund.challenge_id,
        refund_id=refund.id,
        payer=None if payment is None else payment.payer,
        at=refund.created_at,
    )
