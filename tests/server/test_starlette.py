"""Starlette: functions, class-based endpoints, mounts, and the start and end of an app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Host, Mount, Route
from starlette.testclient import TestClient

from coinslot import ConfigurationError, Payment, Paywall
from coinslot.server.asgi import Message
from coinslot.storage.memory import MemoryLedger
from scrip import Mint, ScripCharge, credential
from shopping import challenge_of, pay, problem, visit


def make(paywall: Paywall) -> Starlette:
    """Functions, a class, a mount, a host."""

    @paywall.charge("0.01")
    async def hello(request: Request, payment: Payment) -> Response:
        return JSONResponse({"hello": request.path_params["name"], "reference": payment.reference})

    @paywall.charge("0.01")
    def blocking(request: Request) -> Response:
        return PlainTextResponse(request.method)

    class Article(HTTPEndpoint):
        """Reading costs, writing costs more, deleting is free."""

        @paywall.charge("0.02")
        async def get(self, request: Request) -> Response:
            return PlainTextResponse(f"article {request.path_params['id']}")

        @paywall.charge("0.10")
        def post(self, request: Request) -> Response:
            return PlainTextResponse("written", 201)

        async def delete(self, request: Request) -> Response:
            return PlainTextResponse("deleted")

    return Starlette(
        routes=[
            Route("/hello/{name}", hello),
            Mount(
                "/sub",
                routes=[
                    Route("/blocking", blocking, methods=["GET", "POST"]),
                    Route("/articles/{id}", Article),
                ],
            ),
            Host("api.example", Starlette(routes=[Route("/blocking", blocking)])),
        ],
        middleware=[Middleware(GZipMiddleware, minimum_size=1)],
    )


@pytest.fixture
def app(paywall: Paywall) -> Starlette:
    """The app, watched over."""
    app = make(paywall)
    paywall.attach(app)
    return app


@pytest.mark.parametrize(
    ("method", "url", "price", "status", "text"),
    [
        ("GET", "/hello/you", "1", 200, '"hello":"you"'),
        ("GET", "/sub/blocking", "1", 200, "GET"),
        ("POST", "/sub/blocking", "1", 200, "POST"),
        ("GET", "/sub/articles/4", "2", 200, "article 4"),
        ("POST", "/sub/articles/4", "10", 201, "written"),
        ("GET", "http://api.example/blocking", "1", 200, "GET"),
    ],
)
async def test_every_endpoint_has_its_own_price(
    app: Starlette, mint: Mint, method: str, url: str, price: str, status: int, text: str
) -> None:
    """Functions, methods of classes, mounted and hosted apps are each charged for on their own."""
    async with visit(app) as http:
        assert challenge_of(await http.request(method, url)).decode_request()["amount"] == price
        response = await pay(http, mint, method, url)
    assert response.status_code == status
    assert text in response.text
    assert "payment-receipt" in response.headers


async def test_a_class_may_have_free_methods(app: Starlette) -> None:
    """What is not decorated is not charged for, and what is not there is still 405 or 404."""
    async with visit(app) as http:
        assert (await http.delete("/sub/articles/4")).text == "deleted"
        assert (await http.put("/sub/articles/4")).status_code == 405
        assert (await http.get("/nowhere")).status_code == 404


@pytest.mark.parametrize("url", ["/hello/you", "/sub/articles/4"])
async def test_head_shows_the_price_and_is_never_served(app: Starlette, mint: Mint, url: str) -> None:
    """HEAD sees a 402 without a body, and whatever is presented with it pays for nothing."""
    async with visit(app) as http:
        head = await http.head(url)
        assert head.status_code == 402
        assert head.content == b""
        response = await pay(http, mint, "HEAD", url)
    assert response.status_code == 402
    assert mint.spend_requests == 0


def test_a_paywall_lives_as_long_as_its_app(paywall: Paywall) -> None:
    """The app's own lifespan runs inside the paywall's."""
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        seen.append("up")
        yield
        seen.append("down")

    app = Starlette(lifespan=lifespan)
    paywall.attach(app)
    for _ in range(2):
        with TestClient(app) as http:
            assert http.get("/").status_code == 404
    assert seen == ["up", "down", "up", "down"]


async def test_the_ledger_is_closed_before_the_server_hears_that_the_app_has_ended(mint: Mint) -> None:
    """A server stops its loop when the app says that it has shut down, so by then all is written."""
    told: list[str] = []

    class Closing(MemoryLedger):
        """Says when it is closed."""

        async def close(self) -> None:
            """Takes a moment."""
            await asyncio.sleep(0.01)
            told.append("ledger closed")

    app = Starlette()
    Paywall([ScripCharge(mint)], secret_key="s" * 32, realm="shop", ledger=Closing()).attach(app)
    messages: list[Message] = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        told.append(message["type"])

    await app({"type": "lifespan", "state": {}}, receive, send)
    assert told == ["lifespan.startup.complete", "ledger closed", "lifespan.shutdown.complete"]


def test_a_paywall_that_cannot_work_stops_the_app_in_one_sentence(mint: Mint, tmp_path: Path) -> None:
    """A ledger that cannot be opened is a failed start, with a reason, not a 500 later."""
    ledger = tmp_path / "coinslot.db"
    ledger.write_bytes(b"this is no database" * 100)
    paywall = Paywall([ScripCharge(mint)], secret_key="s" * 32, realm="shop", ledger=f"sqlite:///{ledger}")
    app = Starlette()
    paywall.attach(app)
    with pytest.raises(Exception, match="is not an SQLite file"), TestClient(app):
        pass


def test_a_copied_route_is_refused_at_start_up(paywall: Paywall) -> None:
    """FastAPI serves a copy of a plain Starlette route in a router, which no gate would stand before."""

    @paywall.charge("0.01")
    async def hello(request: Request) -> Response:
        return PlainTextResponse("free!")

    router = APIRouter()
    router.routes.append(Route("/hello", hello))
    app = FastAPI()
    app.include_router(router)
    paywall.attach(app)
    with pytest.raises(ConfigurationError, match="copies it"), TestClient(app):
        pass


async def test_a_payment_parameter_may_stand_anywhere(paywall: Paywall, mint: Mint) -> None:
    """Before the request, by position only, or optional: the handler gets both."""

    @paywall.charge("0.01")
    async def first(payment: Payment, request: Request) -> Response:
        return PlainTextResponse(f"{payment.amount} {request.method}")

    @paywall.charge("0.01")
    async def positional(request: Request, payment: Payment | None, /) -> Response:
        return PlainTextResponse(f"{payment.amount if payment else None} {request.method}")

    app = Starlette(routes=[Route("/first", first), Route("/positional", positional)])
    paywall.attach(app)
    async with visit(app) as http:
        for path in ("/first", "/positional"):
            assert (await pay(http, mint, "GET", path)).text == "1 GET"


async def test_routes_may_be_added_while_the_app_starts(paywall: Paywall) -> None:
    """A route that the app's lifespan adds is charged for as well."""

    @paywall.charge("0.01")
    async def late(request: Request) -> Response:
        return PlainTextResponse("late")

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.routes.append(Route("/late", late))
        yield

    app = Starlette(lifespan=lifespan)
    paywall.attach(app)
    with TestClient(app) as http:
        assert http.get("/late").status_code == 402


