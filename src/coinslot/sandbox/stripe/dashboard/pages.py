"""The pages, and what their buttons do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import jinja2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from coinslot.sandbox.stripe import accounts, confirming, money, refunding
from coinslot.sandbox.stripe.accounts import Keys
from coinslot.sandbox.stripe.calls import Call
from coinslot.sandbox.stripe.control import Control
from coinslot.sandbox.stripe.dashboard import views
from coinslot.sandbox.stripe.endpoints.simulation import Simulate, simulate
from coinslot.sandbox.stripe.errors import ApiError
from coinslot.sandbox.stripe.form import decode
from coinslot.sandbox.stripe.networks import NETWORKS
from coinslot.sandbox.stripe.shapes import Charge, PaymentIntent
from coinslot.sandbox.stripe.shapes.payment_intent import CryptoDisplayDetails, RedirectToUrl
from coinslot.sandbox.stripe.state import State
from coinslot.sandbox.stripe.store import Store
from coinslot.sandbox.stripe.verification import FAILURE, SUCCESS
from coinslot.sandbox.stripe.versions import FIRST_PREVIEW

_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_PAYER: Final = "0x00000000000000000000000000000000000000ff"
"""The wallet that a simulated deposit comes from."""


class Pages:
    """The dashboard over a state. `changed` is called after what may have left something to do."""

    def __init__(self, store: Store, changed: Callable[[], None]) -> None:
        self._store = store
        self._changed = changed
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("coinslot.sandbox.stripe.dashboard"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["moment"] = views.moment
        self._templates.filters["money"] = money.display

    def routes(self) -> list[Route]:
        """The paths."""
        return [
            Route("/", _guarded(self._list)),
            Route("/developers", _guarded(self._developers)),
            Route("/payments/{id}", _guarded(self._show)),
            Route("/payments/{id}/deposit", _guarded(self._deposit), methods=["POST"]),
            Route("/payments/{id}/refund", _guarded(self._refund), methods=["POST"]),
            Route("/authenticate/{id}", _guarded(self._ask_payer), methods=["GET"]),
            Route("/authenticate/{id}", _guarded(self._authenticate), methods=["POST"]),
        ]

    async def _list(self, request: Request) -> Response:
        name = request.query_params.get("account", accounts.SELLER)
        tab = request.query_params.get("state", "all")
        if tab not in views.TABS:
            raise ApiError(404, "There is no such list.")
        owner = Keys(name)
        after = request.query_params.get("after")
        found = await self._store.run(
            lambda state: (views.payments(state, owner.account, tab, after), accounts.all_accounts(state))
        )
        return self._page(
            "payments.html", listing=found[0], accounts=found[1], account=owner, tab=tab, tabs=views.TABS
        )

    async def _show(self, request: Request) -> Response:
        return self._page("payment.html", found=await self._find(request))

    async def _developers(self, _request: Request) -> Response:
        return self._page("developers.html", found=await self._store.run(views.developers))

    async def _deposit(self, request: Request) -> Response:
        succeeds = await _succeeds(request)
        await self._act(partial(_simulate, id_=request.path_params["id"], succeeds=succeeds))
        return _back(request)

    async def _refund(self, request: Request) -> Response:
        await self._act(partial(_refund, id_=request.path_params["id"]))
        return _back(request)

    async def _ask_payer(self, request: Request) -> Response:
        return self._page("authenticate.html", found=await self._find(request))

    async def _authenticate(self, request: Request) -> Response:
        succeeded = await _succeeds(request)
        id_ = request.path_params["id"]
        before = await self._store.run(lambda state: state.get(PaymentIntent, id_))
        await self._act(partial(confirming.authenticated, id_=id_, succeeded=succeeded))
        redirect = None if before.next_action is None else before.next_action.redirect_to_url
        if isinstance(redirect, RedirectToUrl) and redirect.return_url is not None:
            return RedirectResponse(redirect.return_url, 303)
        return _back(request)

    async def _find(self, request: Request) -> views.Details:
        return await self._store.run(partial(views.payment, id_=request.path_params["id"]))

    async def _act(self, work: Callable[[State], object]) -> None:
        await self._store.run(work)
        self._changed()

    def _page(self, name: str, **values: object) -> HTMLResponse:
        return HTMLResponse(self._templates.get_template(name).render(**values), headers=_HEADERS)


def pages(store: Store, control: Control, changed: Callable[[], None]) -> Starlette:
    """The application of the dashboard and the controls."""
    return Starlette(routes=[*Pages(store, changed).routes(), *control.routes()])


def _simulate(state: State, id_: str, succeeds: bool) -> None:
    intent = state.get(PaymentIntent, id_)
    details = None if intent.next_action is None else intent.next_action.crypto_display_details
    networks = list(details.deposit_addresses) if isinstance(details, CryptoDisplayDetails) else ["tempo"]
    call = Call(account=state.owner(PaymentIntent, id_), version=FIRST_PREVIEW, path="/dashboard", ids=(id_,))
    deposit = Simulate(
        buyer_wallet=_PAYER,
        network=next(each for each in NETWORKS if each in networks),
        token_currency=money.STABLECOIN,
        transaction_hash=SUCCESS if succeeds else FAILURE,
    )
    simulate(state, call, deposit)


def _refund(state: State, id_: str) -> None:
    intent = state.get(PaymentIntent, id_)
    charge = None if intent.latest_charge is None else state.get(Charge, intent.latest_charge)
    if charge is None or refunding.refundable(charge) == 0:
        raise ApiError(409, "There is nothing left to refund.")
    account = state.owner(PaymentIntent, id_)
    refunding.refund(
        state, account, charge, refunding.refundable(charge), reason="requested_by_customer", metadata={}
    )


async def _succeeds(request: Request) -> bool:
    """Which of a form's two buttons it was."""
    return decode((await request.body()).decode()).get("outcome") == "succeeds"


def _back(request: Request) -> RedirectResponse:
    return RedirectResponse(f"/payments/{request.path_params['id']}", 303)


def _guarded(
    answer: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    """Turn away what other sites' pages send, and say what went wrong in words."""

    async def guarded(request: Request) -> Response:
        origin = request.headers.get("origin")
        if request.method == "POST" and origin != f"{request.url.scheme}://{request.url.netloc}":
            return Response("This form belongs to another site.\n", 403)
        try:
            return await answer(request)
        except ApiError as error:
            return Response(f"{error}\n", error.status, media_type="text/plain")

    return guarded
