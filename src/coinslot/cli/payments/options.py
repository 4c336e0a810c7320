"""The options that the commands of `coinslot payments` share, and the query that some of them make."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

import typer

from coinslot.cli.payments.times import read_time
from coinslot.payments.books import Query
from coinslot.payments.payment import State

LedgerURL = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        metavar="URL",
        envvar="COINSLOT_LEDGER",
        help="The ledger: sqlite:///FILE or postgresql://…; else coinslot.db in this directory.",
    ),
]
PaywallSpec = Annotated[
    str | None,
    typer.Option(
        "--paywall",
        metavar="MODULE:NAME",
        envvar="COINSLOT_PAYWALL",
        help="Your Paywall, as uvicorn would find it: 'shop:paywall'.",
    ),
]
Since = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Made at that time or later: 24h, 7d (ago), 2026-11-24, all UTC."),
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Made before that time.")]
Method = Annotated[str | None, typer.Option(metavar="NAME", help="By this method: tempo, stripe.")]
States = Annotated[
    list[State] | None,
    typer.Option("--state", metavar="STATE", help=f"In this state. Repeatable: {', '.join(State)}."),
]
Route = Annotated[str | None, typer.Option(metavar="ROUTE", help="For this, exactly: 'GET /paid'.")]
Payer = Annotated[str | None, typer.Option(metavar="PAYER", help="From this payer, exactly.")]
Currency = Annotated[
    str | None, typer.Option(metavar="CURRENCY", help="In this currency: usd, or a token's address.")
]
Disputed = Annotated[
    bool, typer.Option("--disputed", help="Only those that the payer's bank wants the money of back.")
]
Identifier = Annotated[
    str,
    typer.Argument(metavar="PAYMENT", help="Its id or reference, a refund's, or how one of them begins."),
]


class By(StrEnum):
    """What totals are put together by, beside the method and its currency."""

    DAY = "day"
    ROUTE = "route"
    NONE = "none"


Grouping = Annotated[
    list[By] | None,
    typer.Option(
        metavar="WHAT", help="day, route or none. Repeatable; else both. Currencies are never mixed."
    ),
]
AsJSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AsLines = Annotated[bool, typer.Option("--json", help="Print JSON, an object a line.")]


def to_query(
    *,
    since: str | None,
    until: str | None,
    method: str | None,
    states: Iterable[State] | None,
    route: str | None,
    payer: str | None,
    currency: str | None,
    disputed: bool,
) -> Query:
    """What the options ask for. Raises `CommandError`."""
    return Query(
        since=read_time("--since", since),
        until=read_time("--until", until),
        method=method,
        states=frozenset(states or ()),
        route=route,
        payer=payer,
        currency=currency,
        disputed=True if disputed else None,
    )
