"""A session's tokens: refreshed when they must be, once, and not by two programs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from coinslot.methods.stripe.link_auth import LinkAuth, LinkCredentials
from coinslot.methods.stripe.link_errors import NotLoggedIn
from coinslot.methods.stripe.link_session import LinkSession, MemoryCredentials
from serving import serving


class Shared(MemoryCredentials):
    """A store that two programs have; while one refreshes, the other waits."""

    def __init__(self, credentials: LinkCredentials | None) -> None:
        super().__init__(credentials)
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """One at a time."""
        async with self._lock:
            yield


class Refresher:
    """A login whose every refresh takes a while, and voids what came before."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self, _request: Request) -> JSONResponse:
        """The next tokens."""
        self.count += 1
        number = self.count
        await asyncio.sleep(0.2)
        return JSONResponse({"access_token": f"a{number}", "refresh_token": f"r{number}", "expires_in": 3600})


@pytest.fixture
async def refresher() -> AsyncIterator[tuple[Refresher, LinkAuth]]:
    """The login, and a client of it."""
    refresher = Refresher()
    with serving(Starlette(routes=[Route("/device/token", refresher.__call__, methods=["POST"])])) as url:
        auth = LinkAuth(url)
        yield refresher, auth
        await auth.aclose()


def tokens(*, lasts: float | None = None) -> LinkCredentials:
    """Tokens that are over in `lasts` seconds."""
    return LinkCredentials(
        access_token="a0", refresh_token="r0", expires_at=None if lasts is None else time.time() + lasts
    )


async def test_good_token_is_used(refresher: tuple[Refresher, LinkAuth]) -> None:
    """Nothing is refreshed while there is no need to."""
    session = LinkSession(refresher[1], MemoryCredentials(tokens(lasts=3600)))
    assert (await session.access_token(), refresher[0].count) == ("a0", 0)


async def test_token_near_its_end_is_refreshed_and_kept(refresher: tuple[Refresher, LinkAuth]) -> None:
    """Before it is refused; what comes is in the store."""
    store = MemoryCredentials(tokens(lasts=5))
    session = LinkSession(refresher[1], store)
    assert await session.access_token() == "a1"
    kept = store.load()
    assert kept is not None
    assert (kept.access_token, kept.refresh_token) == ("a1", "r1")


async def test_refused_token_is_refreshed_once(refresher: tuple[Refresher, LinkAuth]) -> None:
    """Many who were refused the same token share one refresh; whoever comes late gets the newer one."""
    session = LinkSession(refresher[1], MemoryCredentials(tokens()))
    got = await asyncio.gather(*(session.access_token(refused="a0") for _ in range(5)))
    assert (set(got), refresher[0].count) == ({"a1"}, 1)
    assert await session.access_token(refused="a0") == "a1"


async def test_two_programs_refresh_once(refresher: tuple[Refresher, LinkAuth]) -> None:
    """The second finds what the first one kept, and does not spend the same refresh token."""
    store = Shared(tokens())
    sessions = [LinkSession(refresher[1], store) for _ in range(2)]
    got = await asyncio.gather(*(session.access_token(refused="a0") for session in sessions))
    assert (got, refresher[0].count) == (["a1", "a1"], 1)


async def test_new_tokens_outlive_whoever_waited(refresher: tuple[Refresher, LinkAuth]) -> None:
    """A call that gives up while tokens are refreshed does not lose them."""
    store = MemoryCredentials(tokens())
    session = LinkSession(refresher[1], store)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await session.access_token(refused="a0")
    await asyncio.sleep(0.4)
    kept = store.load()
    assert kept is not None
    assert kept.access_token == "a1"
    assert await session.access_token() == "a1"


async def test_expired_token_alone_is_still_tried(refresher: tuple[Refresher, LinkAuth]) -> None:
    """Without a refresh token only Link can say that it is over; then the error says what is missing."""
    only = LinkCredentials(access_token="a0", expires_at=time.time() - 1)
    session = LinkSession(refresher[1], MemoryCredentials(only))
    assert await session.access_token() == "a0"
    with pytest.raises(NotLoggedIn, match="no refresh token"):
        await session.access_token(refused="a0")


async def test_empty_store_is_not_logged_in(refresher: tuple[Refresher, LinkAuth]) -> None:
    """There is nothing to send."""
    with pytest.raises(NotLoggedIn, match="no session"):
        await LinkSession(refresher[1], MemoryCredentials()).access_token()
