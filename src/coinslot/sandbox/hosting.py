"""An ASGI application on a loopback port, inside somebody else's program."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from coinslot.errors import ConfigurationError

HOST: Final = "127.0.0.1"


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


def url_of(listener: socket.socket) -> str:
    """The base URL of what is served there."""
    host, port = listener.getsockname()
    return f"http://{host}:{port}"


@contextlib.asynccontextmanager
async def hosting(
    app: ASGIApp, listener: socket.socket, *, http: type[asyncio.Protocol] | None = None
) -> AsyncIterator[None]:
    """Serve `app` on `listener` while the block runs; `http` is uvicorn's protocol, if not its own choice."""
    server = _Server(
        uvicorn.Config(
            app,
            http="auto" if http is None else http,
            lifespan="off",
            ws="none",
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=1,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving


class _Server(uvicorn.Server):
    """uvicorn that leaves signals and logging alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Not ours to capture."""
        yield
