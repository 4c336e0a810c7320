"""`coinslot payments refund`, `reconcile` and `audit`: what needs the methods, and so a Paywall."""

from __future__ import annotations

from typing import Annotated

import typer

from coinslot.cli.output import CommandError, Exit, exit_table
from coinslot.cli.payments.options import AsJSON, AsLines, Identifier, PaywallSpec, Since, Until

REFUND_EPILOG = "Exit codes:\n\n\b\n" + exit_table(
    Exit.OK,
    Exit.USAGE,
    Exit.CANNOT_PAY,
    Exit.REFUSED,
    Exit.NO_PAYMENT,
    Exit.UNDECIDED,
    Exit.INTERRUPTED,
    Exit.FAILURE,
    but={
        Exit.OK: "the payer has it",
        Exit.CANNOT_PAY: "it cannot be refunded; nothing was sent",
        Exit.REFUSED: "it was tried, and failed; nothing was sent back",
        Exit.UNDECIDED: "it is on its way, or not known; your server follows it up",
    },
)
RECONCILE_EPILOG = "Exit codes:\n\n\b\n" + exit_table(
    Exit.OK,
    Exit.USAGE,
    Exit.NO_PAYMENT,
    Exit.UNDECIDED,
    Exit.INTERRUPTED,
    Exit.FAILURE,
    but={Exit.OK: "everything is decided", Exit.UNDECIDED: "some of it is not decided yet"},
)
AUDIT_EPILOG = "Exit codes:\n\n\b\n" + exit_table(
    Exit.OK,
    Exit.USAGE,
    Exit.DIFFERENCES,
    Exit.NO_PAYMENT,
    Exit.INTERRUPTED,
    Exit.FAILURE,
    but={Exit.OK: "no difference", Exit.DIFFERENCES: "there are differences"},
)


def refund(
    payment: Identifier,
    amount: Annotated[
        str | None,
        typer.Option(
            metavar="AMOUNT", help="So much of it, in the currency's unit: 0.50. Else what is left."
        ),
    ] = None,
    base_units: Annotated[
        int | None, typer.Option("--base-units", metavar="N", min=1, help="The same in base units.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Of your own: asked again with it, no second refund is made."),
    ] = None,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the payer has it.")] = True,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, show_default=False, help="How long to wait; 60.")
    ] = 60.0,
    paywall: PaywallSpec = None,
    as_json: AsJSON = False,
) -> None:
    """Send a payment, or a part of it, back to its payer.

    Says what will be sent and to whom, and asks. A payment that was not delivered yet is not delivered any
    more after that.
    """
    from coinslot.cli.interruption import interruptible
    from coinslot.cli.payments.paywalls import use_paywall
    from coinslot.cli.payments.refunding import Order, Refunding

    if amount is not None and base_units is not None:
        raise CommandError("--amount and --base-units say the same: give one of them", Exit.USAGE)
    order = Order(
        payment=payment,
        amount=amount,
        base_units=base_units,
        key=key,
        asks=not yes,
        wait_for=timeout if wait else 0.0,
    )
    with interruptible():
        use_paywall(paywall, lambda found: Refunding(found, order, as_json=as_json).run())


def reconcile(paywall: PaywallSpec = None, as_json: AsLines = False) -> None:
    """Find out what became of what is not decided.

    Asks the chain and Stripe about payments and refunds without an outcome, and gives up on what nobody
    fetched in time. Your server does the same all the time; this does it now, and says what it found.
    """
    from coinslot.cli.payments.paywalls import use_paywall
    from coinslot.cli.payments.reconciling import reconcile as run

    undecided = use_paywall(paywall, lambda found: run(found, as_json=as_json))
    if undecided:
        raise CommandError(f"{undecided} not decided yet: your server asks again", Exit.UNDECIDED)


def audit(
    since: Since = "7d", until: Until = None, paywall: PaywallSpec = None, as_json: AsLines = False
) -> None:
    """Compare the ledger with the chain and Stripe.

    Prints every difference, a line each. Changes nothing. Without --since, of the last seven days.
    """
    from coinslot.cli.payments.auditing import audit as run
    from coinslot.cli.payments.paywalls import use_paywall
    from coinslot.cli.payments.printing import counted
    from coinslot.cli.payments.times import read_time

    start, end = read_time("--since", since), read_time("--until", until)
    count = use_paywall(paywall, lambda found: run(found, since=start, until=end, as_json=as_json))
    if count:
        raise CommandError(counted(count, "difference"), Exit.DIFFERENCES)
