"""Bare ASGI: a gate around a whole app, bodies in pieces, payers who hang up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx2
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
    """Paid for, it answers as it always does, with a receipt."""
    async with visit(app) as http:
        response = await pay(http, mint, "POST", "/x", content=b"hello")
        assert response.text == "hello!"
        assert response.headers["cache-control"] == "no-store, private"
        assert "payment-receipt" in response.headers


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


async def test_lifespan_passes_and_websockets_do_not(paywall: Paywall) -> None:
    """Lifespan messages go to the app untouched; a WebSocket, which cannot be paid for, is closed."""
    seen: list[str] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    app = paywall.charge("0.01").asgi(inner)
    await conversation(app, [], type="lifespan")
    assert await conversation(app, [], type="websocket") == [{"type": "websocket.close"}]
    assert seen == ["lifespan"]


async def test_options_is_free_and_sells_nothing(paywall: Paywall) -> None:
    """A CORS preflight reaches the app; any other OPTIONS is answered without it."""
    seen: list[str] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["method"])

    app = paywall.charge("0.01").asgi(inner)
    answer = await conversation(app, [], method="OPTIONS", headers=[])
    assert answer[0]["status"] == 204
    assert seen == []
    await conversation(app, [], method="OPTIONS", headers=[(b"access-control-request-method", b"GET")])
    assert seen == ["OPTIONS"]


def paid_scope(authorization: str, method: str = "POST") -> Scope:
    """A request for /x with a credential, as a server hands it over."""
    return {
        "type": "http",
        "method": method,
        "path": "/x",
        "query_string": b"",
        "headers": [(b"host", b"shop.example"), (b"authorization", authorization.encode())],
        "client": None,
        "scheme": "http",
    }


class Client:
    """A server's view of a client, which may be gone: told by `receive`, or only by `send` raising."""

    def __init__(self, *, gone: bool = False, raises: bool = False) -> None:
        self.sent: list[Message] = []
        self._gone = gone
        self._raises = raises
        self._asked = False

    async def receive(self) -> Message:
        """An empty body, and then nothing, or that the client is gone."""
        if not self._asked:
            self._asked = True
            return {"type": "http.request"}
        if not self._gone:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Takes everything, for a client that is gone as well; or raises."""
        if self._raises:
            raise OSError("the client is gone")
        self.sent.append(message)


@pytest.mark.parametrize(
    "client", [Client(gone=True), Client(raises=True)], ids=["silently", "with an error"]
)
async def test_a_client_that_hangs_up_while_it_is_served_may_come_again(
    paywall: Paywall, mint: Mint, client: Client
) -> None:
    """What a client that was gone did not get was not delivered: the same credential is honoured again."""
    app = paywall.charge("0.01").asgi(echo)
    async with visit(app) as http:
        authorization = credential(challenge_of(await http.post("/x")), mint.issue(1))
        with contextlib.suppress(OSError):
            await app(paid_scope(authorization), client.receive, client.send)
        response = await http.post("/x", headers={"Authorization": authorization})
        assert response.status_code == 200
        again = await http.post("/x", headers={"Authorization": authorization})
    assert problem(again) == "invalid-challenge"
    assert mint.spend_requests == 1


async def test_a_client_that_stays_is_delivered_to(paywall: Paywall, mint: Mint) -> None:
    """A client that is still there when the last byte goes has used its credential."""
    app, client = paywall.charge("0.01").asgi(echo), Client()
    async with visit(app) as http:
        authorization = credential(challenge_of(await http.post("/x")), mint.issue(1))
        await app(paid_scope(authorization), client.receive, client.send)
        assert client.sent[0]["status"] == 200
        again = await http.post("/x", headers={"Authorization": authorization})
    assert problem(again) == "invalid-challenge"


@pytest.mark.parametrize("kind", ["http.response.pathsend", "http.response.zerocopysend"])
async def test_files_sent_by_the_server_are_delivered(paywall: Paywall, mint: Mint, kind: str) -> None:
    """A response whose bytes the server fetches itself is delivered like any other."""

    async def files(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": kind, "path": "/etc/hostname"})

    gate, client = paywall.charge("0.01"), Client()
    async with visit(gate.asgi(echo)) as http:
        authorization = credential(challenge_of(await http.post("/x")), mint.issue(1))
        await gate.asgi(files)(paid_scope(authorization), client.receive, client.send)
        again = await http.post("/x", headers={"Authorization": authorization})
    assert problem(again) == "invalid-challenge"


async def test_an_unbound_body_is_paid_for_once(paywall: Paywall, mint: Mint) -> None:
    """What cannot be known again, a streamed body, is used up when its answer starts."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"a prompt"

    async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"an ans", "more_body": True})
        raise OSError("the client is gone")

    gate = paywall.charge("0.01")
    async with visit(gate.asgi(breaks)) as http:
        authorization = credential(challenge_of(await http.post("/x", content=pieces())), mint.issue(1))
        headers = {"Authorization": authorization}
        with contextlib.suppress(httpx2.HTTPError, OSError):
            await http.post("/x", content=pieces(), headers=headers)
        assert problem(await http.post("/x", content=pieces(), headers=headers)) == "invalid-challenge"


async def test_a_body_longer_than_it_says_is_not_held(paywall: Paywall) -> None:
    """A length beside a transfer encoding, or an untrue one, makes nobody hold an endless body."""
    gate = paywall.charge("0.01")
    asked = 0

    async def endless() -> Message:
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": b"x" * 65536, "more_body": True}

    async def ignore(message: Message) -> None:
        return None

    for headers in (
        [(b"content-length", b"1"), (b"transfer-encoding", b"chunked")],
        [(b"content-length", b"1")],
    ):
        asked = 0
        scope = {**paid_scope(""), "headers": headers}
        await gate.asgi(echo)(scope, endless, ignore)
        assert asked <= 17


async def test_a_cancelled_request_leaves_its_payment_to_be_had(paywall: Paywall, mint: Mint) -> None:
    """A request that is cancelled while the app works gives its lease back at once."""

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(5)

    gate, client = paywall.charge("0.01"), Client()
    async with visit(gate.asgi(echo)) as http:
        authorization = credential(challenge_of(await http.get("/x")), mint.issue(1))
        request = asyncio.ensure_future(
            gate.asgi(slow)(paid_scope(authorization, "GET"), client.receive, client.send)
        )
        await asyncio.sleep(0.05)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        assert (await http.get("/x", headers={"Authorization": authorization})).status_code == 200
    assert mint.spend_requests == 1
