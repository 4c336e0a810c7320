"""FastAPI: every kind of handler can be charged for, and nothing that the app refuses costs its payer."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import APIRouter, BackgroundTasks, Body, Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel
from starlette.testclient import TestClient

from coinslot import Challenge, ConfigurationError, Payment, PaymentDelivered, Paywall, Receipt
from coinslot.payments.payment import State
from scrip import Mint, credential
from shopping import challenge_of, pay, problem, visit, with_credential


class Item(BaseModel):
    """A request body."""

    name: str
    count: int = 1


class Answer(BaseModel):
    """A response model that leaves something out."""

    name: str


async def user(request: Request, token: Annotated[str, Query()] = "anonymous") -> AsyncIterator[str]:
    """A dependency with cleanup."""
    request.app.state.log.append("dependency in")
    yield token
    request.app.state.log.append("dependency out")


def an_app(paywall: Paywall, log: list[str]) -> FastAPI:
    """One handler of every kind."""
    app = FastAPI()
    app.state.log = log
    paywall.attach(app)

    @app.get("/paid")
    @paywall.charge("0.01")
    async def paid() -> dict[str, str]:
        return {"data": "secret"}

    @app.get("/free")
    async def free() -> dict[str, str]:
        return {"data": "public"}

    @app.get("/items/{item_id}")
    @paywall.charge("0.02")
    async def item(item_id: int, limit: Annotated[int, Query(le=10)] = 5) -> dict[str, int]:
        return {"item": item_id, "limit": limit}

    @app.post("/orders")
    @paywall.charge("0.03")
    async def order(item: Item, payment: Payment, who: Annotated[str, Depends(user)]) -> dict[str, object]:
        log.append("handler")
        return {"name": item.name, "who": who, "amount": payment.amount, "state": payment.state}

    @app.get("/sync")
    @paywall.charge("0.01")
    def blocking(payment: Payment, background: BackgroundTasks) -> dict[str, str]:
        background.add_task(log.append, "background")
        return {"reference": payment.reference}

    @app.get("/model", response_model=Answer)
    @paywall.charge("0.01")
    async def model() -> dict[str, str]:
        return {"name": "shown", "hidden": "not shown"}

    @app.get("/stream")
    @paywall.charge("0.01")
    async def stream(fail: bool = False) -> StreamingResponse:
        def chunks() -> Iterator[bytes]:
            yield b"one "
            if fail:
                raise RuntimeError("broke in the middle")
            yield b"two"

        return StreamingResponse(chunks(), headers={"Cache-Control": "public, max-age=60"})

    @app.get("/broken")
    @paywall.charge("0.01")
    async def broken(how: str) -> JSONResponse:
        if how == "raise":
            raise RuntimeError("the seller's own fault")
        if how == "http":
            raise HTTPException(404, "no such thing")
        return JSONResponse({"error": "no"}, status_code=418)

    @app.post("/raw")
    @paywall.charge("0.01")
    async def raw(text: Annotated[str, Body()]) -> str:
        return text

    router = APIRouter(prefix="/v1")

    @router.get("/nested/{name}")
    @paywall.charge("0.05")
    async def nested(name: str) -> str:
        return name

    app.include_router(router, prefix="/api")

    class Clock:
        """A handler that is an object."""

        @paywall.charge("0.01")
        async def __call__(self, tz: str = "UTC") -> str:
            return f"noon {tz}"

        @paywall.charge("0.04")
        async def later(self, hours: int) -> int:
            return 12 + hours

    app.get("/clock")(Clock())
    app.add_api_route("/later", Clock().later, methods=["GET"])
    return app


@pytest.fixture
def log() -> list[str]:
    """What the handlers did."""
    return []


@pytest.fixture
def app(paywall: Paywall, log: list[str]) -> FastAPI:
    """The app with one handler of every kind."""
    return an_app(paywall, log)


@pytest.mark.parametrize(
    ("method", "url", "kwargs", "expected"),
    [
        ("GET", "/paid", {}, {"data": "secret"}),
        ("GET", "/items/7?limit=3", {}, {"item": 7, "limit": 3}),
        (
            "POST",
            "/orders?token=ann",
            {"json": {"name": "tea"}},
            {"name": "tea", "who": "ann", "amount": 3, "state": "settled"},
        ),
        ("GET", "/model", {}, {"name": "shown"}),
        ("POST", "/raw", {"json": "hello"}, "hello"),
        ("GET", "/api/v1/nested/x", {}, "x"),
        ("GET", "/clock?tz=CET", {}, "noon CET"),
        ("GET", "/later?hours=2", {}, 14),
    ],
)
async def test_every_kind_of_handler_is_served_for_its_price(
    app: FastAPI, mint: Mint, method: str, url: str, kwargs: dict[str, Any], expected: object
) -> None:
    """Path, query and body parameters, dependencies, models, routers and objects work as without a charge."""
    async with visit(app) as http:
        response = await pay(http, mint, method, url, **kwargs)
    assert response.status_code == 200, response.text
    assert response.json() == expected
    assert Receipt.parse(response.headers["payment-receipt"]).method == "scrip"
    assert response.headers["cache-control"] == "private"
    assert len(mint.spent) == 1


async def test_free_routes_stay_free(app: FastAPI) -> None:
    """A route without a charge answers without one, and so does OPTIONS."""
    async with visit(app) as http:
        assert (await http.get("/free")).json() == {"data": "public"}
        assert (await http.options("/paid")).status_code == 405
        assert (await http.post("/paid")).status_code == 405
        assert (await http.get("/openapi.json")).status_code == 200


async def test_the_guides_402(app: FastAPI) -> None:
    """A bare request gets the body that the guide shows, member for member."""
    async with visit(app) as http:
        response = await http.get("/paid")
    assert response.json() == {
        "type": "https://paymentauth.org/problems/payment-required",
        "title": "Payment Required",
        "status": 402,
        "detail": "Payment is required.",
        "challengeId": challenge_of(response).id,
    }
    assert list(response.json()) == ["type", "title", "status", "detail", "challengeId"]
    assert problem(response) == "payment-required"


@pytest.mark.parametrize(
    ("method", "url", "kwargs"),
    [
        ("GET", "/items/seven", {}),
        ("GET", "/items/7?limit=99", {}),
        ("POST", "/orders", {"json": {"count": 1}}),
        ("POST", "/orders", {"content": b"not json", "headers": {"Content-Type": "application/json"}}),
    ],
)
async def test_a_request_the_app_refuses_costs_nothing(
    app: FastAPI, paywall: Paywall, mint: Mint, method: str, url: str, kwargs: dict[str, Any]
) -> None:
    """A bare probe sees the price; a paid request that fails validation is a 422, with nothing spent."""
    async with visit(app) as http:
        challenge = challenge_of(await http.request(method, url, **kwargs))
        note = mint.issue(int(str(challenge.decode_request()["amount"])))
        response = await http.request(method, url, **with_credential(kwargs, credential(challenge, note)))
    assert response.status_code == 422
    assert "payment-receipt" not in response.headers
    assert mint.spent == {}
    assert await paywall.ledger.find(challenge.id) is None


async def test_a_blocking_handler_runs_on_a_thread_with_its_background_tasks(
    app: FastAPI, mint: Mint, log: list[str]
) -> None:
    """A sync handler gets its payment, and its background tasks run after delivery."""
    async with visit(app) as http:
        response = await pay(http, mint, "GET", "/sync")
    assert response.json()["reference"] == Receipt.parse(response.headers["payment-receipt"]).reference
    assert log == ["background"]


async def test_dependencies_run_before_the_money_moves(app: FastAPI, mint: Mint, log: list[str]) -> None:
    """A dependency with cleanup wraps the paid handler as it would any other."""
    async with visit(app) as http:
        await pay(http, mint, "POST", "/orders", json={"name": "tea"})
    assert log == ["dependency in", "handler", "dependency out"]


async def test_a_stream_is_delivered_with_its_last_byte(app: FastAPI, paywall: Paywall, mint: Mint) -> None:
    """A streamed response carries the receipt and no public caching; its payment is delivered at the end."""
    delivered: list[str] = []
    paywall.on(PaymentDelivered)(lambda event: delivered.append(event.payment.reference))
    async with visit(app) as http:
        response = await pay(http, mint, "GET", "/stream")
        assert response.text == "one two"
        assert response.headers["cache-control"] == "max-age=60, private"
    assert delivered == [Receipt.parse(response.headers["payment-receipt"]).reference]


@pytest.mark.parametrize("url", ["/broken?how=raise", "/broken?how=http", "/broken?how=status"])
async def test_a_failed_delivery_may_be_had_again(
    app: FastAPI, paywall: Paywall, mint: Mint, url: str
) -> None:
    """An error response has no receipt and does not use the payment up: the credential is honoured again."""
    async with visit(app) as http:
        challenge = challenge_of(await http.get(url))
        authorization = credential(challenge, mint.issue(1))
        for attempt in range(4):
            response = await http.get(url, headers={"Authorization": authorization})
            assert response.status_code in {500, 404, 418}, attempt
            assert "payment-receipt" not in response.headers
        given_up = await http.get(url, headers={"Authorization": authorization})
    assert (given_up.status_code, problem(given_up)) == (403, "payment-undelivered")
    assert "www-authenticate" not in given_up.headers
    assert mint.spend_requests == 1
    payment = await paywall.ledger.find(challenge.id)
    assert payment is not None
    assert payment.state is State.UNDELIVERED


async def test_a_stream_that_breaks_may_be_had_again(app: FastAPI, paywall: Paywall, mint: Mint) -> None:
    """A response that breaks off in the middle was not delivered."""
    async with visit(app) as http:
        challenge = challenge_of(await http.get("/stream?fail=1"))
    with pytest.raises(RuntimeError):
        await run_raising(app, challenge, mint)
    payment = await paywall.ledger.find(challenge.id)
    assert payment is not None
    assert payment.state is State.SETTLED


async def run_raising(app: FastAPI, challenge: Challenge, mint: Mint) -> None:
    """The paid request, with the app's exception let through."""
    transport = httpx2.ASGITransport(app=app, client=("127.0.0.1", 1))
    async with httpx2.AsyncClient(transport=transport, base_url="http://shop.example") as http:
        await http.get("/stream?fail=1", headers={"Authorization": credential(challenge, mint.issue(1))})


