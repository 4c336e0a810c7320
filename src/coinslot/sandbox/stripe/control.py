"""The sandbox's own controls, below /_sandbox: what no real Stripe offers.

    GET    /_sandbox                      accounts, keys, settings
    GET    /_sandbox/faults               what is still to go wrong
    POST   /_sandbox/faults               have something go wrong: see `faults`
    DELETE /_sandbox/faults               let nothing go wrong
    POST   /_sandbox/rate_limit           {"per_second": 25}, or null for none
    POST   /_sandbox/accounts             {"name": "shop"}: one more account
    POST   /_sandbox/authentications/pi_… {"succeeded": true}: the payer has authenticated, or has not

Bodies are JSON, and have to say so: a page elsewhere on the web cannot post that without being asked first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from coinslot.errors import ConfigurationError
from coinslot.protocol import JSONObject
from coinslot.sandbox.stripe import accounts, confirming, faults
from coinslot.sandbox.stripe.accounts import Keys
from coinslot.sandbox.stripe.errors import ApiError
from coinslot.sandbox.stripe.expansion import to_json
from coinslot.sandbox.stripe.faults import FaultSettings
from coinslot.sandbox.stripe.limits import RateLimit
from coinslot.sandbox.stripe.store import Store

B = TypeVar("B", bound=Struct)

_JSON: Final = "application/json"


class RateLimitSetting(Struct, forbid_unknown_fields=True):
    """Requests a second for each account; None is no limit."""

    per_second: float | None


class NewAccount(Struct, forbid_unknown_fields=True):
    """The name that everything about the account follows from."""

    name: str


class Authentication(Struct, forbid_unknown_fields=True):
    """Whether the payer is who they should be."""

    succeeded: bool


class Control:
    """The controls of a state. `changed` is called after what may have left something to do."""

    def __init__(self, store: Store, limit: RateLimit, changed: Callable[[], None]) -> None:
        self._store = store
        self._limit = limit
        self._changed = changed

    def routes(self) -> list[Route]:
        """The endpoints."""
        paths: list[tuple[str, str, Callable[[Request], Awaitable[Response]]]] = [
            ("GET", "/_sandbox", self._describe),
            ("GET", "/_sandbox/faults", self._list_faults),
            ("POST", "/_sandbox/faults", self._add_fault),
            ("DELETE", "/_sandbox/faults", self._clear_faults),
            ("POST", "/_sandbox/rate_limit", self._set_limit),
            ("POST", "/_sandbox/accounts", self._open_account),
            ("POST", "/_sandbox/authentications/{id}", self._authenticate),
        ]
        return [Route(path, _guarded(answer), methods=[method]) for method, path, answer in paths]

    async def _describe(self, _request: Request) -> Response:
        found = await self._store.run(accounts.all_accounts)
        return JSONResponse(
            {"accounts": [describe(keys) for keys in found], "per_second": self._limit.per_second}
        )

    async def _list_faults(self, _request: Request) -> Response:
        pending = await self._store.run(faults.pending)
        return JSONResponse({"faults": [{**each.settings, "times": each.left} for each in pending]})

    async def _add_fault(self, request: Request) -> Response:
        settings = await _read(request, FaultSettings)
        fault = await self._store.run(lambda state: faults.add(state, settings))
        return JSONResponse({**fault.settings, "times": fault.left}, 201)

    async def _clear_faults(self, _request: Request) -> Response:
        await self._store.run(faults.clear)
        return Response(status_code=204)

    async def _set_limit(self, request: Request) -> Response:
        self._limit.per_second = (await _read(request, RateLimitSetting)).per_second
        return JSONResponse({"per_second": self._limit.per_second})

    async def _open_account(self, request: Request) -> Response:
        wanted = await _read(request, NewAccount)
        keys = await self._store.run(lambda state: accounts.open_account(state, wanted.name))
        return JSONResponse(describe(keys), 201)

    async def _authenticate(self, request: Request) -> Response:
        outcome = await _read(request, Authentication)
        intent = await self._store.run(
            lambda state: confirming.authenticated(
                state, request.path_params["id"], succeeded=outcome.succeeded
            )
        )
        self._changed()
        return JSONResponse(to_json(intent))


def describe(keys: Keys) -> JSONObject:
    """An account, with its keys: everybody may know them."""
    return {
        "name": keys.name,
        "account": keys.account,
        "profile": keys.profile,
        "secret_key": keys.secret_key,
        "restricted_key": keys.restricted_key,
        "publishable_key": keys.publishable_key,
    }


def _guarded(
    answer: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    async def guarded(request: Request) -> Response:
        try:
            return await answer(request)
        except ApiError as error:
            return JSONResponse(error.answer(), error.status)
        except (ConfigurationError, msgspec.MsgspecError) as error:
            return JSONResponse({"error": {"message": str(error)}}, 400)

    return guarded


async def _read(request: Request, kind: type[B]) -> B:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
        raise ApiError(415, f"The content type has to be {_JSON}.")
    return msgspec.json.decode(await request.body(), type=kind)
