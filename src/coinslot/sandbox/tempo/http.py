"""The front's HTTP side: JSON-RPC bodies by POST, on a loopback port."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from coinslot.errors import ConfigurationError
from coinslot.sandbox.tempo.jsonrpc import MAX_BODY, Handler, respond

HOST: Final = "127.0.0.1"

_SHUTDOWN_TIMEOUT: Final = 1
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


def listen(port: int) -> socket.socket:
    """A listening socket on the loopback interface; port 0 takes any that is free.

    Raises `ConfigurationError` if the port cannot be had.
    """
    # Named, because asyncio switches Nagle's algorithm off for sockets that say they are TCP: 40 ms a call.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = error.strerror if isinstance(error, OSError) else "there is no such port"
        raise ConfigurationError(
            f"cannot listen on {HOST}:{port} ({reason}); choose another port, or 0 for any"
        ) from error
    return listener


class Server(uvicorn.Server):
    """uvicorn inside somebody else's program: it leaves signals and logging alone."""

    def __init__(self, app: RPCApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                lifespan="off",
                ws="none",
                access_log=False,
                log_config=None,
                log_level="warning",
                server_header=False,
                timeout_keep_alive=60,
                timeout_graceful_shutdown=_SHUTDOWN_TIMEOUT,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Not ours to capture."""
        yield
