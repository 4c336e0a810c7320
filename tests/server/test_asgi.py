"""Bare ASGI: a gate around a whole app, bodies in pieces, payers who hang up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from coinslot import Paywall
from coinslot.server.asgi import ASGIApp, Message, Receive, Scope, Send
from scrip import Mint, credential
from shopping import challenge_of, pay, problem, visit


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the request's body, in two pieces."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    status = 204 if scope["method"] == "OPTIONS" else 200
    await send(
        {"type": "http.response.start", "status": status, "headers": [(b"cache-control", b"no-store")]}
    )
    await send({"type": "http.response.body", "body": body, "more_body": True})
    await send({"type": "http.response.body", "body": b"!"})


@pytest.fixture
def app(paywall: Paywall) -> ASGIApp:
    """The echo, for 0.01."""
    return paywall.charge("0.01").asgi(echo)


async def test_a_bare_app_is_charged_for(app: ASGIApp, mint: Mint) -> None:
    """Paid for, it answers as it always does, with a receipt; OPTIONS is free."""
    async with visit(app) as http:
        response = await pay(http, mint, "POST", "/x", content=b"hello")
        assert response.text == "hello!"
        assert response.headers["cache-control"] == "no-store, private"
        assert "payment-receipt" in response.headers
        assert (await http.options("/x")).status_code == 204


async def test_large_and_chunked_bodies_are_not_held(app: ASGIApp, mint: Mint) -> None:
    """A body without a length, over the limit, or multipart is unbound: paid for, passed on, not buffered."""

    async def pieces() -> Any:
        yield b"a" * 1000
        yield b"b"

    async with visit(app) as http:
        first = await http.post("/x", content=pieces())
        challenge = challenge_of(first)
        assert challenge.digest is None
        assert challenge.decode_opaque()["body"] == "unbound"
        headers = {"Authorization": credential(challenge, mint.issue(1))}
        assert (await http.post("/x", content=pieces(), headers=headers)).text == "a" * 1000 + "b!"
        for unbound in ({"content": b"x" * (1024 * 1024 + 1)}, {"files": {"f": b"data"}}):
            assert challenge_of(await http.post("/x", **unbound)).digest is None
        # A challenge for a request without a body does not pay for one with.
        bare = challenge_of(await http.post("/x"))
        headers = {"Authorization": credential(bare, mint.issue(1))}
        assert problem(await http.post("/x", content=pieces(), headers=headers)) == "invalid-challenge"


async def conversation(app: ASGIApp, received: list[Message], **scope: Any) -> list[Message]:
    """Everything an app sends to a client that says just this."""
    sent: list[Message] = []

    async def receive() -> Message:
        return received.pop(0) if received else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    base = {
        "type": "http",
        "method": "POST",
        "path": "/x",
        "query_string": b"",
        "headers": [(b"content-length", b"10")],
        "client": ("127.0.0.1", 1),
        "scheme": "http",
    }
    await app({**base, **scope}, receive, send)
    return sent


async def test_hanging_up_in_the_middle_of_a_body_is_no_fault(app: ASGIApp) -> None:
    """A client that goes away before its body is whole gets an answer nobody reads, and no exception."""
    sent = await conversation(app, [{"type": "http.request", "body": b"half", "more_body": True}])
    assert sent[0]["status"] == 402


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-length", b"-5")],
        [(b"content-length", b"5"), (b"content-length", b"6")],
        [(b"content-length", b"9" * 400)],
        [(b"content-length", "٣".encode())],
        [(b"authorization", b"Payment \xff\xfe\x00")],
        [(b"authorization", b"Payment " + b"(" * 30_000)],
        [(b"accept-payment", b"\xff" * 5000)],
        [(b"origin", b"\xff")],
    ],
)
async def test_odd_headers_are_402(app: ASGIApp, headers: list[tuple[bytes, bytes]]) -> None:
    """Headers that no client should send are a 402 like any other."""
    sent = await conversation(app, [{"type": "http.request"}], headers=headers)
    assert sent[0]["status"] == 402


async def test_other_protocols_pass(paywall: Paywall) -> None:
    """Lifespan and WebSocket messages go to the app untouched."""
    seen: list[str] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    app = paywall.charge("0.01").asgi(inner)
    await conversation(app, [], type="lifespan")
    await conversation(app, [], type="websocket")
    assert seen == ["lifespan", "websocket"]


async def test_a_client_that_hangs_up_while_it_is_served_may_come_again(paywall: Paywall, mint: Mint) -> None:
    """A server that refuses the last byte has not delivered it: the same credential is honoured again."""
    app = paywall.charge("0.01").asgi(echo)
    async with visit(app) as http:
        challenge = challenge_of(await http.post("/x"))
        authorization = credential(challenge, mint.issue(1))
        headers = [(b"authorization", authorization.encode())]

        async def receive() -> Message:
            return {"type": "http.request"}

        async def broken(message: Message) -> None:
            raise OSError("the client is gone")

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/x",
            "query_string": b"",
            "headers": headers,
            "client": None,
        }
        with pytest.raises(OSError, match="gone"):
            await app(scope, receive, broken)
        response = await http.post("/x", headers={"Authorization": authorization})
    assert response.status_code == 200
    assert mint.spend_requests == 1


async def test_a_cancelled_request_leaves_its_payment_to_be_had(paywall: Paywall, mint: Mint) -> None:
    """A request that is cancelled while the app works gives its lease back at once."""

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(5)

    gate = paywall.charge("0.01")
    async with visit(gate.asgi(echo)) as http:
        challenge = challenge_of(await http.get("/x"))
        authorization = credential(challenge, mint.issue(1))
        request = asyncio.create_task(
            conversation(
                gate.asgi(slow), [], method="GET", headers=[(b"authorization", authorization.encode())]
            )
        )
        await asyncio.sleep(0.05)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        assert (await http.get("/x", headers={"Authorization": authorization})).status_code == 200
    assert mint.spend_requests == 1
