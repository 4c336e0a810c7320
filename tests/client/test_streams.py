"""Bodies that are read twice."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import islice

import httpx2
import pytest
from hypothesis import given, strategies as st

from coinslot.client.streams import (
    AsyncPeekedBody,
    AsyncReplayableBody,
    PeekedBody,
    ReplayableBody,
    decode_beginning,
)
from coinslot.errors import BodyNotReplayable

parts = st.lists(st.binary(max_size=8), max_size=8)


class Once(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A stream that can be read once. `read` counts its parts that were; `closed` that it was let go of."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = iter(parts)
        self.read = 0
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        for part in self._parts:
            self.read += 1
            yield part

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self:
            yield part

    def close(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.closed = True


@given(parts, st.integers(0, 9))
async def test_a_body_is_replayed_from_wherever_it_was_left(parts: list[bytes], sent: int) -> None:
    """However much of a body was sent before the answer came, all of it is kept, and sent again any time."""
    whole = b"".join(parts)
    body = ReplayableBody(Once(parts), 100)
    list(islice(body, sent))
    assert b"".join(body) == whole
    assert body.read() == whole
    assert b"".join(body) == whole

    asynchronous = AsyncReplayableBody(Once(parts), 100)
    first = aiter(asynchronous)
    for _ in range(min(sent, len(parts))):
        await anext(first)
    assert b"".join([part async for part in asynchronous]) == whole
    assert await asynchronous.read() == whole
    assert b"".join([part async for part in asynchronous]) == whole


@given(parts, st.integers(0, 70))
async def test_the_limit_is_exact(parts: list[bytes], limit: int) -> None:
    """A body is sent once whatever its length, and kept if it is no longer than the limit."""
    whole = b"".join(parts)
    body, asynchronous = ReplayableBody(Once(parts), limit), AsyncReplayableBody(Once(parts), limit)
    assert b"".join(body) == whole
    assert b"".join([part async for part in asynchronous]) == whole
    if len(whole) <= limit:
        assert body.read() == await asynchronous.read() == whole
        return
    with pytest.raises(BodyNotReplayable, match=str(limit)):
        body.read()
    with pytest.raises(BodyNotReplayable):
        list(body)
    with pytest.raises(BodyNotReplayable):
        await asynchronous.read()
    with pytest.raises(BodyNotReplayable):
        await anext(aiter(asynchronous))


async def test_an_endless_body_is_not_read_to_its_end() -> None:
    """Finding out that a body is too long takes no more of it than the limit."""
    source = Once([b"x" * 10] * 1000)
    with pytest.raises(BodyNotReplayable):
        ReplayableBody(source, 55).read()
    assert source.read == 6
    source = Once([b"x" * 10] * 1000)
    body = AsyncReplayableBody(source, 55)
    with pytest.raises(BodyNotReplayable):
        await body.read()
    await body.aclose()
    assert source.read == 6


def test_a_body_beyond_the_limit_is_not_held() -> None:
    """Sending a body that will not be kept takes no more memory than the limit and a part."""
    body = ReplayableBody(Once(bytes(2**16) for _ in range(2**9)), 2**20)
    tracemalloc.start()
    for _ in body:
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * 2**20


@given(parts, st.integers(0, 70))
async def test_peeking_takes_nothing_away(parts: list[bytes], limit: int) -> None:
    """What was looked at is still there, once, and in its place."""
    whole = b"".join(parts)
    source = Once(parts)
    body = PeekedBody(source)
    assert body.peek(limit) == whole[:limit]
    assert b"".join(body) == whole
    body.close()
    assert source.closed

    source = Once(parts)
    asynchronous = AsyncPeekedBody(source)
    assert await asynchronous.peek(limit) == whole[:limit]
    assert b"".join([part async for part in asynchronous]) == whole
    await asynchronous.aclose()
    assert source.closed


@given(
    st.binary(max_size=50), st.sampled_from(["gzip", "deflate", "gzip, gzip", "br", "zstd", "unknown", ""])
)
def test_any_bytes_can_be_decoded(raw: bytes, coding: str) -> None:
    """What is not in the coding that it claims to be gives what there is of it, and no error."""
    response = httpx2.Response(200, headers={"content-encoding": coding}, stream=httpx2.ByteStream(b""))
    assert len(decode_beginning(raw, response, 20)) <= 20
