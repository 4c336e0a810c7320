"""Transports for httpx2: each drives an `Exchange` for every request that goes through it.

A transport, not an `httpx2.Auth`, because only there is every hop of a redirect a request of its own, with
its own origin; a lost answer can be seen; a body can be kept while it is sent; and the caller's own auth is
left alone.

The caller's request is never changed but for one thing. If its payment is not done with when it is
answered, with a redirect or an error, the payment is put into its `extensions`. Whatever sends the request
on from there, the client that follows a redirect, an auth flow with a fresh token, a retry, brings the
payment along, and so one call makes one payment. Header fields that carry it exist on copies only.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeAlias

try:
    import httpx2
except ImportError as error:
    raise ImportError('a Wallet sends its requests with httpx2: pip install "coinslot[httpx2]"') from error

from coinslot.client import background
from coinslot.client.exchange import Exchange, Rules
from coinslot.client.origin import Origin
from coinslot.client.record import Outcome, PaymentRecord
from coinslot.client.steps import (
    AskDead,
    AskQuote,
    Lost,
    Pay,
    Peek,
    ReadBody,
    RequestHead,
    ResponseHead,
    Send,
    Step,
    Wait,
)
from coinslot.client.streams import (
    AsyncPeekedBody,
    AsyncReplayableBody,
    PeekedBody,
    ReplayableBody,
    decode_beginning,
)

EXTENSION = "payment"
"""The member of a request's and a response's `extensions` that holds the `PaymentRecord`."""

MAX_ERROR_BODY = 65536
"""Bytes of an error's body that are read by the wallet itself."""

OnPayment: TypeAlias = Callable[[PaymentRecord], None]

_logger = logging.getLogger("coinslot.client")


class WalletTransport(httpx2.BaseTransport):
    """Sends requests through `inner` and pays for them. Made by `Wallet.transport`."""

    def __init__(
        self,
        inner: httpx2.BaseTransport | None,
        rules: Rules,
        *,
        replay_limit: int,
        on_payment: OnPayment | None,
    ) -> None:
        """`inner` is by default a new `httpx2.HTTPTransport`; the rest is as for `Wallet`."""
        self._inner = httpx2.HTTPTransport() if inner is None else inner
        self._rules = rules
        self._replay_limit = replay_limit
        self._on_payment = on_payment

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send `request`, and pay if it comes to that. Raises `WalletError`, and what `inner` raises."""
        call = _Call(request, self._rules)
        assert isinstance(request.stream, httpx2.SyncByteStream)
        body = ReplayableBody(request.stream, _replay_limit(request.stream, self._replay_limit))
        try:
            step = next(call.steps)
            while True:
                try:
                    result = self._perform(step, call, body)
                except Exception as error:  # noqa: BLE001 (the exchange decides what becomes of it)
                    step = call.steps.throw(error)
                else:
                    step = call.steps.send(result)
        except StopIteration:
            return call.answer()
        except BaseException:
            if call.response is not None:
                call.response.close()
            raise
        finally:
            call.conclude(self._on_payment)

    def _perform(self, step: Step[object], call: _Call, body: ReplayableBody) -> object:
        match step:
            case Send(fields):
                if (last := call.take_response()) is not None:
                    _discard(last)
                try:
                    call.response = self._inner.handle_request(call.copy_request(fields, body))
                except httpx2.TransportError as error:
                    return Lost(error)
                return _response_head(call.response)
            case ReadBody():
                return body.read()
            case Peek():
                return _peek(call.answer())
            case AskQuote(method, challenge):
                return background.run(method.quote(challenge))
            case Pay(method, challenge):
                return background.run(method.pay(challenge))
            case AskDead(method, payload):
                return background.run(method.is_dead(payload))
            case Wait(seconds):
                time.sleep(seconds)
                return None
            case _:
                raise AssertionError(step)

    def close(self) -> None:
        """Close `inner`."""
        self._inner.close()

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._inner.__exit__(exc_type, exc_value, traceback)


class AsyncWalletTransport(httpx2.AsyncBaseTransport):
    """The same for `httpx2.AsyncClient`, on asyncio. Made by `Wallet.async_transport`."""

    def __init__(
        self,
        inner: httpx2.AsyncBaseTransport | None,
        rules: Rules,
        *,
        replay_limit: int,
        on_payment: OnPayment | None,
    ) -> None:
        """`inner` is by default a new `httpx2.AsyncHTTPTransport`; the rest is as for `Wallet`."""
        self._inner = httpx2.AsyncHTTPTransport() if inner is None else inner
        self._rules = rules
        self._replay_limit = replay_limit
        self._on_payment = on_payment

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send `request`, and pay if it comes to that. Raises `WalletError`, and what `inner` raises."""
        call = _Call(request, self._rules)
        assert isinstance(request.stream, httpx2.AsyncByteStream)
        body = AsyncReplayableBody(request.stream, _replay_limit(request.stream, self._replay_limit))
        try:
            step = next(call.steps)
            while True:
                try:
                    result = await self._perform(step, call, body)
                except Exception as error:  # noqa: BLE001 (the exchange decides what becomes of it)
                    step = call.steps.throw(error)
                else:
                    step = call.steps.send(result)
        except StopIteration:
            return call.answer()
        except BaseException:
            if call.response is not None:
                await call.response.aclose()
            raise
        finally:
            call.conclude(self._on_payment)
            await body.aclose()

    async def _perform(self, step: Step[object], call: _Call, body: AsyncReplayableBody) -> object:
        match step:
            case Send(fields):
                if (last := call.take_response()) is not None:
                    await _adiscard(last)
                try:
                    call.response = await self._inner.handle_async_request(call.copy_request(fields, body))
                except httpx2.TransportError as error:
                    return Lost(error)
                return _response_head(call.response)
            case ReadBody():
                return await body.read()
            case Peek():
                return await _apeek(call.answer())
            case AskQuote(method, challenge):
                return await method.quote(challenge)
            case Pay(method, challenge):
                return await method.pay(challenge)
            case AskDead(method, payload):
                return await method.is_dead(payload)
            case Wait(seconds):
                await asyncio.sleep(seconds)
                return None
            case _:
                raise AssertionError(step)

    async def aclose(self) -> None:
        """Close `inner`."""
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._inner.__aexit__(exc_type, exc_value, traceback)


