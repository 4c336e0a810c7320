"""The audit from the command line: a line for each difference as it is found, and a summary."""

from __future__ import annotations

import json
import time

from coinslot.cli.output import print_line, printable, say
from coinslot.cli.payments.money import unit_of
from coinslot.cli.payments.printing import counted
from coinslot.cli.payments.times import exact_time, short_time
from coinslot.payments.audit import audit as find_differences
from coinslot.payments.differences import Difference, Kind, Summary
from coinslot.protocol import JSONObject
from coinslot.server.paywall import Paywall

_WIDTH = max(map(len, Kind))


async def audit(paywall: Paywall, *, since: float | None, until: float | None, as_json: bool) -> int:
    """Print every difference; how many there are. Times are Unix seconds. Raises `LedgerError`."""
    summary = Summary()
    start, end = since or 0.0, time.time() if until is None else until
    async for difference in find_differences(
        paywall.ledger, paywall.methods, since=start, until=end, summary=summary
    ):
        print_line(json.dumps(_describe(difference)) if as_json else printable(_line(difference)))
    say(
        f"coinslot: compared {counted(summary.payments, 'payment')} with"
        f" {counted(summary.movements, 'movement')} from {short_time(start)} to {short_time(end)}"
    )
    for (method, currency), sums in sorted(summary.sums.items()):
        unit = unit_of(method, currency)
        say(
            f"coinslot: {method}: {unit.display(sums.recorded)} recorded and {unit.display(sums.received)}"
            f" received, {unit.display(sums.refunds_recorded)} recorded as refunded and"
            f" {unit.display(sums.refunds_received)} sent back"
        )
    return sum(summary.differences.values())


def _line(difference: Difference) -> str:
    return "  ".join(
        part
        for part in (
            difference.kind.ljust(_WIDTH),
            short_time(difference.at),
            difference.method,
            _amounts(difference),
            difference.refund_id or difference.reference or difference.challenge_id or "",
            difference.detail,
        )
        if part
    )


def _amounts(difference: Difference) -> str:
    if difference.currency is None:
        return ""
    unit = unit_of(difference.method, difference.currency)
    sides = (("recorded", difference.recorded), ("received", difference.received))
    return ", ".join(f"{name} {unit.display(amount)}" for name, amount in sides if amount is not None)


def _describe(difference: Difference) -> JSONObject:
    unit = None if difference.currency is None else unit_of(difference.method, difference.currency)
    members: JSONObject = {
        "kind": difference.kind.value,
        "method": difference.method,
        "detail": difference.detail,
        "at": exact_time(difference.at),
        "currency": difference.currency,
        "asset": None if unit is None else unit.symbol,
        "reference": difference.reference,
        "challenge_id": difference.challenge_id,
        "refund_id": difference.refund_id,
        "payer": difference.payer,
    }
    for name, amount in (("recorded", difference.recorded), ("received", difference.received)):
        members[name] = None if unit is None or amount is None else unit.amount(amount)
        members[f"{name}_base_units"] = None if amount is None else str(amount)
    return members
