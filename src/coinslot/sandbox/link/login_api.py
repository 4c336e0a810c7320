"""What is at `login.link.com`: the device login, for programs."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from coinslot.sandbox.link.authorization import DEVICE_LIFETIME, INTERVAL, Authorizations
from coinslot.sandbox.link.bodies import read_form
from coinslot.sandbox.link.refusals import OAuthRefusal

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"

DEFAULT_SCOPE = "userinfo:read payment_methods.agentic"
SCOPES = frozenset((*DEFAULT_SCOPE.split(), "spend_requests:approve"))

_NOT_STORED = {"cache-control": "no-store"}


class LoginAPI:
    """`/device/code`, `/device/token`, `/device/revoke`: forms in, JSON out."""

    def __init__(self, authorizations: Authorizations, base_url: Callable[[], str]) -> None:
        self._authorizations = authorizations
        self._base_url = base_url
        self.routes = [
            Route("/device/code", self._code, methods=["POST"]),
            Route("/device/token", self._token, methods=["POST"]),
            Route("/device/revoke", self._revoke, methods=["POST"]),
        ]

    async def _code(self, request: Request) -> JSONResponse:
        """A device authorization (RFC 8628 §3.1)."""
        form = await read_form(request)
        scope = form.get("scope", "").strip() or DEFAULT_SCOPE
        if unknown := set(scope.split()) - SCOPES:
            raise OAuthRefusal("invalid_scope", f"There is no scope {min(unknown)}.")
        label = form.get("connection_label") or form.get("client_hint") or "an unnamed program"
        device_code, user_code = self._authorizations.begin(_field(form, "client_id"), scope, label[:200])
        url = f"{self._base_url()}/device"
        return JSONResponse(
            {
                "device_code": device_code,
                "user_code": user_code,
                "verification_uri": url,
                "verification_uri_complete": f"{url}?{urlencode({'code': user_code})}",
                "expires_in": DEVICE_LIFETIME,
                "interval": INTERVAL,
            },
            headers=_NOT_STORED,
        )

    async def _token(self, request: Request) -> JSONResponse:
        """An access token, for a device code or a refresh token."""
        form = await read_form(request)
        client_id = _field(form, "client_id")
        match _field(form, "grant_type"):
            case "refresh_token":
                tokens = self._authorizations.refresh(_field(form, "refresh_token"), client_id)
            case grant_type if grant_type == DEVICE_CODE:
                tokens = self._authorizations.redeem(_field(form, "device_code"), client_id)
            case _:
                raise OAuthRefusal("unsupported_grant_type", "Use a device code or a refresh token.")
        return JSONResponse(
            {
                "access_token": tokens.access,
                "refresh_token": tokens.refresh,
                "token_type": "Bearer",
                "expires_in": tokens.expires_in,
                "scope": tokens.scope,
            },
            headers=_NOT_STORED,
        )

    async def _revoke(self, request: Request) -> JSONResponse:
        """The end of a session."""
        form = await read_form(request)
        _field(form, "client_id")
        self._authorizations.revoke(_field(form, "token"))
        return JSONResponse({}, headers=_NOT_STORED)


def _field(form: dict[str, str], name: str) -> str:
    if not form.get(name):
        raise OAuthRefusal("invalid_request", f"{name} is missing.")
    return form[name]
