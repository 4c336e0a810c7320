"""`coinslot sandbox`: payment networks in a box, in the foreground."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    help="Run a payment network on this machine, to test against.",
    rich_markup_mode=None,
    no_args_is_help=True,
)


@app.callback()
def _sandbox() -> None:
    """Have the group keep its commands' names, however few they are."""


@app.command()
def tempo(
    port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="On 127.0.0.1; 0 is any.")
    ] = 8545,
    chain_id: Annotated[
        int, typer.Option("--chain-id", metavar="ID", help="42431 is the testnet's, 4217 the mainnet's.")
    ] = 42431,
    hardfork: Annotated[
        str, typer.Option(metavar="NAME", help="T0 takes what today's clients sign; T4 is stricter.")
    ] = "T0",
) -> None:
    """Run a Tempo chain until Ctrl-C. Nothing is kept when it stops.

    Its node is for `--rpc-url http://127.0.0.1:8545` of `coinslot account fund` and `coinslot pay`.
    """
    from coinslot.sandbox.tempo import serve

    serve(port=port, chain_id=chain_id, hardfork=hardfork, echo=typer.echo)
