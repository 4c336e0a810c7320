"""Payment over ASGI: what every ASGI framework's adapter is made of, and the adapter for a bare ASGI app."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias, TypeVar

from coinslot.errors import PaymentError
from coinslot.server.exchange import (
    EXPOSED,
    BodyKind,
    Request,
    Response,
    is_cross_origin,
    receipt_headers,
)
from coinslot.server.gate import Gate
from coinslot.server.handler import Exchange, current

R = TypeVar("R")

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


class PaidApp:
    """An ASGI app behind a gate. Made by `Gate.asgi`.

    The app has no say before it is paid: what it answers to a bad request, it answers after the payment.
    """

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not is_charged(scope):
            await self._app(scope, receive, send)
            return
        await Passage(self._gate, scope, receive, send).settle_then(self._app)


def is_charged(scope: Scope) -> bool:
    """Whether this is a request that costs something: OPTIONS is free, so that browsers can ask ahead."""
    return bool(scope["type"] == "http" and scope["method"] != "OPTIONS")


class Passage(Exchange):
    """One request through a gate: admitted on the way in, watched on the way out."""

    def __init__(
        self, gate: Gate, scope: Scope, receive: Receive, send: Send, route: str | None = None
    ) -> None:
        self.gate = gate
        self.sale = None
        self._scope = scope
        self._receive = receive
        self._send = send
        self._route = route
        self._request: Request
        self._delivers = False

    async def refusal(self, error: PaymentError) -> Response:
        """The answer, as a plain value."""
        return await self.gate.engine.refuse(self.gate, self._request, error)

    async def run_sync(self, function: Callable[[], R]) -> R:
        """On a thread of asyncio's own pool."""
        return await asyncio.to_thread(function)

    async def settle_then(self, app: ASGIApp) -> None:
        """Admit, settle, then let the app answer."""
        if await self._admit():
            try:
                self.sale = await self.gate.engine.charge(self.order)
            except PaymentError as error:
                await self.answer(await Passage.refusal(self, error))
                return
            await self._watch(app)

    async def admit_then(self, app: ASGIApp) -> None:
        """Admit, then let the app validate, settle through `current`, and answer."""
        if await self._admit():
            token = current.set(self)
            try:
                await self._watch(app)
            finally:
                current.reset(token)

    async def answer(self, response: Response) -> None:
        """Send a response of our own."""
        await self._send(
            {"type": "http.response.start", "status": response.status, "headers": list(response.headers)}
        )
        body = b"" if self._scope["method"] == "HEAD" else response.body
        await self._send({"type": "http.response.body", "body": body})

    async def _admit(self) -> bool:
        """Whether the request may go on; if not, it has been answered."""
        self._request = await self._read()
        try:
            self.order = await self.gate.engine.admit(self.gate, self._request)
        except PaymentError as error:
            await self.answer(await Passage.refusal(self, error))
            return False
        return True

    async def _read(self) -> Request:
        request = request_of(self._scope, self._route)
        if not self.gate.bind_body or request.body_kind is not BodyKind.DIGEST:
            return request
        body = bytearray()
        while True:
            message = await self._receive()
            if message["type"] != "http.request":  # hung up before the body was whole
                self._receive = replay([message], self._receive)
                return request_of(self._scope, self._route, bytes(body))
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        whole = bytes(body)
        self._receive = replay([{"type": "http.request", "body": whole, "more_body": False}], self._receive)
        return request_of(self._scope, self._route, whole)

    async def _watch(self, app: ASGIApp) -> None:
        """Run the app, put the receipt on a 2xx, and see whether the last byte is accepted."""
        try:
            await app(self._scope, self._receive, self._pass_on)
        finally:
            if self.sale is not None:
                await self.sale.returned()

    async def _pass_on(self, message: Message) -> None:
        if self.sale is None:
            await self._send(message)
        elif message["type"] == "http.response.start":
            await self._send(self._with_receipt(message))
        else:
            await self._send(message)
            last = message["type"] == "http.response.body" and not message.get("more_body", False)
            if last and self._delivers:
                await self.sale.delivered()

    def _with_receipt(self, message: Message) -> Message:
        assert self.sale is not None
        self._delivers = message["status"] < 400
        receipt = self.sale.payment.receipt
        if not 200 <= message["status"] < 300 or receipt is None:
            return message
        headers = receipt_headers(message.get("headers", ()), receipt)
        if is_cross_origin(self._request.headers):
            headers.append(EXPOSED)
        return {**message, "headers": headers}


def request_of(scope: Scope, route: str | None = None, body: bytes | None = None) -> Request:
    """The request that an ASGI scope describes."""
    raw_path = scope.get("raw_path")
    client = scope.get("client")
    return Request(
        method=scope["method"],
        path=raw_path.decode("latin-1") if raw_path is not None else scope["path"],
        query=scope.get("query_string", b""),
        headers=tuple((bytes(name), bytes(value)) for name, value in scope["headers"]),
        scheme=scope.get("scheme", "http"),
        peer=client[0] if client else None,
        http_version=scope.get("http_version", "1.1"),
        body=body,
        route=route,
    )


def replay(messages: list[Message], receive: Receive) -> Receive:
    """`receive`, with some messages to give again first."""

    async def replayed() -> Message:
        return messages.pop(0) if messages else await receive()

    return replayed
