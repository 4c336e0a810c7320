"""`coinslot sandbox`: payment networks in a box, in the foreground."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

app = typer.Typer(
    help="Run a payment network on this machine, to test against.",
    rich_markup_mode=None,
    no_args_is_help=True,
)


Port = Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help="On 127.0.0.1; 0 is any.")]
StripeState = Annotated[
    str,
    typer.Option(metavar="FILE", help="Where Stripe keeps everything; :memory: keeps nothing."),
]
LinkState = Annotated[
    str, typer.Option(metavar="FILE", help="Where Link keeps everything; :memory: keeps nothing.")
]
Unattended = Annotated[
    bool, typer.Option("--unattended", help="Link allows every login, and approves every request.")
]


@app.command()
def up(
    tempo_port: Port = 8545,
    stripe_port: Port = 12111,
    link: Annotated[bool, typer.Option("--link", help="Run a Link wallet as well.")] = False,
    link_port: Port = 4280,
    stripe_state: StripeState = "coinslot-stripe.db",
    link_state: LinkState = "coinslot-link.db",
    unattended: Unattended = False,
) -> None:
    """Run Tempo and Stripe together until Ctrl-C. Stripe watches the chain for deposits.

    Prints what to paste into the shells of a seller and a buyer. A restart loses nothing of Stripe's and
    Link's; the chain begins anew.
    """
    from coinslot.sandbox.serving import serve

    serve(
        tempo_port=tempo_port,
        stripe_port=stripe_port,
        link_port=link_port if link else None,
        stripe_state=stripe_state,
        link_state=link_state,
        unattended=unattended,
        echo=typer.echo,
    )


@app.command()
def tempo(
    port: Port = 8545,
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


@app.command()
def link(
    port: Port = 4280,
    state: LinkState = "coinslot-link.db",
    stripe_url: Annotated[
        str | None, typer.Option("--stripe-url", metavar="URL", help="A Stripe API to draw tokens from.")
    ] = None,
    stripe_key: Annotated[
        str | None,
        typer.Option(
            "--stripe-key", metavar="KEY", envvar="LINK_SANDBOX_STRIPE_KEY", help="A test key there."
        ),
    ] = None,
    draw: Annotated[
        Literal["issued", "granted"],
        typer.Option(metavar="HOW", help="granted if the key is the seller's, not the agent's."),
    ] = "issued",
    unattended: Unattended = False,
) -> None:
    """Run a Link wallet until Ctrl-C. You are its user, on the pages that it serves.

    It is for `coinslot link`, and for link-cli.
    """
    from coinslot.sandbox.link import serve

    serve(
        port=port,
        state=state,
        stripe_url=stripe_url,
        stripe_key=stripe_key,
        draw=draw,
        unattended=unattended,
        echo=typer.echo,
    )


@app.command()
def stripe(
    port: Port = 12111,
    state: StripeState = "coinslot-stripe.db",
    chain: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A Tempo node on this machine, to watch for deposits."),
    ] = None,
    rate_limit: Annotated[
        float | None,
        typer.Option("--rate-limit", metavar="N", min=1, help="Requests a second; Stripe's is 25."),
    ] = None,
) -> None:
    """Run Stripe's API for machine payments until Ctrl-C. A restart on the same file loses nothing.

    Clients take its address in place of https://api.stripe.com; a browser finds the payments there.
    """
    from coinslot.sandbox.stripe import serve

    serve(port=port, state=state, chain=chain, rate_limit=rate_limit, echo=typer.echo)
