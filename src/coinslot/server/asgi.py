"""Payment over ASGI: what every ASGI framework's adapter is made of, and the adapter for a bare ASGI app."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final, TypeAlias

from coinslot.errors import PaymentError
from coinslot.payments.order import Order
from coinslot.payments.replay import Replay, keep, take
from coinslot.payments.till import Sale
from coinslot.server.draft import Draft
from coinslot.server.exchange import (
    DIGEST_LIMIT,
    EXPOSED,
    BodyKind,
    Request,
    Response,
    is_cross_origin,
    receipt_headers,
)
from coinslot.server.gate import Gate

logger = logging.getLogger("coinslot")

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

# Messages with bytes of a response; `pathsend` and `zerocopysend` are extensions of ASGI.
_BODY: Final = frozenset({"http.response.body", "http.response.zerocopysend", "http.response.pathsend"})


class PaidApp:
    """An ASGI app behind a gate. Made by `Gate.asgi`.

    The app has no say before it is paid: what it answers to a bad request, it answers after the payment.
    WebSockets, which cannot be paid for, are refused.
    """

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        elif scope["type"] != "http" or is_preflight(scope):
            await self._app(scope, receive, send)
        elif scope["method"] == "OPTIONS":
            await answer_options(send, ())
        else:
            await Passage(self._gate, scope, receive, send).settle_then(self._app)


def is_preflight(scope: Scope) -> bool:
    """Whether a browser asks, before the request itself, if it may be made (Fetch §CORS-preflight)."""
    return bool(scope["method"] == "OPTIONS") and any(
        name == b"access-control-request-method" for name, _ in scope["headers"]
    )


async def answer_options(send: Send, methods: Iterable[str]) -> None:
    """OPTIONS on what is charged for: free, and answered without the app, which might answer with more."""
    allowed = ", ".join(sorted({*methods, "OPTIONS"})).encode("ascii")
    await send({"type": "http.response.start", "status": 204, "headers": [(b"allow", allowed)]})
    await send({"type": "http.response.body", "body": b""})


class Inbox:
    """What the server has to say during a request. The app listens, and so does the paywall at the end."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._kept: deque[Message] = deque()
        self._waiting: asyncio.Future[Message] | None = None
        self._is_gone = False

    async def receive(self) -> Message:
        """The next message, as ASGI's `receive`."""
        if self._kept:
            return self._kept.popleft()
        if self._is_gone:
            return {"type": "http.disconnect"}
        message = await asyncio.shield(self._next())
        self._waiting = None
        self._is_gone = message["type"] == "http.disconnect"
        return message

    def put_back(self, messages: Iterable[Message]) -> None:
        """Have these received again, first."""
        self._kept.extendleft(reversed(list(messages)))

    async def has_hung_up(self) -> bool:
        """Whether the client is known to be gone. Does not wait for anything that has not happened yet."""
        if not self._is_gone:
            waiting = self._next()
            await asyncio.sleep(0)  # lets the server say what it knows already
            if waiting.done() and waiting is self._waiting:
                self._waiting = None
                message = waiting.result()
                self._is_gone = message["type"] == "http.disconnect"
                if not self._is_gone:
                    self._kept.append(message)
        return self._is_gone

    def close(self) -> None:
        """Stop listening."""
        if self._waiting is not None:
            self._waiting.cancel()

    def _next(self) -> asyncio.Future[Message]:
        if self._waiting is None:
            self._waiting = asyncio.ensure_future(self._receive())
        return self._waiting


