"""The commands, put together, and the edge where errors become one sentence and an exit code.

Whatever a command needs beside typer it imports when it runs: `--help` and a typing mistake answer at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

import coinslot
from coinslot.cli import account, link, pay, sandbox, stripe
from coinslot.cli.output import failed
from coinslot.cli.payments import commands as payments

app = typer.Typer(
    name="coinslot",
    help="Pay for HTTP endpoints that charge, and look after what yours were paid.",
    epilog="Start with:  coinslot account create  then  coinslot pay URL --dry-run",
    # Typer's rich help takes a quarter of a second to import, and draws boxes into pipes.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.command("pay", epilog=pay.EPILOG)(pay.pay)
app.add_typer(account.app, name="account")
app.add_typer(link.app, name="link")
app.add_typer(payments.app, name="payments")
app.add_typer(stripe.app, name="stripe")
app.add_typer(sandbox.app, name="sandbox")


def run(arguments: Sequence[str]) -> int:
    """Run the command line `arguments` (without the program's name); return the exit code."""
    try:
        app(arguments, prog_name="coinslot")
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 1
    except BaseException as error:  # noqa: BLE001 - the outermost edge
        return failed(error)
    return 0


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"coinslot {coinslot.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Options that stand before the command."""
