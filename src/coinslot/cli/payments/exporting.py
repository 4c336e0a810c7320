"""The export: every payment that was asked for, as CSV or JSON lines, a page in memory at a time."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, TextIO, TypeAlias

from coinslot.cli.output import CommandError, Exit, printable, reader_may_leave
from coinslot.cli.payments.described import describe, describe_refund
from coinslot.cli.payments.money import unit_of
from coinslot.payments.books import Cursor, Query
from coinslot.payments.ledger import Ledger
from coinslot.payments.payment import Payment
from coinslot.payments.refunds import OPEN_REFUNDS, Refund, RefundState
from coinslot.protocol import JSONObject, JSONValue

Format: TypeAlias = Literal["csv", "jsonl"]

COLUMNS: Final = (
    "challenge_id", "state", "disputed", "created_at", "settled_at", "delivered_at", "method", "intent",
    "route", "amount", "base_units", "asset", "currency", "refunded", "refunded_base_units",
    "refunding_base_units", "reference", "payer", "recipient", "external_id", "attempts", "reason",
)  # fmt: skip
"""The CSV header. Columns are added at its end, and never renamed."""

_PAGE: Final = 1000

# What a spreadsheet takes for the beginning of a formula, at the beginning of a cell; or behind what some
# of them take for the end of the one before (owasp.org/www-community/attacks/CSV_Injection).
_FORMULA: Final = re.compile(r"(?:^|(?<=[;\t\r\n]))(?=[=+\-@\t\r\n])")
_TEXTS: Final = frozenset(("route", "reference", "payer", "recipient", "external_id", "reason", "currency"))

Write: TypeAlias = Callable[[Payment, Sequence[Refund]], None]


async def export(
    ledger: Ledger, query: Query, out: TextIO, form: Format, progress: Callable[[int], None]
) -> int:
    """Write the payments to `out`, the first one first; how many. `progress` is told of each page.

    Raises `LedgerError`, `ReaderLeft`, and `CommandError` where `out` cannot be written.
    """
    write = _csv(out) if form == "csv" else _json_lines(out)
    # Few days have refunds. Payments of the others need not be asked for theirs.
    refunded = {
        (total.day, total.method, total.currency, total.route)
        for total in await ledger.totals(query)
        if total.refunded or total.refunding
    }
    count = 0
    async for page in _pages(ledger, query):
        asked = [payment.challenge_id for payment in page if _line(payment) in refunded]
        answers = await asyncio.gather(*map(ledger.select_refunds, asked))
        refunds = dict(zip(asked, answers, strict=True))
        with _writing():
            for payment in page:
                write(payment, refunds.get(payment.challenge_id, []))
        count += len(page)
        progress(count)
    with _writing():
        out.flush()
    return count


def as_cell(name: str, value: JSONValue) -> str:
    """A value of the column `name` as it stands in the CSV: texts with a ' where a formula could begin."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return _FORMULA.sub("'", text) if name in _TEXTS else text


@contextmanager
def target(name: str | None) -> Iterator[TextIO]:
    """Where the export goes: stdout for None and `-`, else a file, which appears when it is whole.

    Raises `CommandError`.
    """
    if name in (None, "-"):
        if sys.stdout.isatty():
            yield Terminal()
        else:
            yield sys.stdout
        return
    path = Path(str(name)).resolve()
    if path.exists() and not path.is_file():  # a device, which must not be replaced
        with _writing(), path.open("w", encoding="utf-8", newline="") as out:
            yield out
        return
    draft = path.with_name(f".{path.name}.part")
    try:
        with _writing(), draft.open("w", encoding="utf-8", newline="") as out:
            yield out
        with _writing():
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


async def _pages(ledger: Ledger, query: Query) -> AsyncIterator[list[Payment]]:
    after: Cursor | None = None
    while page := await ledger.select(query, after=after, limit=_PAGE):
        yield page
        after = (page[-1].created_at, page[-1].challenge_id)


def _line(payment: Payment) -> tuple[str, str, str, str]:
    """The line of the totals that a payment is in."""
    day = datetime.fromtimestamp(payment.created_at, UTC).date().isoformat()
    return day, payment.method, payment.currency, payment.route


def _csv(out: TextIO) -> Write:
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)

    def write(payment: Payment, refunds: Sequence[Refund]) -> None:
        members = describe(payment) | _refund_sums(payment, refunds)
        writer.writerow([as_cell(name, members[name]) for name in COLUMNS])

    return write


def _json_lines(out: TextIO) -> Write:
    def write(payment: Payment, refunds: Sequence[Refund]) -> None:
        members = {**describe(payment), "refunds": [describe_refund(payment, refund) for refund in refunds]}
        out.write(json.dumps(members) + "\n")

    return write


def _refund_sums(payment: Payment, refunds: Sequence[Refund]) -> JSONObject:
    refunded = sum(refund.amount for refund in refunds if refund.state is RefundState.DONE)
    refunding = sum(refund.amount for refund in refunds if refund.state in OPEN_REFUNDS)
    return {
        "refunded": unit_of(payment.method, payment.currency).amount(refunded),
        "refunded_base_units": str(refunded),
        "refunding_base_units": str(refunding),
    }


@contextmanager
def _writing() -> Iterator[None]:
    with reader_may_leave():
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            raise CommandError(
                f"the export cannot be written: {error.strerror}", Exit.CANNOT_WRITE
            ) from error


class Terminal(io.StringIO):
    """stdout where it is a terminal, which nothing in a payment should move the cursor of."""

    def write(self, text: str, /) -> int:
        """Write it, printable."""
        return sys.stdout.write(printable(text))

    def flush(self) -> None:
        """Have it seen."""
        sys.stdout.flush()
