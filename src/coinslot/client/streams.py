"""Bodies that are read twice: a request's, to be sent again, and an answer's, to be looked into first.

An httpx2 stream of the caller's own can be read once. Here its beginning is kept within a limit, while it
is being sent, so that a request whose price is not known yet costs no more than one that has none.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import suppress

import httpx2

from coinslot.errors import BodyNotReplayable


class _Kept:
    """The parts of a body that were read so far, as long as they are within the limit (bytes)."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.parts: list[bytes] = []
        self.size = 0

    @property
    def is_over(self) -> bool:
        return self.size > self.limit

    def add(self, part: bytes) -> None:
        self.size += len(part)
        if self.is_over:
            self.parts.clear()
        else:
            self.parts.append(part)

    def check(self) -> None:
        """Raise `BodyNotReplayable` if what was read had to be let go."""
        if self.is_over:
            raise BodyNotReplayable(
                f"the request has to be paid, and sent again for that, but its body is a stream of more than"
                f" {self.limit} bytes: raise replay_limit, or send it as bytes"
            )


class ReplayableBody(httpx2.SyncByteStream):
    """The body of a request, kept up to `limit` bytes while it is sent for the first time."""

    def __init__(self, source: httpx2.SyncByteStream, limit: int) -> None:
        self._kept = _Kept(limit)
        self._rest = iter(source)

    def __iter__(self) -> Iterator[bytes]:
        self._kept.check()
        yield from list(self._kept.parts)
        for part in self._rest:
            self._kept.add(part)
            yield part

    def read(self) -> bytes:
        """All of it, whether it was sent completely or not. Raises `BodyNotReplayable`."""
        while not self._kept.is_over and (part := next(self._rest, None)) is not None:
            self._kept.add(part)
        self._kept.check()
        return b"".join(self._kept.parts)


class AsyncReplayableBody(httpx2.AsyncByteStream):
    """The same, asynchronously."""

    def __init__(self, source: httpx2.AsyncByteStream, limit: int) -> None:
        self._kept = _Kept(limit)
        self._rest = aiter(source)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._kept.check()
        for part in list(self._kept.parts):
            yield part
        async for part in self._rest:
            self._kept.add(part)
            yield part

    async def read(self) -> bytes:
        """All of it, whether it was sent completely or not. Raises `BodyNotReplayable`."""
        while not self._kept.is_over and (part := await anext(self._rest, None)) is not None:
            self._kept.add(part)
        self._kept.check()
        return b"".join(self._kept.parts)

    async def aclose(self) -> None:
        """Let go of what was not read of the source."""
        await _close(self._rest)


class PeekedBody(httpx2.SyncByteStream):
    """The body of an answer, which can be looked into before it is read."""

    def __init__(self, source: httpx2.SyncByteStream) -> None:
        self._source = source
        self._rest = iter(source)
        self._parts: list[bytes] = []

    def peek(self, limit: int) -> bytes:
        """Its first `limit` bytes, or all if there are fewer."""
        while sum(map(len, self._parts)) < limit and (part := next(self._rest, None)) is not None:
            self._parts.append(part)
        return b"".join(self._parts)[:limit]

    def __iter__(self) -> Iterator[bytes]:
        yield from self._parts
        yield from self._rest

    def close(self) -> None:
        """Let go of the connection."""
        self._source.close()


class AsyncPeekedBody(httpx2.AsyncByteStream):
    """The same, asynchronously."""

    def __init__(self, source: httpx2.AsyncByteStream) -> None:
        self._source = source
        self._rest = aiter(source)
        self._parts: list[bytes] = []

    async def peek(self, limit: int) -> bytes:
        """Its first `limit` bytes, or all if there are fewer."""
        while sum(map(len, self._parts)) < limit and (part := await anext(self._rest, None)) is not None:
            self._parts.append(part)
        return b"".join(self._parts)[:limit]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            yield part
        async for part in self._rest:
            yield part

    async def aclose(self) -> None:
        """Let go of the connection."""
        await _close(self._rest)
        await self._source.aclose()


def decode_beginning(raw: bytes, response: httpx2.Response, limit: int) -> bytes:
    """The beginning of a body without its content codings, at most `limit` bytes. `raw` is as it came.

    What breaks off, or is not in the coding that `response` says, is decoded as far as it goes.
    """
    codings = [(name, value) for name, value in response.headers.multi_items() if name == "content-encoding"]
    decoded = b""
    with suppress(httpx2.DecodingError):
        for part in httpx2.Response(200, headers=codings, stream=httpx2.ByteStream(raw)).iter_bytes():
            decoded += part
            if len(decoded) >= limit:
                break
    return decoded[:limit]


async def _close(iterator: AsyncIterator[bytes]) -> None:
    if isinstance(iterator, AsyncGenerator):
        await iterator.aclose()