class _Call:
    """One request through a transport: its exchange, and what both kinds of transport do alike around it.

    `response` is the answer to the last request, if there was one.
    """

    def __init__(self, request: httpx2.Request, rules: Rules) -> None:
        self._request = request
        self._earlier = _earlier_payment(request)
        self._exchange = Exchange(
            _request_head(request),
            rules,
            now=time.time,
            new_key=lambda: str(uuid.uuid4()),
            earlier=self._earlier,
        )
        self.steps = self._exchange.run()
        self.response: httpx2.Response | None = None

    def copy_request(
        self, fields: dict[str, str], body: ReplayableBody | AsyncReplayableBody
    ) -> httpx2.Request:
        """The caller's request with these header fields set."""
        headers = httpx2.Headers(self._request.headers)
        headers.update(fields)
        extensions = {name: value for name, value in self._request.extensions.items() if name != EXTENSION}
        return httpx2.Request(
            self._request.method, self._request.url, headers=headers, stream=body, extensions=extensions
        )

    def take_response(self) -> httpx2.Response | None:
        """The last answer, which from now on is not the call's any more."""
        response, self.response = self.response, None
        return response

    def answer(self) -> httpx2.Response:
        """The last answer, with the payment that it is for."""
        assert self.response is not None
        if self._exchange.records:
            self.response.extensions[EXTENSION] = self._exchange.records[-1]
        return self.response

    def conclude(self, on_payment: OnPayment | None) -> None:
        """However it ended: leave a payment that is not done with to the request, and tell of all."""
        self.steps.close()
        records = self._exchange.records
        if not records:
            return
        delivered = self.response is not None and self.response.is_success
        if records[-1].outcome is not Outcome.PAID or not delivered:
            self._request.extensions = {**self._request.extensions, EXTENSION: records[-1]}
        for record in records:
            if on_payment is not None and record is not self._earlier:
                try:
                    on_payment(record)
                except Exception:
                    # The caller waits for an answer that is paid for, and must not lose it to this.
                    _logger.exception("on_payment failed")


def _earlier_payment(request: httpx2.Request) -> PaymentRecord | None:
    """The payment that the request brings along."""
    if EXTENSION not in request.extensions:
        return None
    payment = request.extensions[EXTENSION]
    if not isinstance(payment, PaymentRecord):
        raise TypeError(f"extensions[{EXTENSION!r}] must be a PaymentRecord, not {type(payment).__name__}")
    return payment


def _request_head(request: httpx2.Request) -> RequestHead:
    url = request.url
    return RequestHead(
        method=request.method,
        origin=Origin(url.scheme, url.raw_host.decode("ascii"), url.port),
        target=url.raw_path.decode("ascii"),
        fields=tuple(request.headers.multi_items()),
    )


def _response_head(response: httpx2.Response) -> ResponseHead:
    return ResponseHead(status=response.status_code, fields=tuple(response.headers.multi_items()))


def _replay_limit(stream: httpx2.SyncByteStream | httpx2.AsyncByteStream, limit: int) -> int:
    """Bytes in memory are kept anyway."""
    return sys.maxsize if isinstance(stream, httpx2.ByteStream) else limit


def _peek(response: httpx2.Response) -> bytes | Lost:
    assert isinstance(response.stream, httpx2.SyncByteStream)
    response.stream = body = PeekedBody(response.stream)
    try:
        return decode_beginning(body.peek(MAX_ERROR_BODY), response, MAX_ERROR_BODY)
    except httpx2.TransportError as error:
        return Lost(error)


async def _apeek(response: httpx2.Response) -> bytes | Lost:
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    response.stream = body = AsyncPeekedBody(response.stream)
    try:
        return decode_beginning(await body.peek(MAX_ERROR_BODY), response, MAX_ERROR_BODY)
    except httpx2.TransportError as error:
        return Lost(error)


def _is_short(response: httpx2.Response) -> bool:
    """Whether the body is worth reading to its end, for the sake of its connection."""
    length = response.headers.get("content-length", "")
    return length.isdecimal() and len(length) < 10 and int(length) <= MAX_ERROR_BODY


def _discard(response: httpx2.Response) -> None:
    """Be done with an answer that nobody will read."""
    with suppress(httpx2.TransportError):
        if _is_short(response):
            for _ in response.iter_raw():
                pass
    response.close()


async def _adiscard(response: httpx2.Response) -> None:
    """Be done with an answer that nobody will read."""
    with suppress(httpx2.TransportError):
        if _is_short(response):
            async for _ in response.aiter_raw():
                pass
    await response.aclose()