async def test_a_host_s_payment_does_not_open_another_host(paywall: Paywall, mint: Mint) -> None:
    """Two hosts that serve the same path are two shops, also for a payment that is owed its delivery."""

    @paywall.charge("0.01")
    async def cheap(request: Request) -> Response:
        return PlainTextResponse("no", 500)

    @paywall.charge("99.00")
    async def dear(request: Request) -> Response:
        return PlainTextResponse("dear")

    def app_of(handler: Callable[..., object]) -> Starlette:
        return Starlette(routes=[Route("/report", handler)])

    app = Starlette(routes=[Host("cheap.example", app_of(cheap)), Host("dear.example", app_of(dear))])
    paywall.attach(app)
    async with visit(app) as http:
        url = "http://cheap.example/report"
        authorization = credential(challenge_of(await http.get(url)), mint.issue(1))
        headers = {"Authorization": authorization}
        assert (await http.get(url, headers=headers)).status_code == 500
        assert problem(await http.get("http://dear.example/report", headers=headers)) == "invalid-challenge"


async def test_attaching_twice_charges_once(paywall: Paywall, mint: Mint) -> None:
    """A second `attach` of the same paywall changes nothing."""
    app = make(paywall)
    paywall.attach(app)
    paywall.attach(app)
    async with visit(app) as http:
        assert (await pay(http, mint, "GET", "/hello/you")).status_code == 200
    assert mint.spend_requests == 1
