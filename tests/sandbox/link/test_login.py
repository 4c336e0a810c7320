"""The device login: who is let in, for how long, and to what."""

from __future__ import annotations

import pytest

from coinslot.sandbox.link import LinkSandbox
from coinslot.sandbox.link.authorization import DEVICE_LIFETIME
from link_parties import Clock, Program, logged_in


async def test_login_waits_for_its_user(stranger: Program, clock: Clock) -> None:
    """Until the page is answered a poll is pending, a hasty one slow_down; then it brings tokens."""
    started = await stranger.begin()
    assert started["user_code"] in started["verification_uri_complete"]
    answers = []
    for pause in (0, 0.2, 1.0):
        clock.now += pause
        answers.append((await stranger.redeem(started)).json()["error"])
    assert answers == ["authorization_pending", "slow_down", "authorization_pending"]
    page = await stranger.press(started["verification_uri_complete"], yes=True)
    assert "<h1>Connected</h1>" in page.text
    stranger.take(await stranger.redeem(started))
    assert (await stranger.call("GET", "/userinfo")).json()["email"] == "jenny.rosen@example.com"


async def test_device_code_is_good_for_one_session(stranger: Program) -> None:
    """Tokens are given out once for a code; a second time, and for an unknown code, it is invalid_grant."""
    started = await stranger.begin()
    await stranger.press(started["verification_uri_complete"], yes=True)
    assert (await stranger.redeem(started)).status_code == 200
    for code in (started, {"device_code": "never"}):
        answer = await stranger.redeem(code)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


async def test_denied_and_late_logins_say_so(stranger: Program, clock: Clock) -> None:
    """A no is access_denied, and a code past its time expired_token, whatever its user then presses."""
    denied, late = await stranger.begin(), await stranger.begin()
    page = await stranger.press(denied["verification_uri_complete"], yes=False)
    assert "<h1>Denied</h1>" in page.text
    assert (await stranger.redeem(denied)).json()["error"] == "access_denied"
    clock.now += DEVICE_LIFETIME
    assert (await stranger.redeem(late)).json()["error"] == "expired_token"
    page = await stranger.page(late["verification_uri_complete"])
    assert (page.status_code, "No program is waiting" in page.text) == (404, True)


async def test_decision_on_a_login_is_final(stranger: Program) -> None:
    """A page that was left open changes nothing once another has decided."""
    started = await stranger.begin()
    url = started["verification_uri_complete"]
    await stranger.press(url, yes=False)
    await stranger.submit("/device", code=started["user_code"], decision="approve")
    assert (await stranger.redeem(started)).json()["error"] == "access_denied"


async def test_phrase_can_be_typed(stranger: Program) -> None:
    """The page without a code asks for the phrase, and takes it with spaces and capitals."""
    started = await stranger.begin()
    typed = started["user_code"].replace("-", "%20").upper()
    assert 'name="code"' in (await stranger.page("/device")).text
    assert started["user_code"] in (await stranger.page(f"/device?code={typed}")).text


async def test_refresh_token_is_good_once(program: Program) -> None:
    """Refreshing voids both old tokens; the second of two programs that refresh with the same one is out."""
    old = program.access_token, program.refresh_token
    program.take(await program.refresh())
    assert (await program.call("GET", "/payment-details")).status_code == 200
    program.access_token, program.refresh_token = old
    assert (await program.call("GET", "/payment-details")).status_code == 401
    assert (await program.refresh()).json()["error"] == "invalid_grant"


async def test_access_token_expires(program: Program, clock: Clock) -> None:
    """After its lifetime it is refused with 401 and Link's error, and refreshing helps."""
    clock.now += 3600
    refused = await program.call("GET", "/payment-details")
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert refused.json()["error"]["code"] == "unauthorized"
    program.take(await program.refresh())
    assert (await program.call("GET", "/payment-details")).status_code == 200


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
async def test_revoking_either_token_ends_the_session(program: Program, kind: str) -> None:
    """Neither token is good for anything then; revoking what is no token is no error (RFC 7009 §2.2)."""
    assert (await program.login("revoke", token=getattr(program, kind))).status_code == 200
    assert (await program.call("GET", "/payment-details")).status_code == 401
    assert (await program.refresh()).json()["error"] == "invalid_grant"
    assert (await program.login("revoke", token="nonsense")).status_code == 200


async def test_scope_limits_what_a_session_may_do(sandbox: LinkSandbox) -> None:
    """A session without payment_methods.agentic sees no payment method; an unknown scope starts no login."""
    reader = await logged_in(sandbox, scope="userinfo:read")
    assert (await reader.call("GET", "/userinfo")).status_code == 200
    refused = await reader.call("GET", "/payment-details")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "insufficient_scope")
    assert (await reader.login("code", scope="everything")).json()["error"] == "invalid_scope"
    await reader.aclose()


@pytest.mark.parametrize(
    ("path", "form", "error"),
    [
        ("code", {"client_id": ""}, "invalid_request"),
        ("token", {}, "invalid_request"),
        ("token", {"grant_type": "password"}, "unsupported_grant_type"),
        ("token", {"grant_type": "refresh_token"}, "invalid_request"),
        ("revoke", {}, "invalid_request"),
    ],
)
async def test_incomplete_forms_are_refused(
    stranger: Program, path: str, form: dict[str, str], error: str
) -> None:
    """What is missing is an OAuth error, not a failure."""
    answer = await stranger.login(path, **form)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


async def test_api_wants_a_token(stranger: Program) -> None:
    """Without one, or with one that was never issued, everything is 401."""
    for token in ("", "nonsense"):
        stranger.access_token = token
        for path in ("/userinfo", "/payment-details", "/spend_requests", "/spend_requests/lsrq_1"):
            assert (await stranger.call("GET", path)).status_code == 401
