"""`coinslot stripe`: what a seller tries out at Stripe in test mode, or at the sandbox."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from coinslot.cli.output import CommandError, Exit, exit_table, print_json, print_table

EPILOG = "Exit codes:\n\n\b\n" + exit_table(
    Exit.OK,
    Exit.USAGE,
    Exit.NO_CONNECTION,
    Exit.HTTP_ERROR,
    Exit.TIMEOUT,
    Exit.NO_ACCOUNT,
    Exit.UNDECIDED,
    Exit.INTERRUPTED,
    Exit.FAILURE,
    but={
        Exit.USAGE: "wrong usage, or a live key; nothing was sent",
        Exit.NO_CONNECTION: "no connection to Stripe",
        Exit.HTTP_ERROR: "Stripe refused",
        Exit.TIMEOUT: "--wait, and it was not decided in time",
        Exit.NO_ACCOUNT: "no secret key to be had",
        Exit.UNDECIDED: "Stripe did not answer, and may have done it",
    },
)

app = typer.Typer(
    help="Try out deposits at Stripe in test mode, or at the sandbox.",
    rich_markup_mode=None,
    no_args_is_help=True,
)


@app.callback()
def _stripe() -> None:
    """Have the group keep its command's name."""


@app.command("simulate-deposit", epilog=EPILOG)
def simulate_deposit(
    payment_intent: Annotated[
        str, typer.Argument(metavar="PAYMENT_INTENT", help="One that waits for a deposit: pi_…")
    ],
    outcome: Annotated[
        Literal["success", "failed"], typer.Argument(metavar="OUTCOME", help="success or failed.")
    ],
    network: Annotated[
        Literal["tempo", "base", "solana"] | None,
        typer.Option(
            metavar="NETWORK", help="tempo, base or solana; else the first that the PaymentIntent has."
        ),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has succeeded or failed.")] = False,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, show_default=False, help="How long to wait; 60.")
    ] = 60.0,
    secret_key_file: Annotated[
        str | None,
        typer.Option(
            "--secret-key-file",
            metavar="FILE",
            help="The file with the test key; - is stdin. Else STRIPE_SECRET_KEY, or it is asked for.",
        ),
    ] = None,
    api_base: Annotated[
        str | None,
        typer.Option(
            "--api-base", metavar="URL", envvar="STRIPE_API_BASE", help="The sandbox, in place of Stripe."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Have a deposit come to a PaymentIntent.

    No chain is needed, and the whole amount is deposited at once. The PaymentIntent succeeds, or wants
    another way to be paid, within 15 seconds. In test mode only: a live key is refused before anything is
    sent.
    """
    from coinslot.cli.simulation import find_test_key, simulate

    done = simulate(
        payment_intent,
        outcome,
        secret_key=find_test_key(secret_key_file),
        api_base=api_base,
        network=network,
        wait_for=timeout if wait else None,
    )
    if as_json:
        print_json(done.as_json())
    else:
        print_table(
            [
                ("PaymentIntent", done.id),
                ("Status", done.status),
                ("Amount", done.money),
                ("Network", done.network),
                ("Transaction", done.transaction_hash),
            ]
        )
    if wait and done.status != done.wanted:
        raise CommandError(f"{done.id} was to be {done.wanted}, and is {done.status}")
