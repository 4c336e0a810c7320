"""The session that a command uses, and what becomes of Link's errors."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TypeVar

from coinslot.cli.keys import Place
from coinslot.cli.link_store import SessionStore
from coinslot.cli.output import CommandError, Exit, say
from coinslot.cli.payer import ask_passphrase
from coinslot.errors import CoinslotError
from coinslot.methods.stripe.link import Link
from coinslot.methods.stripe.link_auth import LinkAuth, LinkCredentials
from coinslot.methods.stripe.link_errors import (
    LinkError,
    LinkRefused,
    LinkUnreachable,
    LoginRefused,
    NotApproved,
    NotLoggedIn,
)
from coinslot.methods.stripe.link_http import safe_base_url
from coinslot.methods.stripe.link_session import CredentialStore, LinkSession

ACCESS_TOKEN = "LINK_ACCESS_TOKEN"  # noqa: S105 - a variable's name
REFRESH_TOKEN = "LINK_REFRESH_TOKEN"  # noqa: S105 - a variable's name

T = TypeVar("T")


class GivenSession:
    """The tokens in LINK_ACCESS_TOKEN and LINK_REFRESH_TOKEN: a `CredentialStore` that keeps nothing."""

    def __init__(self, access_token: str, refresh_token: str | None) -> None:
        self._credentials = LinkCredentials(access_token=access_token, refresh_token=refresh_token)

    def load(self) -> LinkCredentials | None:
        """The tokens."""
        return self._credentials

    def save(self, credentials: LinkCredentials) -> None:
        """Use `credentials` from now on."""
        say(f"coinslot: {ACCESS_TOKEN} had expired and was refreshed; the new tokens are not kept")
        self._credentials = credentials

    def exclusive(self) -> AbstractAsyncContextManager[None]:
        """Nobody else can be told of new ones."""
        return nullcontext()


def find_store(auth_url: str, api_url: str, place: Place | None = None) -> SessionStore:
    """The session that is kept for these addresses. Raises `ConfigurationError`."""
    return SessionStore(
        safe_base_url(auth_url, "--auth-url"),
        safe_base_url(api_url, "--api-url"),
        ask_passphrase=lambda is_new: ask_passphrase(twice=is_new),
        place=place,
    )


def is_given() -> bool:
    """Whether the environment has a session, which takes the place of any that is kept."""
    return bool(os.environ.get(ACCESS_TOKEN))


def find_session(auth_url: str, api_url: str) -> CredentialStore:
    """LINK_ACCESS_TOKEN's, or the one that is kept. Raises `ConfigurationError`."""
    if is_given():
        return GivenSession(os.environ[ACCESS_TOKEN], os.environ.get(REFRESH_TOKEN) or None)
    return find_store(auth_url, api_url)


def use_link(
    auth_url: str,
    api_url: str,
    work: Callable[[Link], Awaitable[T]],
    *,
    store: CredentialStore | None = None,
) -> T:
    """What `work` makes of the wallet. Raises `CommandError` for whatever Link has against it."""

    async def run() -> T:
        session = LinkSession(LinkAuth(auth_url), store or find_session(auth_url, api_url))
        async with Link(session, url=api_url) as link:
            return await work(link)

    try:
        return asyncio.run(run())
    except LinkError as error:
        raise explain(error) from error


def explain(error: CoinslotError) -> CommandError:
    """The sentence and the exit code for an error of Link's."""
    message = str(error)
    match error:
        case NotLoggedIn():
            how = f"renew {ACCESS_TOKEN}" if is_given() else "use `coinslot link login`"
            return CommandError(f"{message}: {how}", Exit.NO_ACCOUNT)
        case LoginRefused():
            return CommandError(message, Exit.NO_ACCOUNT)
        case LinkUnreachable():
            return CommandError(message, Exit.TIMEOUT if error.timed_out else Exit.NO_CONNECTION)
        case NotApproved():
            late = error.timed_out or error.request.status == "expired"
            return CommandError(message, Exit.TIMEOUT if late else Exit.CANNOT_PAY)
        case LinkRefused():
            if error.duplicate is not None:
                message += f" It is {error.duplicate.id}, and is {error.duplicate.status}"
            if error.url is not None:
                message += f" See {error.url}"
            return CommandError(message, Exit.HTTP_ERROR)
        case _:
            return CommandError(message)
