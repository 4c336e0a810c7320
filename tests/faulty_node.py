"""A JSON-RPC node that misbehaves to order, in front of a real one: it counts, drops, hangs and lies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeAlias

import httpx2

Request: TypeAlias = dict[str, Any]
Answer: TypeAlias = Any
Forward: TypeAlias = Callable[[], Awaitable[Answer]]
Behaviour: TypeAlias = Callable[[Request, Forward], Awaitable[Answer]]


class Dropped(Exception):
    """Close the connection without an answer."""


class Raw(Exception):
    """Answer with this status and body, whatever was asked."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body


class FaultyNode:
    """Forwards to `upstream` except for the methods that a behaviour was set for, and counts everything."""

    def __init__(self, upstream: str | None = None) -> None:
        self.methods: list[str] = []
        self.exchanges = 0
        self.heads: list[str] = []
        self.behaviours: dict[str, Behaviour] = {}
        self.always: Behaviour | None = None
        self.takes_batches = True
        self._upstream = upstream
        self._http = httpx2.AsyncClient(timeout=60, trust_env=False, verify=False)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def sent(self) -> list[str]:
        """The calls that broadcast something."""
        return [method for method in self.methods if method.startswith("eth_sendRaw")]

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse connections, and break those that there are, until `start`, which takes the same port."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._connections):
            writer.close()
            await writer.wait_closed()

    async def aclose(self) -> None:
        await self.stop()
        await self._http.aclose()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                self.heads.append(head)
                length = int(head.partition("content-length:")[2].split("\r\n")[0])
                status, body = await self._exchange(json.loads(await reader.readexactly(length)))
                writer.write(b"HTTP/1.1 %d .\r\ncontent-length: %d\r\n\r\n" % (status, len(body)) + body)
                await writer.drain()
        except (Dropped, asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(writer)
            writer.close()
            with suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _exchange(self, body: Any) -> tuple[int, bytes]:
        self.exchanges += 1
        if isinstance(body, list) and not self.takes_batches:
            error = {"code": -32600, "message": "batch requests are not supported"}
            return 200, json.dumps({"jsonrpc": "2.0", "id": None, "error": error}).encode()
        requests = body if isinstance(body, list) else [body]
        try:
            answers = [await self._answer(request) for request in requests]
        except Raw as raw:
            return raw.status, raw.body
        return 200, json.dumps(answers if isinstance(body, list) else answers[0]).encode()

    async def _answer(self, request: Request) -> Answer:
        self.methods.append(request["method"])

        async def forward() -> Answer:
            assert self._upstream is not None, request["method"]
            return (await self._http.post(self._upstream, json=request)).json()

        behaviour = self.behaviours.get(request["method"], self.always)
        return await (forward() if behaviour is None else behaviour(request, forward))


def answers(result: Any) -> Behaviour:
    """Answer with this result, without asking anyone."""

    async def behave(request: Request, forward: Forward) -> Answer:
        return {"jsonrpc": "2.0", "id": request["id"], "result": result}

    return behave


def refuses(code: int, message: str, data: Any = None) -> Behaviour:
    """Answer with this error, without asking anyone."""

    async def behave(request: Request, forward: Forward) -> Answer:
        error = {"code": code, "message": message} | ({} if data is None else {"data": data})
        return {"jsonrpc": "2.0", "id": request["id"], "error": error}

    return behave


def says(body: bytes, status: int = 200) -> Behaviour:
    """Answer with these bytes."""

    async def behave(request: Request, forward: Forward) -> Answer:
        raise Raw(status, body)

    return behave


def edits(edit: Callable[[Answer], Answer]) -> Behaviour:
    """Answer truly, but for what `edit` makes of the result."""

    async def behave(request: Request, forward: Forward) -> Answer:
        answer = await forward()
        return {**answer, "result": edit(answer["result"])}

    return behave


async def drops(request: Request, forward: Forward) -> Answer:
    """Close the connection, and do nothing."""
    raise Dropped


async def hangs(request: Request, forward: Forward) -> Answer:
    """Never answer."""
    await asyncio.Event().wait()


def first(behaviour: Behaviour, times: int = 1) -> Behaviour:
    """Behave so a few times, and then well."""
    left = times

    async def behave(request: Request, forward: Forward) -> Answer:
        nonlocal left
        left -= 1
        return await (behaviour(request, forward) if left >= 0 else forward())

    return behave


def forwards_and(fault: Behaviour) -> Behaviour:
    """Do what was asked, and then answer badly."""

    async def behave(request: Request, forward: Forward) -> Answer:
        await forward()
        return await fault(request, forward)

    return behave
