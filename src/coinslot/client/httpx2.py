"""Transports for httpx2: each drives an `Exchange` for every request that goes through it.

A transport, not an `httpx2.Auth`, because only there is every hop of a redirect a request of its own, with
its own origin; a lost answer can be seen; a body can be kept while it is sent; and the caller's own auth is
left alone.

The caller's request is never changed but for one thing. If its payment is not done with when it is
answered, with a redirect or an error, the payment is put into its `extensions`. Whatever sends the request
on from there, the client that follows a redirect, an auth flow with a fresh token, a retry, brings the
payment along, and so one call makes one payment. Header fields that carry it exist on copies only.

Paying is never broken off: a caller who goes away in the middle of it gets away when it has ended, and the
payment is taken down.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
import uuid
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeAlias, TypeVar

try:
    import anyio
    import httpx2
except ImportError as error:
    raise ImportError('a Wallet sends its requests with httpx2: pip install "coinslot[httpx2]"') from error

from coinslot.client import background
from coinslot.client.answers import adiscard, apeek, discard, peek
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
from coinslot.client.streams import AsyncReplayableBody, ReplayableBody
from coinslot.payments.method import ClientMethod, Payload
from coinslot.protocol import Challenge

T = TypeVar("T")

EXTENSION = "payment"
"""The member of a request's and a response's `extensions` that holds the `PaymentRecord`."""

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
                    discard(last)
                try:
                    call.response = self._inner.handle_request(call.copy_request(fields, body))
                except httpx2.TransportError as error:
                    return Lost(error)
                return _response_head(call.response)
            case ReadBody():
                return body.read()
            case Peek():
                return peek(call.answer())
            case AskQuote(method, challenge):
                return background.run(method.quote(challenge))
            case Pay(method, challenge):
                return background.run_to_end(call.pay(method, challenge))
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
                    await adiscard(last)
                try:
                    call.response = await self._inner.handle_async_request(call.copy_request(fields, body))
                except httpx2.TransportError as error:
                    return Lost(error)
                return _response_head(call.response)
            case ReadBody():
                return await body.read()
            case Peek():
                return await apeek(call.answer())
            case AskQuote(method, challenge):
                return await method.quote(challenge)
            case Pay(method, challenge):
                return await _to_end(call.pay(method, challenge))
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
        self._payload: Payload | None = None

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

    async def pay(self, method: ClientMethod, challenge: Challenge) -> Payload:
        """Have `method` pay. What it made is kept here until the exchange has it."""
        self._payload = await method.pay(challenge)
        return self._payload

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
        records = self._exchange.records
        if self._payload is not None and all(
            record.credential.payload is not self._payload.payload for record in records
        ):
            # It ended between the payment and its presentation: the exchange is to take it down.
            with suppress(StopIteration):
                self.steps.send(self._payload)
        self.steps.close()
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


async def _to_end(coroutine: Coroutine[object, object, T]) -> T:
    """Await `coroutine` in full, whatever cancels the caller meanwhile. Then it is the caller's turn."""
    task = asyncio.ensure_future(coroutine)
    cancellation: asyncio.CancelledError | None = None
    # A scope of anyio's would cancel again and again; asyncio's own ways do it once each.
    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError as error:
                cancellation = error
    if cancellation is not None:
        if not task.cancelled():
            task.exception()  # whatever it was, nothing was paid, and nobody is left to hear it
        raise cancellation
    return task.result()


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
