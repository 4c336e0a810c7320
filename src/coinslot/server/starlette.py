"""The adapter for Starlette and everything built on it, FastAPI above all.

`attach` adds one small middleware. When the app starts, it walks the routes, finds each handler that
`@paywall.charge` made, and puts the gate in front of that route: after routing, so that a free route costs
nothing more, and before the app reads parameters or body, so that a bare probe sees the price. The decorator,
which runs after validation, takes the money.

What cannot be charged for safely is refused there and then, in one sentence: a charge that no route leads to
(the decorator stands above `@app.get`), or a route that two charges share.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response as StarletteResponse
from starlette.routing import Host, Mount, Route

from coinslot.errors import ConfigurationError, PaymentError
from coinslot.server.asgi import ASGIApp, Message, Passage, Receive, Scope, Send, is_charged, replay
from coinslot.server.gate import Gate
from coinslot.server.handler import GATE_ATTRIBUTE

if TYPE_CHECKING:
    from coinslot.server.paywall import Paywall

R = TypeVar("R")

_ARMED = "__coinslot_armed__"


class PaywallMiddleware:
    """Arms the app's routes when it starts; from then on it only passes requests on."""

    def __init__(self, app: ASGIApp, *, paywall: Paywall, root: Starlette) -> None:
        self._app = app
        self._paywall = paywall
        self._root = root
        self._armed = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        if not self._armed:  # no lifespan: a test client, or a mounted app
            await self._start()
        await self._app(scope, receive, send)

    async def _start(self) -> None:
        arm(self._root, self._paywall.handlers)
        await self._paywall.open()
        self._armed = True

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start with the app, and end with it. A paywall that cannot work stops the app from starting."""
        message = await receive()
        try:
            await self._start()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": f"coinslot: {error}"})
            raise

        async def close_first(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown."):  # after this, the server stops the loop
                await self._paywall.aclose()
            await send(message)

        await self._app(scope, replay([message], receive), close_first)


def attach(app: Starlette, paywall: Paywall) -> None:
    """Charge for the app's decorated handlers. See `Paywall.attach`."""
    app.add_middleware(PaywallMiddleware, paywall=paywall, root=app)


def arm(app: Starlette, handlers: Iterable[Callable[..., object]]) -> None:
    """Put each gate in front of its route. Raises `ConfigurationError` for a charge that none would reach."""
    reached: set[Gate] = set()
    for route, is_copied in _routes(app.routes):
        gates = _gates(route.endpoint)
        if gates and is_copied:
            raise ConfigurationError(
                f"{route.path} is a plain Starlette route inside a FastAPI router, which copies it: "
                "use router.get, router.post or router.add_api_route for what is charged for."
            )
        if gates:
            _arm(route, gates)
        reached.update(gates.values())
    for handler in handlers:
        if getattr(handler, GATE_ATTRIBUTE) not in reached:
            raise ConfigurationError(
                f"{handler.__module__}.{handler.__qualname__} is charged for, but no route leads to the "
                "charge, so it would be served free: put @paywall.charge below @app.get, and register "
                "what it returns."
            )


def _routes(routes: Iterable[object], is_copied: bool = False) -> Iterator[tuple[Route, bool]]:
    """Every route below, and whether it is one that FastAPI will serve a copy of."""
    for route in routes:
        if isinstance(route, Route):
            # FastAPI dispatches its own routes of an included router through the original.
            yield route, is_copied and type(route) is Route
        elif isinstance(route, Mount | Host):
            yield from _routes(route.routes or getattr(route.app, "routes", ()), is_copied)
        elif (included := getattr(route, "original_router", None)) is not None:
            yield from _routes(included.routes, is_copied=True)


def _gates(endpoint: object) -> dict[str | None, Gate]:
    """The gates of an endpoint: one for all its methods (key None), or one each for a class's methods."""
    gate = getattr(endpoint, GATE_ATTRIBUTE, None)
    if gate is None and not inspect.isclass(endpoint):
        gate = getattr(type(endpoint).__call__, GATE_ATTRIBUTE, None) if callable(endpoint) else None
    if gate is not None:
        return {None: gate}
    if not inspect.isclass(endpoint):
        return {}
    gates: dict[str | None, Gate] = {}
    for verb in ("get", "post", "put", "patch", "delete", "head"):
        method_gate = getattr(getattr(endpoint, verb, None), GATE_ATTRIBUTE, None)
        if method_gate is not None:
            gates[verb.upper()] = method_gate
    if "GET" in gates and not hasattr(endpoint, "head"):
        gates["HEAD"] = gates["GET"]  # Starlette answers HEAD with a class's get
    return gates


def _arm(route: Route, gates: dict[str | None, Gate]) -> None:
    if hasattr(route, _ARMED):
        return
    handle = route.handle

    async def gated(scope: Scope, receive: Receive, send: Send) -> None:
        verb = scope["method"]
        gate = gates.get(None) or gates.get(verb)
        if gate is None or not is_charged(scope) or (route.methods and verb not in route.methods):
            await handle(scope, receive, send)
            return
        await StarlettePassage(gate, scope, receive, send, route.path_format).admit_then(handle)

    route.handle = gated  # type: ignore[method-assign]  # this route only, where the router calls it
    setattr(route, _ARMED, True)


class StarlettePassage(Passage):
    """A passage whose refusals are responses that Starlette and FastAPI send as they are."""

    async def refusal(self, error: PaymentError) -> StarletteResponse:  # type: ignore[override]  # the framework's own kind
        """The answer, as a Starlette response."""
        answer = await super().refusal(error)
        response = StarletteResponse(answer.body, status_code=answer.status)
        response.raw_headers = list(answer.headers)
        return response

    async def run_sync(self, function: Callable[[], R]) -> R:
        """On Starlette's own thread pool, whose limits the app may have set."""
        return await run_in_threadpool(function)
