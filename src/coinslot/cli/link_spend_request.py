"""`coinslot link spend-request`: asking the wallet's user for a payment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from coinslot.cli.link_options import (
    ApiUrl,
    AsJSON,
    AuthUrl,
    Identifier,
    Include,
    NoOpen,
    Timeout,
    wants_token,
)
from coinslot.cli.output import CommandError, Exit, print_json, say
from coinslot.methods.stripe.link_values import API_URL, AUTH_URL, MIN_CONTEXT

if TYPE_CHECKING:
    from coinslot.methods.stripe.link import Link
    from coinslot.methods.stripe.link_values import SpendRequest

EPILOG = """Exit codes:

\b
  0  done; of a request that was waited for: approved
  2  wrong usage; nothing was sent
  4  denied, failed, or something has to be done first
  7  no connection to Link
 22  Link refused
 28  not approved in time
 69  not logged in, or the session cannot be had
130  interrupted; the request waits on
  1  anything else
"""

app = typer.Typer(
    help="Ask the wallet's user for payments.",
    rich_markup_mode=None,
    no_args_is_help=True,
)

Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until its user has decided.")]


@app.command(epilog=EPILOG)
def create(
    amount: Annotated[
        int, typer.Option(metavar="CENTS", min=1, help="In the currency's minor unit: 500 is 5.00 USD.")
    ],
    network_id: Annotated[
        str, typer.Option("--network-id", metavar="ID", help="The seller: networkId of their challenge.")
    ],
    context: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help=f"What is bought, from whom and why: {MIN_CONTEXT} characters or more, for the user.",
        ),
    ],
    payment_method_id: Annotated[
        str | None,
        typer.Option("--payment-method-id", metavar="ID", help="What to pay with; else their default."),
    ] = None,
    credential_type: Annotated[  # noqa: ARG001 - there is one kind, and the flag that names it
        Literal["shared_payment_token"],
        typer.Option("--credential-type", metavar="TYPE", help="What to get: shared_payment_token."),
    ] = "shared_payment_token",
    currency: Annotated[str, typer.Option(metavar="CODE", help="Three letters.")] = "usd",
    line_item: Annotated[
        list[str] | None,
        typer.Option(
            "--line-item",
            metavar="ITEM",
            help="'name:Coffee,quantity:2,unit_amount:250', and description, sku, url. Repeatable.",
        ),
    ] = None,
    total: Annotated[
        list[str] | None,
        typer.Option(metavar="TOTAL", help="'type:total,display_text:Total,amount:500'. Repeatable."),
    ] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="KEY:VALUE", help="Kept with the request. Repeatable.")
    ] = None,
    test: Annotated[bool, typer.Option("--test", help="Pay with test money.")] = False,
    request_approval: Annotated[
        bool,
        typer.Option("--request-approval/--no-request-approval", help="Have the user asked at once."),
    ] = True,
    wait: Wait = True,
    timeout: Timeout = 600.0,
    include: Include = None,
    no_open: NoOpen = False,
    as_json: AsJSON = False,
    api_url: ApiUrl = API_URL,
    auth_url: AuthUrl = AUTH_URL,
) -> None:
    """Ask for a payment to one seller.

    Prints where its user approves it, opens that page, and waits for them. `retrieve` waits on if you do not.
    """
    from coinslot.cli.link_items import line_items, metadata as pairs, totals
    from coinslot.cli.link_session import use_link

    with_token = wants_token(include)
    items, sums, kept = line_items(line_item or ()), totals(total or ()), pairs(metadata or ())

    async def ask(link: Link) -> SpendRequest:
        return await link.create_spend_request(
            amount=amount,
            currency=currency,
            network_id=network_id,
            context=context,
            payment_method=payment_method_id,
            line_items=items,
            totals=sums,
            metadata=kept or None,
            request_approval=request_approval,
            test=test,
        )

    made = use_link(auth_url, api_url, ask)
    _announce(made, opens=not no_open)
    if wait and made.is_waiting and made.status != "created":
        made = _await(made.id, timeout, auth_url, api_url, as_json=as_json)
    _show(made, as_json=as_json, with_token=with_token)
    if made.status == "requires_action":
        raise CommandError("something has to be done first, and then a new request made", Exit.CANNOT_PAY)


@app.command("list")
def list_(
    include_history: Annotated[
        bool, typer.Option("--include-history", help="Those that are over as well.")
    ] = False,
    as_json: AsJSON = False,
    api_url: ApiUrl = API_URL,
    auth_url: AuthUrl = AUTH_URL,
) -> None:
    """List the spend requests that can still be paid with."""
    from coinslot.cli.link_session import use_link
    from coinslot.cli.link_shown import describe, print_spend_requests

    found = use_link(auth_url, api_url, lambda link: link.list_spend_requests(history=include_history))
    if as_json:
        print_json([describe(request, with_token=False) for request in found])
    elif found:
        print_spend_requests(found)
    else:
        say("coinslot: there is no spend request")


@app.command(epilog=EPILOG)
def retrieve(
    identifier: Identifier,
    wait: Wait = False,
    timeout: Timeout = 600.0,
    include: Include = None,
    as_json: AsJSON = False,
    api_url: ApiUrl = API_URL,
    auth_url: AuthUrl = AUTH_URL,
) -> None:
    """Show how a spend request stands."""
    from coinslot.cli.link_session import use_link

    with_token = wants_token(include)
    if wait:
        found = _await(identifier, timeout, auth_url, api_url, as_json=as_json)
    else:
        found = use_link(
            auth_url,
            api_url,
            lambda link: link.retrieve_spend_request(identifier, with_token=with_token),
        )
    _show(found, as_json=as_json, with_token=with_token)


@app.command("request-approval")
def request_approval(
    identifier: Identifier,
    no_open: NoOpen = False,
    as_json: AsJSON = False,
    api_url: ApiUrl = API_URL,
    auth_url: AuthUrl = AUTH_URL,
) -> None:
    """Have its user asked, if they were not."""
    from coinslot.cli.link_session import use_link

    async def ask(link: Link) -> SpendRequest:
        await link.request_approval(identifier)
        return await link.retrieve_spend_request(identifier)

    asked = use_link(auth_url, api_url, ask)
    _announce(asked, opens=not no_open)
    _show(asked, as_json=as_json)


@app.command()
def cancel(
    identifier: Identifier, as_json: AsJSON = False, api_url: ApiUrl = API_URL, auth_url: AuthUrl = AUTH_URL
) -> None:
    """Take a spend request back. Its token, if it has one, pays for nothing then."""
    from coinslot.cli.link_session import use_link

    canceled = use_link(auth_url, api_url, lambda link: link.cancel_spend_request(identifier))
    _show(canceled, as_json=as_json)


def _announce(request: SpendRequest, *, opens: bool) -> None:
    from coinslot.cli.waiting import open_page

    if request.status == "pending_approval" and request.approval_url is not None:
        say(f"coinslot: {request.id} is to be approved at {request.approval_url}")
        open_page(request.approval_url, allowed=opens)


def _await(identifier: str, timeout: float, auth_url: str, api_url: str, *, as_json: bool) -> SpendRequest:
    """The request once it is approved. If it will not be, it is shown, and `CommandError` raised."""
    from coinslot.cli.link_session import use_link
    from coinslot.cli.waiting import waiting
    from coinslot.methods.stripe.link_errors import NotApproved

    def show_challenge(request: SpendRequest) -> None:
        if request.next_action is not None:
            say(f"coinslot: {request.next_action.display_message} {request.next_action.action_url or ''}")

    async def wait(link: Link) -> SpendRequest:
        return await link.wait_for_approval(identifier, within=timeout, on_change=show_challenge)

    try:
        with waiting(f"waiting for {identifier} to be approved"):
            return use_link(auth_url, api_url, wait)
    except CommandError as error:
        if isinstance(error.__cause__, NotApproved):
            _show(error.__cause__.request, as_json=as_json)
        raise


def _show(request: SpendRequest, *, as_json: bool, with_token: bool = False) -> None:
    from coinslot.cli.link_shown import print_spend_request

    print_spend_request(request, as_json=as_json, with_token=with_token)
