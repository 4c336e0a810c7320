"""What is at `api.link.com`: payment methods, spend requests and their user, for programs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from coinslot.sandbox.link.authorization import Authorizations
from coinslot.sandbox.link.bodies import read_body
from coinslot.sandbox.link.refusals import Refusal
from coinslot.sandbox.link.requests import SpendRequest
from coinslot.sandbox.link.spending import Spending
from coinslot.sandbox.link.terms import Creation, Nickname, Update, read
from coinslot.sandbox.link.tokens import Unreachable
from coinslot.sandbox.link.wallet import SHIPPING_ADDRESS, USER, Wallet

_Endpoint: TypeAlias = Callable[[Request], Awaitable[JSONResponse]]

WALLET = "payment_methods.agentic"
READ_USER = "userinfo:read"
APPROVE = "spend_requests:approve"


class WalletAPI:
    """JSON in and out, under a bearer token."""

    def __init__(
        self,
        authorizations: Authorizations,
        wallet: Wallet,
        spending: Spending,
        base_url: Callable[[], str],
    ) -> None:
        self._authorizations = authorizations
        self._wallet = wallet
        self._spending = spending
        self._base_url = base_url
        self.routes = [
            self._route("GET", "/userinfo", self._user, scope=READ_USER),
            self._route("GET", "/shipping_addresses", self._addresses),
            self._route("GET", "/payment-details", self._payment_methods),
            self._route("POST", "/payment-details/{id}", self._rename),
            self._route("GET", "/spend_requests", self._list),
            self._route("POST", "/spend_requests", self._create),
            self._route("POST", "/spend_requests/create_delegated", self._create_delegated, scope=APPROVE),
            self._route("GET", "/spend_requests/{id}", self._retrieve),
            self._route("POST", "/spend_requests/{id}", self._update),
            self._route("POST", "/spend_requests/{id}/cancel", self._cancel),
            self._route("POST", "/spend_requests/{id}/request_approval", self._request_approval),
        ]

    def _route(self, method: str, path: str, endpoint: _Endpoint, *, scope: str = WALLET) -> Route:
        async def guarded(request: Request) -> JSONResponse:
            self._authorizations.check(request.headers.get("authorization"), scope=scope)
            return await endpoint(request)

        return Route(path, guarded, methods=[method])

    async def _user(self, _request: Request) -> JSONResponse:
        return JSONResponse(USER)

    async def _addresses(self, _request: Request) -> JSONResponse:
        return JSONResponse({"shipping_addresses": [SHIPPING_ADDRESS]})

    async def _payment_methods(self, _request: Request) -> JSONResponse:
        return JSONResponse({"payment_details": self._wallet.describe()})

    async def _rename(self, request: Request) -> JSONResponse:
        wanted = read(await read_body(request), Nickname)
        return JSONResponse(self._wallet.rename(request.path_params["id"], wanted.nickname))

    async def _list(self, request: Request) -> JSONResponse:
        history = request.query_params.get("include_history") == "true"
        found = self._spending.list(history=history)
        return JSONResponse({"data": [one.describe(self._base_url()) for one in found]})

    async def _create(self, request: Request) -> JSONResponse:
        return self._show(await self._spending.create(read(await read_body(request), Creation)))

    async def _create_delegated(self, request: Request) -> JSONResponse:
        """Approved by whoever asks: their session was given the right to."""
        made = await self._spending.create(read(await read_body(request), Creation))
        if made.status == "created":
            made = await self._spending.request_approval(made.id)
        try:
            return self._show(await self._spending.approve(made.id))
        except Unreachable as error:
            raise Refusal(503, f"No token could be drawn: {error}.", code="api_error") from None

    async def _retrieve(self, request: Request) -> JSONResponse:
        include = frozenset(request.query_params.get("include", "").split(","))
        return self._show(self._spending.find(request.path_params["id"]), include)

    async def _update(self, request: Request) -> JSONResponse:
        update = read(await read_body(request), Update)
        return self._show(self._spending.update(request.path_params["id"], update))

    async def _cancel(self, request: Request) -> JSONResponse:
        return self._show(await self._spending.cancel(request.path_params["id"]))

    async def _request_approval(self, request: Request) -> JSONResponse:
        made = await self._spending.request_approval(request.path_params["id"])
        return JSONResponse({"id": made.id, "approval_link": made.describe(self._base_url())["approval_url"]})

    def _show(self, request: SpendRequest, include: frozenset[str] = frozenset()) -> JSONResponse:
        return JSONResponse(
            request.describe(self._base_url(), include), headers={"cache-control": "no-store"}
        )
