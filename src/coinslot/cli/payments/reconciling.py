"""Reconciling from the command line, and the report of what was found."""

from __future__ import annotations

from collections.abc import Sequence

from coinslot.cli.output import print_table
from coinslot.cli.payments.described import money
from coinslot.cli.payments.lookup import SHORT, handle
from coinslot.cli.payments.printing import counting, print_lines
from coinslot.payments.payment import Payment
from coinslot.payments.reconcile import Finding
from coinslot.protocol import JSONObject
from coinslot.server.paywall import Paywall


async def reconcile(paywall: Paywall, *, as_json: bool) -> int:
    """Do it now, and print what was found; how many payments and refunds are still not decided.

    Raises `LedgerError` and `ReaderLeft`.
    """
    with counting("found out", "outcome") as progress:
        count = 0

        def report(_: Finding) -> None:
            nonlocal count
            progress(count := count + 1)

        done = await paywall.office.reconcile(report)
    lines = [await _line(paywall, finding) for finding in done.findings]
    if as_json:
        print_lines(lines)
    elif lines:
        _print(lines)
    return done.undecided


async def _line(paywall: Paywall, finding: Finding) -> JSONObject:
    before, after = finding.before, finding.after
    payment = after if isinstance(after, Payment) else await paywall.ledger.find(after.challenge_id)
    return {
        "what": "payment" if isinstance(after, Payment) else "refund",
        "id": handle(after) if isinstance(after, Payment) else after.id,
        "challenge_id": after.challenge_id,
        "was": before.state.value,
        "is": after.state.value,
        "amount": "" if payment is None else money(payment, after.amount),
        "base_units": str(after.amount),
        "reference": after.reference,
        "reason": after.reason,
    }


def _print(lines: Sequence[JSONObject]) -> None:
    print_table(
        [
            (
                str(line["what"]),
                str(line["id"])[:SHORT],
                str(line["was"]),
                str(line["is"]),
                str(line["amount"]),
                str(line["reason"] or ""),
            )
            for line in lines
        ],
        headings=("WHAT", "ID", "WAS", "IS", "AMOUNT", "REASON"),
        folds=False,
    )
