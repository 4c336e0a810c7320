"""The front's HTTP side: JSON-RPC bodies by POST."""

from __future__ import annotations

from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from coinslot.sandbox.tempo.jsonrpc import MAX_BODY, Handler, respond

_JSON: Final = "application/json"


class RPCApp:
    """An ASGI application that answers JSON-RPC with `handler`."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"the sandbox speaks HTTP only, not {scope['type']}")
        try:
            response = await self._answer(Request(scope, receive))
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method != "POST":
            return PlainTextResponse("This is a JSON-RPC endpoint: POST to it.\n", 405, {"allow": "POST"})
        # A browser sends other types to any address without asking; this one it has to ask for.
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
            return PlainTextResponse(f"The content type has to be {_JSON}.\n", 415)
        body = await _read(request)
        if body is None:
            return PlainTextResponse(f"The body has more than {MAX_BODY} bytes.\n", 413)
        answer = await respond(body, self._handler)
        return Response(status_code=204) if answer is None else Response(answer, media_type=_JSON)


async def _read(request: Request) -> bytes | None:
    """The body, or None if it is too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            return None
    return bytes(body)