class Passage:
    """One request through a gate: admitted on the way in, watched on the way out."""

    order: Order

    def __init__(
        self, gate: Gate, scope: Scope, receive: Receive, send: Send, route: str | None = None
    ) -> None:
        self.gate = gate
        self.sale: Sale | None = None
        self._scope = scope
        self._inbox = Inbox(receive)
        self._send = send
        self._route = route
        self._request: Request
        self._draft: Draft | None = None
        self._delivers = False
        self._is_answered = False

    async def settle_then(self, app: ASGIApp) -> None:
        """Admit, settle, then let the app answer."""
        if await self._admit():
            try:
                taken = await take(self.gate.engine.till, self.order)
            except PaymentError as error:
                await self._answer(await self.gate.engine.refuse(self.gate, self._request, error))
                return
            if isinstance(taken, Replay):
                await self._replay(taken)
                return
            self.sale = taken
            await self._watch(app)

    async def _admit(self) -> bool:
        """Whether the request may go on; if not, it has been answered."""
        self._request = await self._read()
        try:
            admitted = await self.gate.engine.admit(self.gate, self._request)
        except PaymentError as error:
            await self._answer(await self.gate.engine.refuse(self.gate, self._request, error))
            return False
        if isinstance(admitted, Replay):
            await self._replay(admitted)
            return False
        self.order = admitted
        return True

    async def _read(self) -> Request:
        """The request, with its body if that is to be bound. The app still gets to receive it."""
        request = request_of(self._scope, self._route)
        if not self.gate.bind_body or request.body_kind is not BodyKind.DIGEST:
            return request
        received: list[Message] = []
        size, is_whole = 0, False
        while not is_whole and size <= DIGEST_LIMIT:  # the length it claims may be untrue
            message = await self._inbox.receive()
            received.append(message)
            if message["type"] != "http.request":  # hung up before the body was whole
                break
            size += len(message.get("body", b""))
            is_whole = not message.get("more_body", False)
        self._inbox.put_back(received)
        if not is_whole:
            return request
        body = b"".join(message.get("body", b"") for message in received)
        return request_of(self._scope, self._route, body)

    async def _watch(self, app: ASGIApp) -> None:
        """Run the app, put the receipt on a 2xx, and see whether the last byte is accepted."""
        try:
            await app(self._scope, self._inbox.receive, self._pass_on)
            if self._draft is not None:  # it ended before its response did
                await self._send_draft(self._draft)
        finally:
            self._inbox.close()
            if self.sale is not None:
                await self.sale.returned()

    async def _pass_on(self, message: Message) -> None:
        if self._is_answered:  # by a replay, in the place of what the app has made
            return
        if message["type"] == "http.response.start":
            start = self._with_receipt(message)
            if self._delivers and self.order.key is not None:
                self._draft = Draft(start)
            else:
                await self._send_start(start)
        elif message["type"] not in _BODY:
            await self._send(message)
        elif self._draft is None:
            await self._send_body(message)
        elif not self._draft.add(message):
            await self._send_draft(self._draft)

    def _with_receipt(self, message: Message) -> Message:
        """The start of the response, with the receipt if there is one to give."""
        if self.sale is None:
            if message["status"] < 400:
                # Something between the route and the charge answered in its place: a cache, say.
                raise RuntimeError(
                    f"{self._request.label} was answered {message['status']} without a charge; "
                    "nothing may stand between the route and @paywall.charge that answers by itself."
                )
            return message
        if message["status"] >= 400:
            return message
        self._delivers = True
        receipt = self.sale.payment.receipt
        if message["status"] >= 300 or receipt is None:
            return message
        headers = receipt_headers(message.get("headers", ()), receipt)
        if is_cross_origin(self._request.headers):
            headers.append(EXPOSED)
        return {**message, "headers": headers}

    async def _send_draft(self, draft: Draft) -> None:
        """Send what was held back, once it is kept if it can be."""
        self._draft = None
        if draft.is_whole and self.sale is not None:
            till, payment = self.gate.engine.till, self.sale.payment
            await keep(till, self.order, payment, draft.start["status"], draft.headers, draft.body)
        await self._send_start(draft.start)
        for message in draft.messages:
            await self._send_body(message)

    async def _send_start(self, start: Message) -> None:
        if self._delivers and self.sale is not None and self._is_unbound():
            # Its body is not known again, so a second delivery could be of something else.
            await self.sale.delivered()
        await self._send(start)

    def _is_unbound(self) -> bool:
        return self.gate.bind_body and self.gate.body_binding(self._request) is BodyKind.UNBOUND

    async def _send_body(self, message: Message) -> None:
        is_last = not message.get("more_body", False)
        # A server takes bytes for a client that is gone, and says nothing: so ask before.
        if is_last and self._delivers and self.sale is not None and not await self._inbox.has_hung_up():
            await self._send(message)
            await self.sale.delivered()
        else:
            await self._send(message)

    async def _replay(self, replay: Replay) -> None:
        """Answer as this payment was answered before."""
        answer = replay.answer
        self._is_answered = True
        try:
            await self._send(
                {"type": "http.response.start", "status": answer.status, "headers": list(answer.headers)}
            )
            is_gone = await self._inbox.has_hung_up()
            await self._send({"type": "http.response.body", "body": answer.body})
            if not is_gone:
                await replay.delivered()
        finally:
            self._inbox.close()
            await replay.returned()

    async def _answer(self, response: Response) -> None:
        """Send a response of our own."""
        await self._send(
            {"type": "http.response.start", "status": response.status, "headers": list(response.headers)}
        )
        body = b"" if self._scope["method"] == "HEAD" else response.body
        await self._send({"type": "http.response.body", "body": body})


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
