"""Serves an ASGI app the way every Python shop here is served: uvicorn, uvloop, httptools, one worker."""

from __future__ import annotations

import socket
import sys
import threading
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from starlette.applications import Starlette


class AnnouncedServer(uvicorn.Server):
    """A server that prints its port once it can be asked."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say where."""
        await super().startup(sockets)
        if self.started and sockets:
            print(sockets[0].getsockname()[1], flush=True)


def serve(app: Starlette) -> None:
    """Serve on a free port of the loopback until standard input ends."""
    config = uvicorn.Config(app, loop="uvloop", http="httptools", log_level="warning", access_log=False)
    server = AnnouncedServer(config)

    def stop_at_end_of_input() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=stop_at_end_of_input, daemon=True).start()
    server.run(sockets=[socket.create_server(("127.0.0.1", 0))])
