"""`coinslot payments list`, `show`, `export` and `totals`: reading the books. They change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from coinslot.cli.output import Exit, exit_table, print_json, say
from coinslot.cli.payments import office
from coinslot.cli.payments.options import (
    AsJSON,
    AsLines,
    By,
    Currency,
    Disputed,
    Grouping,
    Identifier,
    LedgerURL,
    Method,
    Payer,
    Route,
    Since,
    States,
    Until,
    to_query,
)

if TYPE_CHECKING:
    from coinslot.payments.ledger import Ledger
    from coinslot.payments.payment import Payment
    from coinslot.payments.refunds import Refund

EPILOG = "Exit codes:\n\n\b\n" + exit_table(
    Exit.OK, Exit.USAGE, Exit.CANNOT_WRITE, Exit.NO_PAYMENT, Exit.INTERRUPTED, Exit.FAILURE
)

app = typer.Typer(
    help="Look after what a seller was paid.",
    epilog=(
        "Reading needs the ledger alone. What moves or looks for money needs the methods too, and so your "
        "Paywall: --paywall MODULE:NAME, or COINSLOT_PAYWALL."
    ),
    rich_markup_mode=None,
    no_args_is_help=True,
)


@app.command("list", epilog=EPILOG)
def list_(
    ledger: LedgerURL = None,
    since: Since = None,
    until: Until = None,
    method: Method = None,
    state: States = None,
    route: Route = None,
    payer: Payer = None,
    currency: Currency = None,
    disputed: Disputed = False,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="Show so many.")] = 50,
    after: Annotated[
        str | None, typer.Option(metavar="PAYMENT", help="Go on behind this one, where a list ended.")
    ] = None,
    as_json: AsLines = False,
) -> None:
    """List payments, the newest one first."""
    from coinslot.cli.payments.described import describe, print_payments
    from coinslot.cli.payments.ledgers import read_ledger
    from coinslot.cli.payments.lookup import find_payment, handle
    from coinslot.cli.payments.printing import print_lines

    query = to_query(
        since=since,
        until=until,
        method=method,
        states=state,
        route=route,
        payer=payer,
        currency=currency,
        disputed=disputed,
    )

    async def find(books: Ledger) -> list[Payment]:
        last = None if after is None else await find_payment(books, after)
        cursor = None if last is None else (last.created_at, last.challenge_id)
        return await books.select(query, after=cursor, newest_first=True, limit=limit + 1)

    found = read_ledger(ledger, find)
    page, more = found[:limit], len(found) > limit
    if as_json:
        print_lines(map(describe, page))
    elif page:
        print_payments(page)
    else:
        say("coinslot: there is no such payment")
    if more:
        say(f"coinslot: there are more: go on with --after {handle(page[-1])}")


@app.command(epilog=EPILOG)
def show(payment: Identifier, ledger: LedgerURL = None, as_json: AsJSON = False) -> None:
    """Show everything of one payment, and its refunds."""
    from coinslot.cli.payments.described import describe_all, print_payment
    from coinslot.cli.payments.ledgers import read_ledger
    from coinslot.cli.payments.lookup import find_payment

    async def find(books: Ledger) -> tuple[Payment, list[Refund]]:
        found = await find_payment(books, payment)
        return found, await books.select_refunds(found.challenge_id)

    found, refunds = read_ledger(ledger, find)
    if as_json:
        print_json(describe_all(found, refunds))
    else:
        print_payment(found, refunds)


@app.command(epilog=EPILOG)
def export(
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="Write to a file, not to stdout.")
    ] = None,
    form: Annotated[
        Literal["csv", "jsonl"], typer.Option("--format", metavar="FORMAT", help="csv, or jsonl.")
    ] = "csv",
    ledger: LedgerURL = None,
    since: Since = None,
    until: Until = None,
    method: Method = None,
    state: States = None,
    route: Route = None,
    payer: Payer = None,
    currency: Currency = None,
    disputed: Disputed = False,
) -> None:
    """Write payments out, as CSV or JSON lines.

    The first one first, each with what of it was refunded. Amounts are exact, in base units and, where the
    currency is known, as a decimal. In CSV, text that a spreadsheet would take for a formula has a ' before
    it.
    """
    from coinslot.cli.payments import exporting
    from coinslot.cli.payments.ledgers import read_ledger
    from coinslot.cli.payments.printing import counting

    query = to_query(
        since=since,
        until=until,
        method=method,
        states=state,
        route=route,
        payer=payer,
        currency=currency,
        disputed=disputed,
    )
    with exporting.target(output) as out:
        shows = not isinstance(out, exporting.Terminal)
        with counting("exported", "payment", shows=shows) as progress:
            read_ledger(ledger, lambda books: exporting.export(books, query, out, form, progress))


@app.command(epilog=EPILOG)
def totals(
    by: Grouping = None,
    ledger: LedgerURL = None,
    since: Since = None,
    until: Until = None,
    method: Method = None,
    state: States = None,
    route: Route = None,
    payer: Payer = None,
    currency: Currency = None,
    disputed: Disputed = False,
    as_json: AsLines = False,
) -> None:
    """Add up what came in, went out and went back.

    By day (UTC), method, currency and route: what was settled against delivered against refunded. A refund
    counts on the day of its payment.
    """
    from coinslot.cli.payments.ledgers import read_ledger
    from coinslot.cli.payments.printing import print_lines
    from coinslot.cli.payments.totalling import add_up, describe_total, print_totals

    query = to_query(
        since=since,
        until=until,
        method=method,
        states=state,
        route=route,
        payer=payer,
        currency=currency,
        disputed=disputed,
    )
    groups = frozenset(by or By)
    found = add_up(read_ledger(ledger, lambda books: books.totals(query)), groups)
    if as_json:
        print_lines(map(describe_total, found))
    elif found:
        print_totals(found, groups)
    else:
        say("coinslot: there is no such payment")


app.command(epilog=office.REFUND_EPILOG)(office.refund)
app.command(epilog=office.RECONCILE_EPILOG)(office.reconcile)
app.command(epilog=office.AUDIT_EPILOG)(office.audit)
