"""The options that the commands of `coinslot link` share."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from coinslot.cli.output import CommandError, Exit

TOKEN: Final = "shared_payment_token"  # noqa: S105 - the name of a kind

ApiUrl = Annotated[
    str,
    typer.Option("--api-url", metavar="URL", envvar="LINK_API_BASE_URL", help="Link's API, or a sandbox's."),
]
AuthUrl = Annotated[
    str,
    typer.Option(
        "--auth-url", metavar="URL", envvar="LINK_AUTH_BASE_URL", help="Link's login, or a sandbox's."
    ),
]
AsJSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]
NoOpen = Annotated[bool, typer.Option("--no-open", help="Open no browser; only print the address.")]
Identifier = Annotated[str, typer.Argument(metavar="ID", help="The spend request: lsrq_…")]
Include = Annotated[
    list[str] | None,
    typer.Option(
        "--include",
        metavar="WHAT",
        help="shared_payment_token prints the token, which is as good as money.",
    ),
]
Timeout = Annotated[
    float,
    typer.Option(metavar="SECONDS", min=0, show_default=False, help="How long to wait for approval; 600."),
]


def wants_token(include: list[str] | None) -> bool:
    """Whether --include names the token. Raises `CommandError` if it names anything else."""
    for what in include or ():
        if what != TOKEN:
            raise CommandError(f"--include {what!r} will not do: there is {TOKEN}", Exit.USAGE)
    return bool(include)
