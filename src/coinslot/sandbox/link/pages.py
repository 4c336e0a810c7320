"""The pages on which the wallet's user decides. They need no JavaScript and load nothing.

Whoever has a page's address can decide on it: the sandbox has one user, and that is you.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from coinslot.methods.stripe.currencies import as_money
from coinslot.sandbox.link.authorization import Authorizations
from coinslot.sandbox.link.bodies import read_form
from coinslot.sandbox.link.refusals import Refusal
from coinslot.sandbox.link.requests import CHALLENGE, SpendRequest
from coinslot.sandbox.link.spending import Spending
from coinslot.sandbox.link.tokens import Unreachable
from coinslot.sandbox.link.wallet import USER

_Decide: TypeAlias = Callable[[str], Awaitable[SpendRequest]]

_HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    ),
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}

SCOPES: Final = {
    "userinfo:read": "See your name and e-mail address",
    "payment_methods.agentic": "See your payment methods, and ask you to pay with them",
    "spend_requests:approve": "Pay with them without asking you",
}
"""What each scope lets a program do, in the user's words."""


class Pages:
    """`/device`, where a login is allowed; `/approve/…`, where a payment is; `/challenge/…`, their bank's."""

    def __init__(
        self, authorizations: Authorizations, spending: Spending, base_url: Callable[[], str]
    ) -> None:
        self._authorizations = authorizations
        self._spending = spending
        self._base_url = base_url
        self._templates = Environment(
            loader=PackageLoader("coinslot.sandbox.link"), autoescape=True, undefined=StrictUndefined
        )
        self._templates.filters["money"] = as_money
        self.routes = [
            Route("/", self._home, methods=["GET"]),
            Route("/device", self._show_login, methods=["GET"]),
            Route("/device", self._decide_login, methods=["POST"]),
            Route("/approve/{id}", self._show_approval, methods=["GET"]),
            Route("/approve/{id}", self._decide_approval, methods=["POST"]),
            Route("/challenge/{id}", self._show_challenge, methods=["GET"]),
            Route("/challenge/{id}", self._decide_challenge, methods=["POST"]),
        ]

    async def _home(self, _request: Request) -> Response:
        """Everything that there is to decide, and that was decided."""
        return self._page("home.html", requests=self._spending.list(history=True))

    async def _show_login(self, request: Request) -> Response:
        code = request.query_params.get("code")
        if not code:
            return self._page("phrase.html", unknown=None)
        device = self._authorizations.device(code)
        if device is None:
            return self._page("phrase.html", status=404, unknown=code)
        asks_for = [SCOPES[scope] for scope in device.scope.split()]
        return self._page("login.html", device=device, asks_for=asks_for)

    async def _decide_login(self, request: Request) -> Response:
        form = await self._read_decision(request)
        device = self._authorizations.device(form.get("code", ""))
        if device is None:
            return self._page("phrase.html", status=404, unknown=form.get("code", ""))
        self._authorizations.decide(device.user_code, allowed=form["decision"] == "approve")
        return self._back(f"/device?code={device.user_code}")

    async def _show_approval(self, request: Request) -> Response:
        found = self._find(request)
        if found is None or found.decide_by is None:
            return self._page("missing.html", status=404)
        return self._page("approval.html", request=found, problem=None)

    async def _decide_approval(self, request: Request) -> Response:
        form = await self._read_decision(request)
        decide = self._spending.approve if form["decision"] == "approve" else self._spending.deny
        return await self._decide(request, decide, page="approve")

    async def _show_challenge(self, request: Request) -> Response:
        found = self._find(request)
        if found is None or (found.status == "requires_action" and found.action != CHALLENGE):
            return self._page("missing.html", status=404)
        return self._page("challenge.html", request=found, problem=None)

    async def _decide_challenge(self, request: Request) -> Response:
        passed = (await self._read_decision(request))["decision"] == "approve"

        async def meet(identifier: str) -> SpendRequest:
            return await self._spending.meet_challenge(identifier, passed=passed)

        return await self._decide(request, meet, page="challenge")

    async def _decide(self, request: Request, decide: _Decide, *, page: str) -> Response:
        found = self._find(request)
        if found is None:
            return self._page("missing.html", status=404)
        try:
            decided = await decide(found.id)
        except Unreachable as error:
            template = {"approve": "approval.html", "challenge": "challenge.html"}[page]
            return self._page(template, status=502, request=found, problem=str(error))
        if decided.status == "requires_action":
            page = "challenge"
        return self._back(f"/{page}/{found.id}")

    def _find(self, request: Request) -> SpendRequest | None:
        try:
            return self._spending.find(request.path_params["id"])
        except Refusal:
            return None

    async def _read_decision(self, request: Request) -> dict[str, str]:
        """The form. Raises `Refusal` if a page of somebody else's sent it, or if it decides nothing."""
        origin = request.headers.get("origin")
        if origin not in (None, self._base_url(), str(request.base_url).rstrip("/")):
            raise Refusal(403, "That form is not one of this site's.", code="forbidden")
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise Refusal(403, "That form is not one of this site's.", code="forbidden")
        form = await read_form(request)
        if form.get("decision") not in ("approve", "deny"):
            raise Refusal(422, "The decision is approve or deny.")
        return form

    def _page(self, template: str, *, status: int = 200, **values: object) -> HTMLResponse:
        text = self._templates.get_template(template).render(user=USER, **values)
        return HTMLResponse(text, status, _HEADERS)

    def _back(self, path: str) -> RedirectResponse:
        return RedirectResponse(path, 303, {"cache-control": "no-store"})
