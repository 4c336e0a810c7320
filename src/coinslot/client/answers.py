"""Answers that the wallet looks into, or is done with, before the caller gets one."""

from __future__ import annotations

from contextlib import suppress

import httpx2

from coinslot.client.steps import Lost
from coinslot.client.streams import AsyncPeekedBody, PeekedBody, decode_beginning

MAX_ERROR_BODY = 65536
"""Bytes of an error's body that are read by the wallet itself."""


def peek(response: httpx2.Response) -> bytes | Lost:
    """The beginning of the body, decoded, and left in place. `Lost` if it breaks off before that."""
    assert isinstance(response.stream, httpx2.SyncByteStream)
    response.stream = body = PeekedBody(response.stream)
    try:
        return decode_beginning(body.peek(MAX_ERROR_BODY), response, MAX_ERROR_BODY)
    except httpx2.TransportError as error:
        return Lost(error)


async def apeek(response: httpx2.Response) -> bytes | Lost:
    """The same, asynchronously."""
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    response.stream = body = AsyncPeekedBody(response.stream)
    try:
        return decode_beginning(await body.peek(MAX_ERROR_BODY), response, MAX_ERROR_BODY)
    except httpx2.TransportError as error:
        return Lost(error)


def discard(response: httpx2.Response) -> None:
    """Be done with an answer that nobody will read."""
    with suppress(httpx2.TransportError):
        if _is_short(response):
            for _ in response.iter_raw():
                pass
    response.close()


async def adiscard(response: httpx2.Response) -> None:
    """The same, asynchronously."""
    with suppress(httpx2.TransportError):
        if _is_short(response):
            async for _ in response.aiter_raw():
                pass
    await response.aclose()


def _is_short(response: httpx2.Response) -> bool:
    """Whether the body is worth reading to its end, for the sake of its connection."""
    length = response.headers.get("content-length", "")
    return length.isdecimal() and len(length) < 10 and int(length) <= MAX_ERROR_BODY
