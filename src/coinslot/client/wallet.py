"""The `Wallet`: what a program pays with."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Callable, Collection, Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self, TypedDict, Unpack
from weakref import WeakKeyDictionary

from coinslot.client.exchange import Rules
from coinslot.client.record import PaymentRecord
from coinslot.errors import ConfigurationError
from coinslot.payments.method import ClientMethod, Closes

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    import httpx2

    from coinslot.client.httpx2 import AsyncWalletTransport, WalletTransport


class RequestOptions(TypedDict, total=False):
    """What a request may have beside its method and URL, as for `httpx2.Client.request`.

    `extensions={"payment": record}` presents an earlier payment again (see `PaymentRecord`).
    """

    params: Mapping[str, str | int | float | bool | None] | str
    headers: Mapping[str, str] | Sequence[tuple[str, str]]
    cookies: dict[str, str]
    content: bytes | str | Iterable[bytes] | AsyncIterable[bytes]
    data: Mapping[str, object]
    files: Mapping[str, bytes | IO[bytes] | tuple[str, bytes | IO[bytes]]]
    json: object
    auth: httpx2.Auth | tuple[str, str] | None
    follow_redirects: bool
    timeout: float | httpx2.Timeout | None
    extensions: Mapping[str, object]


class Wallet:
    """Pays for what is asked over HTTP, within a limit.

        wallet = Wallet(methods=[method], max_amount="0.50")
        response = wallet.get("https://api.example.com/paid")
        response.extensions["payment"].receipt

    A request is sent as it is. If the answer is a 402 with a challenge that one of the wallet's methods can
    pay, the wallet pays and sends it again with the credential. If nothing in the 402 is acceptable, a
    `WalletError` says why, and nothing was signed. A 402 that asks for no payment is an answer like any
    other.

    One call makes one payment, along redirects and through auth flows too: the request keeps its payment
    until it is answered with what was bought. A lost or undecided answer has the same credential presented
    again. Only if the method is certain that a payment took nothing and never will, there is a second.

    A wallet can be shared by threads, tasks and event loops, and goes on working after a fork. Close it, or
    use it in a `with`, or `async with`, to let go of its connections.
    """

    def __init__(
        self,
        methods: Sequence[ClientMethod],
        *,
        max_amount: str | Decimal = "1.00",
        patience: float = 60.0,
        replay_limit: int = 1024 * 1024,
        trusted_realms: Collection[str] = (),
        on_payment: Callable[[PaymentRecord], None] | None = None,
    ) -> None:
        """`methods` are what it can pay with, the favourite first.

        `max_amount` is the most for one payment, its fee included, in the unit of whatever currency is
        asked: a decimal string or a Decimal. `patience` is for how many seconds a call goes on presenting a
        payment that has no answer yet. `replay_limit` is how many bytes
        of a streamed request body are kept to be sent again; if a longer one has to be paid,
        `BodyNotReplayable` is raised before anything is. `trusted_realms` are realms beside the host's own
        name for which identity may be proven (a payment of nothing). `on_payment` is called with each
        payment when its call ends, however that ends: it is the one way to hear of a payment whose call was
        cancelled. It may be called from any thread that uses the wallet.

        Raises `ConfigurationError`.
        """
        if not methods:
            raise ConfigurationError("a wallet needs a method to pay with: Wallet(methods=[…])")
        self._rules = Rules(
            methods=tuple(methods),
            max_amount=_limit(max_amount),
            patience=patience,
            trusted_realms=frozenset(trusted_realms),
        )
        self._replay_limit = replay_limit
        self._on_payment = on_payment
        self._closed = False
        # By process: a connection cannot be shared with the parent of a fork, nor closed for it.
        self._clients: dict[int, httpx2.Client] = {}
        self._async_clients: WeakKeyDictionary[AbstractEventLoop, httpx2.AsyncClient] = WeakKeyDictionary()

    def transport(self, inner: httpx2.BaseTransport | None = None) -> WalletTransport:
        """A transport that pays, for an `httpx2.Client` of your own.

        It sends through `inner`, by default a new `httpx2.HTTPTransport`, and closes it when it is closed.
        """
        from coinslot.client.httpx2 import WalletTransport

        return WalletTransport(
            inner, self._rules, replay_limit=self._replay_limit, on_payment=self._on_payment
        )

    def async_transport(self, inner: httpx2.AsyncBaseTransport | None = None) -> AsyncWalletTransport:
        """The same for an `httpx2.AsyncClient`; `inner` is by default a new `httpx2.AsyncHTTPTransport`."""
        from coinslot.client.httpx2 import AsyncWalletTransport

        return AsyncWalletTransport(
            inner, self._rules, replay_limit=self._replay_limit, on_payment=self._on_payment
        )

    # One-liners. The wallet's own clients are httpx2's as they come: redirects are not followed unless asked.

    def request(
        self, method: str, url: str | httpx2.URL, **options: Unpack[RequestOptions]
    ) -> httpx2.Response:
        """Send a request, pay for it if asked to, and return the answer, read to its end.

        `response.extensions["payment"]` is the `PaymentRecord`, if there was a payment. Raises a
        `WalletError` if it was not paid, `PaymentUndecided` if it was and no answer came, and
        `httpx2.HTTPError`.
        """
        return self._client().request(method, url, **options)

    def get(self, url: str | httpx2.URL, **options: Unpack[RequestOptions]) -> httpx2.Response:
        """`request` with GET."""
        return self.request("GET", url, **options)

    def post(self, url: str | httpx2.URL, **options: Unpack[RequestOptions]) -> httpx2.Response:
        """`request` with POST."""
        return self.request("POST", url, **options)

    def put(self, url: str | httpx2.URL, **options: Unpack[RequestOptions]) -> httpx2.Response:
        """`request` with PUT."""
        return self.request("PUT", url, **options)

    def patch(self, url: str | httpx2.URL, **options: Unpack[RequestOptions]) -> httpx2.Response:
        """`request` with PATCH."""
        return self.request("PATCH", url, **options)

    def delete(self, url: str | httpx2.URL, **options: Unpack[RequestOptions]) -> httpx2.Response:
        """`request` with DELETE."""
        return self.request("DELETE", url, **options)

    async def arequest(
        self, method: str, url: str | httpx2.URL, **options: Unpack[RequestOptions]
    ) -> httpx2.Response:
        """`request` for asyncio."""
        return await self._async_client().request(method, url, **options)

    async def aget(self, url: str | httpx2.URL, **options: Unpack[RequestOptions]) -> httpx2.Response:
        """`arequest` with GET."""
        return await self.arequest("GET", url, **options)

    async def apost(self, url: str | httpx2.URL, **options: Unpack[RequestOptions]) -> httpx2.Response:
        """`arequest` with POST."""
        return await self.arequest("POST", url, **options)

    async def aput(self, url: str | httpx2.URL, **options: Unpack[RequestOptions]) -> httpx2.Response:
        """`arequest` with PUT."""
        return await self.arequest("PUT", url, **options)

    async def apatch(self, url: str | httpx2.URL, **options: Unpack[RequestOptions]) -> httpx2.Response:
        """`arequest` with PATCH."""
        return await self.arequest("PATCH", url, **options)

    async def adelete(self, url: str | httpx2.URL, **options: Unpack[RequestOptions]) -> httpx2.Response:
        """`arequest` with DELETE."""
        return await self.arequest("DELETE", url, **options)

    def _client(self) -> httpx2.Client:
        self._check_open()
        client = self._clients.get(os.getpid())
        if client is None:
            transport = self.transport()
            from httpx2 import Client

            # Of two threads that come here at once, both get the one that was stored first.
            client = self._clients.setdefault(os.getpid(), Client(transport=transport))
        return client

    def _async_client(self) -> httpx2.AsyncClient:
        from asyncio import get_running_loop

        self._check_open()
        loop = get_running_loop()
        client = self._async_clients.get(loop)
        if client is None:
            transport = self.async_transport()
            from httpx2 import AsyncClient

            client = self._async_clients[loop] = AsyncClient(transport=transport)
        return client

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("this wallet is closed")

    def close(self) -> None:
        """Close the wallet's connections and its methods, after synchronous use. Its transports stay open."""
        from coinslot.client import background

        self._close_client()
        for method in self._rules.methods:
            if isinstance(method, Closes):
                background.run(method.aclose())

    async def aclose(self) -> None:
        """The same after use with asyncio, for the event loop that this is called on."""
        from asyncio import get_running_loop

        self._close_client()
        client = self._async_clients.pop(get_running_loop(), None)
        if client is not None:
            await client.aclose()
        for method in self._rules.methods:
            if isinstance(method, Closes):
                await method.aclose()

    def _close_client(self) -> None:
        self._closed = True
        client = self._clients.pop(os.getpid(), None)
        if client is not None:
            client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        kinds = ", ".join(f"{method.name}/{method.intent}" for method in self._rules.methods)
        return f"Wallet({kinds}; at most {self._rules.max_amount:f} at once)"


def _limit(amount: object) -> Decimal:
    # A float would say something else than what was written.
    try:
        limit = Decimal(amount) if isinstance(amount, (str, Decimal)) else None
    except InvalidOperation:
        limit = None
    if limit is None or not limit.is_finite() or limit < 0:
        raise ConfigurationError('max_amount is a decimal string or a Decimal, such as "0.50"')
    return limit
