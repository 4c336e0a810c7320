"""The adapter for Starlette and everything built on it, FastAPI above all.

`attach` adds one small middleware. When the app starts, it walks the routes, finds each handler that
`@paywall.charge` made, and puts the gate in front of that route: after routing, so that a free route costs
nothing more, and before the app reads parameters or body, so that a bare probe sees the price. The decorator,
which runs after validation, takes the money.

What cannot be charged for safely is refused there and then, in one sentence: a charge that no route leads to
(the decorator stands above `@app.get`), or a route that the framework would serve a copy of.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Host, Mount, Route

from coinslot.errors import ConfigurationError, PaymentError
from coinslot.payments.replay import Replay
from coinslot.server.asgi import (
    ASGIApp,
    Message,
    Passage,
    Receive,
    Scope,
    Send,
    answer_options,
    is_preflight,
)
from coinslot.server.handler import Exchange, Handler, current, find_charge, gate_of

if TYPE_CHECKING:
    from coinslot.server.paywall import Paywall

R = TypeVar("R")
# What is charged for on a route: one handler for all its methods (key None), or a class's method for each.
Charges: TypeAlias = Mapping[str | None, Handler]

_ARMED: Final = "__coinslot_armed__"
_VERBS: Final = ("get", "head", "post", "put", "patch", "delete", "options", "trace", "query")


class PaywallMiddleware:
    """Arms the app's routes when it has started; from then on it only passes requests on."""

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
        arm(self._root)
        check_reached(self._paywall.apps, self._paywall.handlers)
        await self._paywall.open()
        self._armed = True

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start once the app has, end before it does. A paywall that cannot work stops it from starting."""
        failure: str | None = None

        async def watched(message: Message) -> None:
            nonlocal failure
            if message["type"] == "lifespan.startup.complete":
                try:
                    await self._start()
                except Exception as error:
                    failure = f"coinslot: {error}"
                    raise
            elif message["type"] == "lifespan.startup.failed" and failure is not None:
                message = {**message, "message": failure}
            elif message["type"].startswith("lifespan.shutdown."):  # after this, the server stops the loop
                await self._paywall.aclose()
            await send(message)

        await self._app(scope, receive, watched)


def attach(app: Starlette, paywall: Paywall) -> None:
    """Charge for the app's decorated handlers. See `Paywall.attach`."""
    app.add_middleware(PaywallMiddleware, paywall=paywall, root=app)


def arm(app: Starlette) -> None:
    """Put each gate in front of its route. Raises `ConfigurationError` where that cannot be done."""
    for route, is_copied in _routes(app.routes):
        charges = _charges(route.endpoint)
        if charges and is_copied:
            raise ConfigurationError(
                f"{route.path} is a plain Starlette route inside a FastAPI router, which copies it: "
                "use router.get, router.post or router.add_api_route for what is charged for."
            )
        if charges and not hasattr(route, _ARMED):
            _arm(route, charges)


def check_reached(apps: Iterable[Starlette], handlers: Iterable[Handler]) -> None:
    """Raise `ConfigurationError` for a charge that no route of these apps leads to."""
    reached = {
        handler
        for app in apps
        for route, _ in _routes(app.routes)
        for handler in _charges(route.endpoint).values()
    }
    for handler in handlers:
        if handler not in reached:
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


def _charges(endpoint: object) -> Charges:
    """What is charged for at an endpoint: a function, an object with `__call__`, or a class's methods."""
    if inspect.isclass(endpoint):
        charges: dict[str | None, Handler] = {
            verb.upper(): charge
            for verb in _VERBS
            if (charge := find_charge(getattr(endpoint, verb, None))) is not None
        }
        if "GET" in charges and not hasattr(endpoint, "head"):
            charges["HEAD"] = charges["GET"]  # Starlette answers HEAD with a class's get
        return charges
    charge = find_charge(endpoint)
    if charge is None and callable(endpoint):
        charge = find_charge(type(endpoint).__call__)
    return {} if charge is None else {None: charge}


def _arm(route: Route, charges: Charges) -> None:
    handle = route.handle
    tail = re.compile(route.path_regex.pattern.removeprefix("^"))

    async def gated(scope: Scope, receive: Receive, send: Send) -> None:
        verb = scope["method"]
        charge = charges.get(None) or charges.get(verb)
        if charge is None or is_preflight(scope) or (route.methods and verb not in route.methods):
            await handle(scope, receive, send)
        elif verb == "OPTIONS":
            await answer_options(send, route.methods or ())
        else:
            label = _label(tail, route, scope["path"])
            await StarlettePassage(gate_of(charge), scope, receive, send, label).admit_then(handle)

    route.handle = gated  # type: ignore[method-assign]  # this route only, where the router calls it
    setattr(route, _ARMED, True)


def _label(tail: re.Pattern[str], route: Route, path: str) -> str:
    """The route's template, after whatever prefix it is mounted or included under."""
    matched = tail.search(path)
    return path[: matched.start() if matched else 0] + route.path_format


class StarlettePassage(Passage, Exchange):
    """A passage whose handler takes the money itself, once the app has validated the request."""

    async def admit_then(self, app: ASGIApp) -> None:
        """Admit, then let the app validate, settle through `current`, and answer."""
        if await self._admit():
            token = current.set(self)
            try:
                await self._watch(app)
            finally:
                current.reset(token)

    async def refusal(self, error: PaymentError) -> Response:
        """The answer as a response that Starlette and FastAPI send as it is."""
        answer = await self.gate.engine.refuse(self.gate, self._request, error)
        response = Response(answer.body, status_code=answer.status)
        response.raw_headers = list(answer.headers)
        return response

    async def replayed(self, replay: Replay) -> Response:
        """Sends the kept answer as it is. What the framework makes of the one returned goes nowhere."""
        await self._replay(replay)
        return Response()

    async def run_sync(self, function: Callable[[], R]) -> R:
        """On Starlette's own thread pool, whose limits the app may have set."""
        return await run_in_threadpool(function)