async def test_a_replay_is_refused(app: FastAPI, mint: Mint) -> None:
    """Once delivered, a credential buys nothing more."""
    async with visit(app) as http:
        challenge = challenge_of(await http.get("/paid"))
        headers = {"Authorization": credential(challenge, mint.issue(1))}
        assert (await http.get("/paid", headers=headers)).status_code == 200
        replay = await http.get("/paid", headers=headers)
        assert problem(replay) == "invalid-challenge"
        assert challenge_of(replay).id != challenge.id
    assert mint.spend_requests == 1


async def test_fifty_copies_get_one_resource(app: FastAPI, mint: Mint) -> None:
    """Fifty concurrent copies of one credential: one 200, the rest 409 or 402."""
    mint.delay = 0.02
    async with visit(app) as http:
        challenge = challenge_of(await http.get("/paid"))
        headers = {"Authorization": credential(challenge, mint.issue(1))}
        answers = await asyncio.gather(*(http.get("/paid", headers=headers) for _ in range(50)))
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 402, 409}
    assert mint.spend_requests == 1
    for answer in answers:
        if answer.status_code == 409:
            assert problem(answer) == "payment-in-progress"
            assert answer.headers["retry-after"] == "1"
            assert "www-authenticate" not in answer.headers


def started(app: FastAPI) -> FastAPI:
    """Start the app as a server would. Raises what stops it."""
    with TestClient(app):
        return app


