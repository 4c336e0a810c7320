"""Link's login: the OAuth device flow (RFC 8628), refreshing and revoking (RFC 6749 §6, RFC 7009).

auth = LinkAuth()
code = await auth.begin(client_name="Coinslot")
print(code.verification_url_complete, code.user_code)
credentials = await auth.wait(code)
"""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from coinslot.methods.stripe.link_errors import LinkError, LinkUnreachable, LoginRefused, NotLoggedIn
from coinslot.methods.stripe.link_http import httpx, open_http, safe_base_url
from coinslot.methods.stripe.link_values import AUTH_URL

CLIENT_ID: Final = "lwlpk_U7Qy7ThG69STZk"
"""The public identifier of Link's command-line client. It is no secret, and Link publishes no other."""

DEFAULT_SCOPE: Final = "userinfo:read payment_methods.agentic"

Answer = TypeVar("Answer")

_DEVICE_CODE: Final = "urn:ietf:params:oauth:grant-type:device_code"
_SLOWER: Final = 5.0  # RFC 8628 §3.5: slow_down adds five seconds
_PATIENCE: Final = 5
"""Polls in a row that may go unanswered before waiting is given up."""


class LinkCredentials(Struct, frozen=True, kw_only=True):
    """A session's tokens. `expires_at`, of the access token, is in seconds since 1970; None: not known."""

    access_token: str
    refresh_token: str | None = None
    expires_at: float | None = None
    scope: str | None = None

    def __repr__(self) -> str:
        return f"LinkCredentials(<redacted>, expires_at={self.expires_at!r}, scope={self.scope!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        # msgspec's own would show the tokens wherever rich prints a traceback.
        return [("expires_at", self.expires_at), ("scope", self.scope)]


class DeviceCode(Struct, frozen=True, kw_only=True):
    """A login that has begun. The user opens `verification_url_complete` and compares `user_code`.

    `expires_at` is in the seconds of `time.monotonic`; `interval`, between polls, in seconds.
    """

    device_code: str
    user_code: str
    verification_url: str
    verification_url_complete: str
    expires_at: float
    interval: float

    def __repr__(self) -> str:
        return f"DeviceCode(<redacted>, user_code={self.user_code!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        # msgspec's own would show the code wherever rich prints a traceback.
        return [("user_code", self.user_code)]


class _CodeAnswer(Struct):
    device_code: str
    user_code: str
    verification_uri: str
    expires_in: float
    verification_uri_complete: str | None = None
    interval: float = 5.0  # RFC 8628 §3.2


class _TokenAnswer(Struct):
    access_token: str
    refresh_token: str | None = None
    expires_in: float | None = None
    scope: str | None = None


class _ErrorAnswer(Struct):
    error: object = None
    error_description: str | None = None


