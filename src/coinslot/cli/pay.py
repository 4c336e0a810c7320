"""`coinslot pay`: a request as curl makes it, paid for if that is asked."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Annotated, Literal

import typer

from coinslot.cli.output import CommandError, Exit, exit_table
from coinslot.methods.stripe.link_values import API_URL, AUTH_URL

EPILOG = "Exit codes (curl's, where it has one):\n\n\b\n" + exit_table(
    Exit.OK,
    Exit.USAGE,
    Exit.OVER_LIMIT,
    Exit.CANNOT_PAY,
    Exit.REFUSED,
    Exit.NO_HOST,
    Exit.NO_CONNECTION,
    Exit.HTTP_ERROR,
    Exit.CANNOT_WRITE,
    Exit.TIMEOUT,
    Exit.TOO_MANY_REDIRECTS,
    Exit.BROKEN_ANSWER,
    Exit.TLS,
    Exit.NO_ACCOUNT,
    Exit.UNDECIDED,
    Exit.INTERRUPTED,
    Exit.FAILURE,
)


def pay(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="Without a scheme: https, or http for this machine.")
    ],
    method: Annotated[
        str | None, typer.Option("-X", "--request", metavar="METHOD", help="GET, or POST with a body.")
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(
            "-H", "--header", metavar="LINE", help="A header: 'Name: value'. 'Name:' drops a default."
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "-d",
            "--data",
            metavar="DATA",
            help="The body; @FILE reads a file without its line ends, @- stdin.",
        ),
    ] = None,
    data_binary: Annotated[
        list[str] | None, typer.Option("--data-binary", metavar="DATA", help="The body, as it is.")
    ] = None,
    location: Annotated[bool, typer.Option("-L", "--location", help="Follow redirects.")] = False,
    fail: Annotated[
        bool,
        typer.Option("-f", "--fail", help="Print no body, and end with 22, if the status is 400 or more."),
    ] = False,
    include: Annotated[
        bool, typer.Option("-i", "--include", help="Print the answer's head as well.")
    ] = False,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="Write the body to a file.")
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON object: status, headers, body, payment, error."),
    ] = False,
    silent: Annotated[bool, typer.Option("-s", "--silent", help="Say nothing but errors.")] = False,
    verbose: Annotated[
        bool,
        typer.Option("-v", "--verbose", help="Show each message's head, without secrets, and each step."),
    ] = False,
    timeout: Annotated[
        float,
        typer.Option(metavar="SECONDS", show_default=False, help="How long to wait for the server; 60."),
    ] = 60.0,
    maximum: Annotated[
        str | None,
        typer.Option(
            "--max",
            metavar="AMOUNT",
            help="The most to pay, fee included, in whatever unit is asked; 1.00, or the spend request's.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be paid, and to whom. Signs and pays nothing.")
    ] = False,
    pay_again: Annotated[
        bool, typer.Option("--pay-again", help="Make a new payment though an earlier one is unfinished.")
    ] = False,
    account: Annotated[
        str | None,
        typer.Option(
            "-a",
            "--account",
            metavar="NAME",
            help="The account that pays. [env vars: COINSLOT_ACCOUNT, COINSLOT_PRIVATE_KEY]",
        ),
    ] = None,
    spend_request_id: Annotated[
        str | None,
        typer.Option(
            "--spend-request-id",
            metavar="ID",
            help="Pay by card or Link, with this spend request (lsrq_…); waits if it is to be approved.",
        ),
    ] = None,
    network: Annotated[
        Literal["mainnet", "testnet"] | None,
        typer.Option(
            "-n", "--network", metavar="NETWORK", help="Pay on mainnet or testnet only; else on both."
        ),
    ] = None,
    rpc_url: Annotated[
        str | None,
        typer.Option(
            "-r",
            "--rpc-url",
            metavar="URL",
            envvar="COINSLOT_RPC_URL",
            help="The Tempo node, in place of the public one.",
        ),
    ] = None,
    mode: Annotated[
        Literal["pull", "push"] | None,
        typer.Option(
            "--mode",
            metavar="MODE",
            help="pull: the server broadcasts the payment; push: this command does. Else pull if it may be.",
        ),
    ] = None,
    auto_swap: Annotated[
        bool,
        typer.Option("--auto-swap", help="Pay from another token if what is asked for is not enough."),
    ] = False,
    slippage: Annotated[
        str, typer.Option(metavar="PART", help="How much dearer a swap may make it: 0.01 is 1 %.")
    ] = "0.01",
    trusted_realm: Annotated[
        list[str] | None,
        typer.Option(
            "--trusted-realm",
            metavar="REALM",
            help="Where nothing is to be paid: a realm to prove the account to, beside the host's own name.",
        ),
    ] = None,
    api_url: Annotated[
        str,
        typer.Option(
            "--link-api-url", metavar="URL", envvar="LINK_API_BASE_URL", help="Link's API, or a sandbox's."
        ),
    ] = API_URL,
    auth_url: Annotated[
        str,
        typer.Option(
            "--link-auth-url",
            metavar="URL",
            envvar="LINK_AUTH_BASE_URL",
            help="Link's login, or a sandbox's.",
        ),
    ] = AUTH_URL,
) -> None:
    """Send a request, and pay for the answer if need be.

    It pays without asking, up to --max: from an account on Tempo, or by a spend request of Link's. The body
    goes to stdout, all else to stderr. If the answer to a payment is lost, the same command brings it without
    paying twice.
    """
    from coinslot.cli.curl import outgoing
    from coinslot.cli.fetch import NO_LIMIT, Order, fetch
    from coinslot.cli.on_demand import Settings, Spending

    spending = None
    if spend_request_id is not None:
        _check_way(account, network, mode, auto_swap=auto_swap)
        spending = Spending(identifier=spend_request_id, auth_url=auth_url, api_url=api_url)
    unlimited = maximum is None and spending is not None
    limit = NO_LIMIT if unlimited else _amount(maximum or "1.00")
    if not 0 < timeout < math.inf:
        raise CommandError("--timeout is a number of seconds above 0", Exit.USAGE)
    order = Order(
        request=outgoing(
            url, method=method, data=data or (), data_binary=data_binary or (), headers=header or ()
        ),
        limit=limit,
        account=account,
        settings=Settings(
            network=network, rpc_url=rpc_url, mode=mode, auto_swap=auto_swap, slippage=slippage
        ),
        spending=spending,
        trusted_realms=tuple(trusted_realm or ()),
        output=output,
        timeout=timeout,
        fail=fail,
        follow=location,
        include=include,
        json=as_json,
        silent=silent,
        verbose=verbose,
        pay_again=pay_again,
    )
    if dry_run:
        from coinslot.cli.dry_run import dry_run as look

        look(order)
    else:
        fetch(order)


def _check_way(account: str | None, network: str | None, mode: str | None, *, auto_swap: bool) -> None:
    if account or network or mode or auto_swap:
        raise CommandError(
            "--spend-request-id pays through Link: --account, --network, --mode and --auto-swap do not go"
            " with it",
            Exit.USAGE,
        )


def _amount(text: str) -> Decimal:
    if not re.fullmatch(r"[0-9]{1,18}(\.[0-9]{1,18})?", text):
        raise CommandError(f"--max {text!r} is not an amount: write it as 0.50", Exit.USAGE)
    return Decimal(text)