def test_a_charge_above_the_route_is_refused_at_start_up(paywall: Paywall) -> None:
    """`@paywall.charge` above `@app.get` would serve for free, so the app does not start."""
    app = FastAPI()
    paywall.attach(app)

    @paywall.charge("0.01")
    @app.get("/paid")
    async def paid() -> str:
        return "free!"

    with pytest.raises(ConfigurationError, match=r"below @app\.get"):
        started(app)


def test_a_partial_is_refused_at_start_up(paywall: Paywall) -> None:
    """A partial hides its charge from the routes, so the app does not start."""
    app = FastAPI()
    paywall.attach(app)

    @paywall.charge("0.01")
    async def paid(name: str) -> str:
        return name

    app.get("/paid")(functools.partial(paid, name="x"))
    with pytest.raises(ConfigurationError, match="no route leads"):
        started(app)


def test_one_gate_on_two_handlers_vouches_for_neither(paywall: Paywall) -> None:
    """A gate that is reached by one handler does not hide that another one is not."""
    app = FastAPI()
    paywall.attach(app)
    penny = paywall.charge("0.01")

    @app.get("/a")
    @penny
    async def a() -> str:
        return "a"

    @penny
    @app.get("/b")
    async def b() -> str:
        return "free!"

    with pytest.raises(ConfigurationError, match=r"\.b is charged for"):
        started(app)


async def test_a_cache_above_the_charge_sells_nothing_twice(paywall: Paywall, mint: Mint) -> None:
    """What answers in the charge's place is found out: such an answer is a fault, not a free ride."""
    app = FastAPI()
    paywall.attach(app)
    kept: list[str] = []

    def cached(function: Callable[[], Awaitable[str]]) -> Callable[[], Awaitable[str]]:
        @functools.wraps(function)
        async def from_cache() -> str:
            if not kept:
                kept.append(await function())
            return kept[0]

        return from_cache

    @app.get("/paid")
    @cached
    @paywall.charge("0.01")
    async def paid() -> str:
        return "dear"

    async with visit(app) as http:
        assert (await pay(http, mint, "GET", "/paid")).json() == "dear"
        assert (await pay(http, mint, "GET", "/paid", note="forged")).status_code == 500


