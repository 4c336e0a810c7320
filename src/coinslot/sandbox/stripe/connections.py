"""The server's connections, so that one can be broken where an answer was expected."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.types import Receive, Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

_End = tuple[str, int]

_open: Final[dict[tuple[_End, _End], asyncio.Transport]] = {}
"""By the client's end of each, and the server's."""


class Connection(H11Protocol):
    """uvicorn's, with its connections kept where `drop` finds them."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        _open[_ends(transport)] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        _open.pop(_ends(self.transport), None)
        super().connection_lost(exc)


async def drop(scope: Scope, receive: Receive) -> None:
    """Break the connection of a request, and return when the server knows that it is gone."""
    transport = _open.get((tuple(scope["client"]), tuple(scope["server"])))
    if transport is not None:
        transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass


def _ends(transport: asyncio.BaseTransport) -> tuple[_End, _End]:
    return transport.get_extra_info("peername"), transport.get_extra_info("sockname")
