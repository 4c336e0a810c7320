"""A session with Link: its tokens, refreshed when they have to be, and once."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Final, Protocol

from coinslot.methods.stripe.link_auth import LinkAuth, LinkCredentials
from coinslot.methods.stripe.link_errors import NotLoggedIn

_MARGIN: Final = 30.0
"""Seconds before its end at which an access token is no longer used."""


class CredentialStore(Protocol):
    """Where a session's tokens are kept."""

    def load(self) -> LinkCredentials | None:
        """What is kept, if anything is."""
        ...

    def save(self, credentials: LinkCredentials) -> None:
        """Keep `credentials` in place of what was kept."""
        ...

    def exclusive(self) -> AbstractAsyncContextManager[None]:
        """Held while tokens are refreshed: no other program that has this store then refreshes them, too."""
        ...


class MemoryCredentials:
    """Tokens that were given, and are forgotten at the end."""

    def __init__(self, credentials: LinkCredentials | None = None) -> None:
        self._credentials = credentials

    def load(self) -> LinkCredentials | None:
        """What is kept, if anything is."""
        return self._credentials

    def save(self, credentials: LinkCredentials) -> None:
        """Keep `credentials` in place of what was kept."""
        self._credentials = credentials

    def exclusive(self) -> AbstractAsyncContextManager[None]:
        """Nobody else has them."""
        return nullcontext()


class LinkSession:
    """Access tokens out of a store.

    However many requests find their token refused at the same time, it is refreshed once; and not at all if
    another program did it meanwhile.
    """

    def __init__(self, auth: LinkAuth, store: CredentialStore) -> None:
        self._auth = auth
        self._store = store
        self._current: LinkCredentials | None = None
        self._lock = asyncio.Lock()

    async def access_token(self, *, refused: str | None = None) -> str:
        """An access token that has not expired, and is not `refused`.

        Raises `NotLoggedIn`, `LinkUnreachable`, and what the store raises.
        """
        async with self._lock:
            credentials = self._current or self._load()
            if _is_stale(credentials, refused):
                # Whoever waits may stop waiting; new tokens must not be lost once Link has made them.
                credentials = await asyncio.shield(asyncio.ensure_future(self._refresh(refused)))
            self._current = credentials
            return credentials.access_token

    async def aclose(self) -> None:
        """Close the connections."""
        await self._auth.aclose()

    async def _refresh(self, refused: str | None) -> LinkCredentials:
        async with self._store.exclusive():
            credentials = self._load()
            if _is_stale(credentials, refused):
                credentials = await self._auth.refresh(credentials)
                self._store.save(credentials)
            return credentials

    def _load(self) -> LinkCredentials:
        credentials = self._store.load()
        if credentials is None:
            raise NotLoggedIn("there is no session with Link")
        return credentials


def _is_stale(credentials: LinkCredentials, refused: str | None) -> bool:
    has_expired = credentials.expires_at is not None and credentials.expires_at - _MARGIN <= time.time()
    # Without a refresh token nothing is to be had but Link's own word that it has expired.
    return credentials.access_token == refused or (has_expired and credentials.refresh_token is not None)