def test_a_payment_that_only_type_checkers_see_is_refused(paywall: Paywall) -> None:
    """An annotation that cannot be resolved would leave the parameter empty after the money moved."""

    async def paid(payment: "HiddenPayment.Payment") -> str:  # type: ignore[name-defined]  # noqa: F821, UP037
        return "never"

    with pytest.raises(ConfigurationError, match="outside TYPE_CHECKING"):
        paywall.charge("0.01")(paid)


async def test_options_of_a_charged_route_is_free_and_empty(paywall: Paywall) -> None:
    """A route that lists OPTIONS itself answers it without running the handler."""
    app = FastAPI()
    paywall.attach(app)

    @app.api_route("/paid", methods=["GET", "OPTIONS"])
    @paywall.charge("0.01")
    async def paid() -> str:
        return "dear"

    async with visit(app) as http:
        response = await http.options("/paid")
    assert (response.status_code, response.headers["allow"], response.content) == (204, "GET, OPTIONS", b"")


async def test_two_apps_share_a_paywall(paywall: Paywall, mint: Mint) -> None:
    """Each app serves its own handlers, and the charge of the other app's is not missed."""
    apps = [FastAPI(), FastAPI()]
    for number, app in enumerate(apps):
        paywall.attach(app)
        app.get("/paid")(paywall.charge("0.01")(numbered(number)))
    for number, app in enumerate(apps):
        async with visit(app) as http:
            assert (await pay(http, mint, "GET", "/paid")).json() == number


def numbered(number: int) -> Callable[[], Awaitable[int]]:
    """A handler that says its number."""

    async def handler() -> int:
        return number

    return handler


async def test_the_books_name_the_route_with_its_prefix(app: FastAPI, paywall: Paywall, mint: Mint) -> None:
    """A route in a router, or under a mount, is filed under its whole template."""
    routes: list[str] = []
    paywall.on(PaymentDelivered)(lambda event: routes.append(event.payment.route))
    outer = FastAPI()
    outer.mount("/outer", app)
    async with visit(outer) as http:
        await pay(http, mint, "GET", "/outer/api/v1/nested/x")
        await pay(http, mint, "GET", "/outer/items/7")
    assert routes == ["GET /outer/api/v1/nested/{name}", "GET /outer/items/{item_id}"]


def test_a_generator_is_refused_when_it_is_decorated(paywall: Paywall) -> None:
    """A generator endpoint would send before it is paid."""
    with pytest.raises(ConfigurationError, match="StreamingResponse"):

        @paywall.charge("0.01")
        async def paid() -> AsyncIterator[str]:
            yield "free!"


def test_a_class_is_refused_when_it_is_decorated(paywall: Paywall) -> None:
    """A class is charged for by its methods."""
    with pytest.raises(ConfigurationError, match="decorate its methods"):

        @paywall.charge("0.01")
        class Paid:
            """Not a function."""


async def test_an_unattached_app_serves_nothing_free(mint: Mint, paywall: Paywall) -> None:
    """A handler whose app nobody attached raises instead of serving."""
    app = FastAPI()

    @app.get("/paid")
    @paywall.charge("0.01")
    async def paid() -> str:
        return "free!"

    async with visit(app) as http:
        assert (await http.get("/paid")).status_code == 500
    assert mint.spend_requests == 0


async def test_calling_one_paid_handler_from_another_is_refused(paywall: Paywall, mint: Mint) -> None:
    """A charged handler called by a charged handler would ride on the outer payment."""
    app = FastAPI()
    paywall.attach(app)

    @app.get("/dear")
    @paywall.charge("5.00")
    async def dear() -> str:
        return "dear"

    @app.get("/cheap")
    @paywall.charge("0.01")
    async def cheap() -> str:
        return await dear()

    async with visit(app) as http:
        assert (await pay(http, mint, "GET", "/cheap")).status_code == 500


def test_the_schema_does_not_show_the_payment(app: FastAPI) -> None:
    """The `Payment` parameter is filled in by the paywall and is no parameter of the API."""
    operation = app.openapi()["paths"]["/orders"]["post"]
    assert [parameter["name"] for parameter in operation["parameters"]] == ["token"]
