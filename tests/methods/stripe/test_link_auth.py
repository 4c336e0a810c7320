"""Logging in to Link: the wait, its ends, and what a session's tokens give away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from coinslot.methods.stripe.link_auth import DeviceCode, LinkAuth, LinkCredentials
from coinslot.methods.stripe.link_errors import LinkUnreachable, LoginRefused, NotLoggedIn
from coinslot.sandbox.link import LinkSandbox
from link_parties import Program
from serving import serving


@pytest.fixture
async def user() -> AsyncIterator[Program]:
    """Whoever answers the pages."""
    async with LinkSandbox() as sandbox:
        user = Program(sandbox.url)
        yield user
        await user.aclose()


@pytest.fixture
async def auth(user: Program) -> AsyncIterator[LinkAuth]:
    """The login of a sandbox."""
    auth = LinkAuth(user.url)
    yield auth
    await auth.aclose()


async def test_login_brings_credentials_that_work(auth: LinkAuth, user: Program) -> None:
    """The user sees who asks and the phrase; their yes ends the wait with tokens, scope and time."""
    code = await auth.begin(client_name="Tests")
    page = await user.page(code.verification_url_complete)
    assert ("Tests on " in page.text, code.user_code in page.text) == (True, True)
    waiting = asyncio.create_task(auth.wait(code))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await user.press(code.verification_url_complete, yes=True)
    credentials = await waiting
    assert credentials.scope == "userinfo:read payment_methods.agentic"
    assert credentials.expires_at is not None
    assert 3500 < credentials.expires_at - time.time() <= 3600
    user.access_token = credentials.access_token
    assert (await user.call("GET", "/userinfo")).status_code == 200


async def test_denied_login_is_refused(auth: LinkAuth, user: Program) -> None:
    """A no ends the wait."""
    code = await auth.begin(client_name="Tests")
    await user.press(code.verification_url_complete, yes=False)
    with pytest.raises(LoginRefused, match="denied"):
        await auth.wait(code)


async def test_refreshed_session_goes_on_and_revoked_one_does_not(auth: LinkAuth, user: Program) -> None:
    """Refreshing brings other tokens; after revoking, it is not logged in."""
    code = await auth.begin(client_name="Tests")
    await user.press(code.verification_url_complete, yes=True)
    first = await auth.wait(code)
    second = await auth.refresh(first)
    assert second.access_token != first.access_token
    await auth.revoke(second)
    for credentials in (first, second, LinkCredentials(access_token="x")):
        with pytest.raises(NotLoggedIn):
            await auth.refresh(credentials)


async def test_secrets_are_in_no_repr(auth: LinkAuth) -> None:
    """Neither tokens nor the device's code are printed by accident."""
    code = await auth.begin(client_name="Tests")
    assert code.device_code not in repr(code)
    shown = repr(LinkCredentials(access_token="hunter2", refresh_token="hunter3"))
    assert "hunter" not in shown


async def test_scope_that_link_does_not_have_starts_no_login(auth: LinkAuth) -> None:
    """Link's reason is in the error."""
    with pytest.raises(LoginRefused, match="no scope everything"):
        await auth.begin(client_name="Tests", scope="everything")


class Moody:
    """A login that answers polls as it was told to."""

    def __init__(self, *answers: tuple[int, dict[str, object]]) -> None:
        self.answers = list(answers)
        self.times: list[float] = []

    async def __call__(self, _request: Request) -> JSONResponse:
        """The next answer; the last one again and again."""
        self.times.append(time.monotonic())
        status, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return JSONResponse(body, status)


TOKENS: tuple[int, dict[str, object]] = (200, {"access_token": "a", "refresh_token": "r"})
DOWN: tuple[int, dict[str, object]] = (503, {})


def oauth(code: str) -> tuple[int, dict[str, object]]:
    """An OAuth error."""
    return 400, {"error": code}


async def wait_for(moody: Moody, *, lasts: float = 60) -> LinkCredentials:
    """Wait for a login that answers so."""
    app = Starlette(routes=[Route("/device/token", moody.__call__, methods=["POST"])])
    with serving(app) as url:
        auth = LinkAuth(url)
        code = DeviceCode(
            device_code="d",
            user_code="u",
            verification_url=url,
            verification_url_complete=url,
            expires_at=time.monotonic() + lasts,
            interval=0.05,
        )
        try:
            return await auth.wait(code)
        finally:
            await auth.aclose()


async def test_slow_down_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    """After slow_down the interval is longer, and stays so (RFC 8628 §3.5)."""
    monkeypatch.setattr("coinslot.methods.stripe.link_auth._SLOWER", 0.3)
    moody = Moody(oauth("slow_down"), oauth("authorization_pending"), TOKENS)
    assert (await wait_for(moody)).access_token == "a"
    first, second, third = moody.times
    assert (second - first >= 0.35, third - second >= 0.35) == (True, True)


async def test_outage_is_waited_out() -> None:
    """Some polls in a row may go unanswered; a login that stays away is unreachable."""
    assert (await wait_for(Moody(DOWN, DOWN, DOWN, TOKENS))).access_token == "a"
    with pytest.raises(LinkUnreachable, match="503"):
        await wait_for(Moody(DOWN))


@pytest.mark.parametrize(
    ("code", "said"),
    [("expired_token", "in time"), ("authorization_failed", "not eligible"), ("server_mood", "server_mood")],
)
async def test_ends_of_a_login_are_told_apart(code: str, said: str) -> None:
    """Too late, not eligible, and whatever else Link may say."""
    with pytest.raises(LoginRefused, match=said):
        await wait_for(Moody(oauth(code)))


async def test_login_ends_with_its_code() -> None:
    """When the code's time is over, nothing more is asked."""
    with pytest.raises(LoginRefused, match="in time"):
        await wait_for(Moody(oauth("authorization_pending")), lasts=0.2)


async def test_what_is_no_login_is_unreachable() -> None:
    """An answer of another shape is not taken for anything."""
    with pytest.raises(LinkUnreachable):
        await wait_for(Moody((200, {"hello": "world"})))
