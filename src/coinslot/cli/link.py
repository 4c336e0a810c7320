"""`coinslot link`: a user's Link wallet, which pays what this machine is asked for once they approve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from coinslot.cli import link_spend_request
from coinslot.cli.link_options import ApiUrl, AsJSON, AuthUrl, NoOpen
from coinslot.cli.output import CommandError, Exit, print_json, print_line, print_table, say
from coinslot.methods.stripe.link_values import API_URL, AUTH_URL

if TYPE_CHECKING:
    from coinslot.cli.link_store import SessionStore
    from coinslot.methods.stripe.link_auth import LinkCredentials
    from coinslot.methods.stripe.link_values import LinkUser

app = typer.Typer(
    help="Pay with a Link wallet: its user approves each payment.",
    epilog=(
        "The session is kept in the operating system's keychain or, where there is none, in a file sealed "
        "under a passphrase (asked for, or COINSLOT_PASSPHRASE). LINK_ACCESS_TOKEN, with LINK_REFRESH_TOKEN, "
        "takes its place."
    ),
    rich_markup_mode=None,
    no_args_is_help=True,
)
payment_methods = typer.Typer(
    help="What the wallet can pay with.", rich_markup_mode=None, no_args_is_help=True
)
app.add_typer(payment_methods, name="payment-methods")
app.add_typer(link_spend_request.app, name="spend-request")


@app.command()
def login(
    client_name: Annotated[
        str, typer.Option("--client-name", metavar="NAME", help="What the user is told is asking.")
    ] = "Coinslot",
    store: Annotated[
        Literal["keychain", "file"] | None,
        typer.Option(metavar="PLACE", help="Keep the session in the OS keychain, or in a sealed file."),
    ] = None,
    no_open: NoOpen = False,
    as_json: AsJSON = False,
    api_url: ApiUrl = API_URL,
    auth_url: AuthUrl = AUTH_URL,
) -> None:
    """Connect this machine to a Link wallet.

    Its user opens the address that is printed, compares the phrase, and approves. The command waits for that.
    """
    from coinslot.cli.link_session import find_store, is_given

    if is_given():
        raise CommandError("LINK_ACCESS_TOKEN is set, and is the session: unset it to log in", Exit.USAGE)
    kept = find_store(auth_url, api_url, store)
    user = _who_is_logged_in(kept, auth_url, api_url)
    if user is not None:
        say("coinslot: there is a session already; `coinslot link logout` ends it")
    else:
        kept.prepare()
        user = _log_in(kept, client_name, auth_url, api_url, opens=not no_open)
        where = "the OS keychain" if kept.place == "keychain" else "a sealed file"
        say(f"coinslot: logged in to Link; the session is in {where}")
    if as_json:
        print_json({"email": user.email, "name": user.name, "place": kept.place, "api_url": api_url})
    else:
        print_line(user.email or user.name or "")


@app.command()
def status(as_json: AsJSON = False, api_url: ApiUrl = API_URL, auth_url: AuthUrl = AUTH_URL) -> None:
    """Show whose wallet this machine is connected to. Asks Link."""
    from coinslot.cli.link_session import find_store, is_given, use_link

    place = "environment" if is_given() else find_store(auth_url, api_url).place
    try:
        user = use_link(auth_url, api_url, lambda link: link.user())
    except CommandError as error:
        if as_json and error.code == Exit.NO_ACCOUNT:
            print_json({"authenticated": False})
        raise
    if as_json:
        print_json(
            {
                "authenticated": True,
                "email": user.email,
                "name": user.name,
                "place": place,
                "api_url": api_url,
            }
        )
    else:
        rows = [("User", user.name), ("E-mail", user.email), ("Session in", place), ("Link at", api_url)]
        print_table([(name, value) for name, value in rows if value])


@app.command()
def logout(api_url: ApiUrl = API_URL, auth_url: AuthUrl = AUTH_URL) -> None:
    """End the session, here and at Link."""
    import asyncio

    from coinslot.cli.link_session import find_store
    from coinslot.methods.stripe.link_errors import LinkError

    kept = find_store(auth_url, api_url)
    if kept.place is None:
        say("coinslot: there is no session")
        return
    credentials = kept.load()
    try:
        if credentials is not None:
            asyncio.run(_revoke(credentials, auth_url))
    except LinkError as error:
        say(f"coinslot: the session is forgotten here, and lives on at Link: {error}")
    else:
        say("coinslot: logged out")
    finally:
        kept.clear()


@payment_methods.callback()
def _payment_methods() -> None:
    """Have the group keep its commands' names, however few they are."""


@payment_methods.command("list")
def list_payment_methods(
    as_json: AsJSON = False, api_url: ApiUrl = API_URL, auth_url: AuthUrl = AUTH_URL
) -> None:
    """List the payment methods. The default one has a star."""
    from msgspec import to_builtins

    from coinslot.cli.link_session import use_link
    from coinslot.cli.link_shown import print_payment_methods

    found = use_link(auth_url, api_url, lambda link: link.list_payment_methods())
    if as_json:
        print_json(to_builtins(found))
    elif found:
        print_payment_methods(found)
    else:
        say("coinslot: the wallet has no payment method: add one at https://app.link.com/wallet")


def _who_is_logged_in(kept: SessionStore, auth_url: str, api_url: str) -> LinkUser | None:
    """The user of the session that is kept, or None if it is none, or over."""
    from coinslot.cli.link_session import use_link
    from coinslot.cli.link_store import SessionLost

    if kept.place is None:
        return None
    try:
        return use_link(auth_url, api_url, lambda link: link.user(), store=kept)
    except SessionLost:
        return None
    except CommandError as error:
        if error.code != Exit.NO_ACCOUNT:
            raise
        return None


def _log_in(kept: SessionStore, client_name: str, auth_url: str, api_url: str, *, opens: bool) -> LinkUser:
    import asyncio

    from coinslot.cli.link_session import explain, use_link
    from coinslot.methods.stripe.link_errors import LinkError

    try:
        kept.save(asyncio.run(_confirm(client_name, auth_url, opens=opens)))
    except LinkError as error:
        raise explain(error) from error
    return use_link(auth_url, api_url, lambda link: link.user(), store=kept)


async def _confirm(client_name: str, auth_url: str, *, opens: bool) -> LinkCredentials:
    from coinslot.cli.waiting import open_page, waiting
    from coinslot.methods.stripe.link_auth import LinkAuth

    auth = LinkAuth(auth_url)
    try:
        code = await auth.begin(client_name=client_name)
        say(f"coinslot: open {code.verification_url_complete}")
        say(f"coinslot: and approve it if it shows the phrase {code.user_code}")
        open_page(code.verification_url_complete, allowed=opens)
        with waiting("waiting for the login to be approved"):
            return await auth.wait(code)
    finally:
        await auth.aclose()


async def _revoke(credentials: LinkCredentials, auth_url: str) -> None:
    from coinslot.methods.stripe.link_auth import LinkAuth

    auth = LinkAuth(auth_url)
    try:
        await auth.revoke(credentials)
    finally:
        await auth.aclose()