class _Declined(Exception):
    """An OAuth error. `code` is RFC 6749's or RFC 8628's."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code


class LinkAuth:
    """Link's authorization server at `url`.

    Raises `ConfigurationError` for a URL that is neither https nor this machine's.
    """

    def __init__(self, url: str = AUTH_URL, *, client_id: str = CLIENT_ID, timeout: float = 30.0) -> None:
        self.url = safe_base_url(url, "auth_url")
        self._client_id = client_id
        self._http = open_http(self.url, timeout)

    async def begin(self, *, client_name: str, scope: str = DEFAULT_SCOPE) -> DeviceCode:
        """Start a login. The user is shown `client_name`, and this machine's name.

        Raises `LinkUnreachable` and `LoginRefused`.
        """
        form = {
            "scope": scope,
            "connection_label": f"{client_name} on {socket.gethostname()}",
            "client_hint": client_name,
        }
        try:
            answer = await self._post("/device/code", form, _CodeAnswer)
        except _Declined as error:
            raise LoginRefused(f"Link does not start a login: {error}") from None
        return DeviceCode(
            device_code=answer.device_code,
            user_code=answer.user_code,
            verification_url=answer.verification_uri,
            verification_url_complete=answer.verification_uri_complete or answer.verification_uri,
            expires_at=time.monotonic() + answer.expires_in,
            interval=max(answer.interval, 0.1),
        )

    async def wait(self, code: DeviceCode) -> LinkCredentials:
        """The session, once the user has allowed it. Polls until then.

        Raises `LoginRefused` if they did not, or not in time, and `LinkUnreachable` if Link stays away.
        """
        interval, silent = code.interval, 0
        while time.monotonic() < code.expires_at:
            await asyncio.sleep(interval)
            try:
                return await self._redeem(code)
            except _Declined as error:
                silent = 0
                if error.code == "slow_down":
                    interval += _SLOWER
                elif error.code != "authorization_pending":
                    raise LoginRefused(_why_not(error)) from None
            except LinkUnreachable:
                silent += 1
                if silent == _PATIENCE:
                    raise
        raise LoginRefused("the login was not confirmed in time: start it again")

    async def refresh(self, credentials: LinkCredentials) -> LinkCredentials:
        """The session's next tokens; the old refresh token may be void from then on.

        Raises `NotLoggedIn` if the session is over, and `LinkUnreachable`.
        """
        if credentials.refresh_token is None:
            raise NotLoggedIn("the access token has expired, and there is no refresh token beside it")
        form = {"grant_type": "refresh_token", "refresh_token": credentials.refresh_token}
        try:
            answer = await self._post("/device/token", form, _TokenAnswer)
        except _Declined as error:
            if error.code != "invalid_grant":
                raise LinkError(f"Link does not refresh the session: {error}") from None
            raise NotLoggedIn("the session with Link has ended") from None
        return _credentials(answer, before=credentials)

    async def revoke(self, credentials: LinkCredentials) -> None:
        """End the session. Raises `LinkUnreachable`, or `LinkError` if Link does not do it."""
        form = {"token": credentials.refresh_token or credentials.access_token}
        try:
            await self._post("/device/revoke", form, dict)
        except _Declined as error:
            raise LinkError(f"Link does not end the session: {error}") from None

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _redeem(self, code: DeviceCode) -> LinkCredentials:
        form = {"grant_type": _DEVICE_CODE, "device_code": code.device_code}
        return _credentials(await self._post("/device/token", form, _TokenAnswer))

    async def _post(self, path: str, form: dict[str, str], kind: type[Answer]) -> Answer:
        """Raises `_Declined` for an OAuth error, and `LinkUnreachable` for whatever else is no answer."""
        try:
            response = await self._http.post(self.url + path, data={"client_id": self._client_id, **form})
        except httpx.HTTPError as error:
            raise LinkUnreachable(
                f"Link's login at {self.url} cannot be reached ({type(error).__name__})",
                timed_out=isinstance(error, httpx.TimeoutException),
            ) from error
        try:
            if response.is_success:
                return msgspec.json.decode(response.content or b"{}", type=kind)
            refusal = msgspec.json.decode(response.content, type=_ErrorAnswer)
        except (msgspec.DecodeError, UnicodeDecodeError):
            refusal = _ErrorAnswer()
        if response.is_server_error or response.status_code == 429 or not isinstance(refusal.error, str):
            raise LinkUnreachable(f"Link's login at {self.url} answered {response.status_code}")
        raise _Declined(refusal.error, refusal.error_description or refusal.error)


def _credentials(answer: _TokenAnswer, before: LinkCredentials | None = None) -> LinkCredentials:
    return LinkCredentials(
        access_token=answer.access_token,
        refresh_token=answer.refresh_token or (before.refresh_token if before else None),
        expires_at=None if answer.expires_in is None else time.time() + answer.expires_in,
        scope=answer.scope or (before.scope if before else None),
    )


def _why_not(error: _Declined) -> str:
    match error.code:
        case "access_denied":
            return "the login was denied"
        case "expired_token":
            return "the login was not confirmed in time: start it again"
        case "authorization_failed":
            return "this Link account is not eligible for paying from programs"
        case _:
            return f"Link did not allow the login: {error}"
