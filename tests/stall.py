"""A market stall: a shop over real HTTP whose answers a test chooses, a purse that pays there, and a buyer.

The shop speaks the wire format and keeps no books: it is for finding out what a wallet does, with answers
that no honest shop would give. Its payment method, `coin`, is as simple as one can be and counts what it is
asked to do.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeAlias, Unpack

import httpx2

from coinslot.client import RequestOptions, Wallet
from coinslot.errors import InsufficientFunds, UnexpectedTerms
from coinslot.payments.method import ClientMethod, Payload, Quote
from coinslot.protocol import (
    Challenge,
    Credential,
    Receipt,
    find_credentials,
    format_timestamp,
    problem_body,
)
from serving import serving

_ids = itertools.count(1)


class Purse:
    """The buyer's half of `coin`: pays hundredths of a coin, as long as it has any.

    `paid` has the challenges that it made a proof for, in order.
    """

    intent = "charge"

    def __init__(self, *, name: str = "coin", funds: int = 10**9, network: str = "market") -> None:
        self.name = name
        self.funds = funds
        self.network = network
        self.quoted: list[Challenge] = []
        self.paid: list[Challenge] = []
        self.closed_on: list[asyncio.AbstractEventLoop] = []
        self.forbidden_recipient: str | None = None

    async def quote(self, challenge: Challenge) -> Quote | None:
        """Its amount, if it is on this purse's network."""
        self.quoted.append(challenge)
        request = challenge.decode_request()
        units = int(str(request["amount"]))
        if request.get("network", "market") != self.network:
            return None
        if self.forbidden_recipient is not None and request["recipient"] == self.forbidden_recipient:
            raise UnexpectedTerms("its recipient is one that this purse does not pay")
        return Quote(
            amount=Decimal(units).scaleb(-2),
            base_units=units,
            asset="coin",
            currency="coin",
            network=self.network,
            fee=Decimal(str(request.get("fee", "0"))),
        )

    async def pay(self, challenge: Challenge) -> Payload:
        """A proof of its own for each challenge."""
        units = int(str(challenge.decode_request()["amount"]))
        if units > self.funds:
            raise InsufficientFunds("the purse is empty")
        self.funds -= units
        self.paid.append(challenge)
        number = len(self.paid)
        return Payload(
            payload={"coin": f"secret-{number}"}, source="did:coin:purse", reference=f"coin-{number}"
        )

    async def aclose(self) -> None:
        """Note where it was closed."""
        self.closed_on.append(asyncio.get_running_loop())


class RevocablePurse(Purse):
    """A purse that knows what became of its proofs. `dead` has those that took nothing and never will."""

    def __init__(self) -> None:
        super().__init__()
        self.dead: set[str] = set()

    async def is_dead(self, payload: Payload) -> bool:
        """Whether a test said so."""
        return payload.payload["coin"] in self.dead


@dataclass
class Visit:
    """One request as it came to the shop."""

    method: str
    path: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    port: int

    def values(self, name: str) -> list[str]:
        """The header fields of that name."""
        return [value for key, value in self.headers if key == name]

    @property
    def credentials(self) -> list[str]:
        """Every Payment credential it carries, as text."""
        return find_credentials(self.values("authorization") + self.values("payment-authorization"))

    @property
    def credential(self) -> Credential | None:
        """The one that it carries."""
        return Credential.parse(self.credentials[0]) if self.credentials else None


Chunks: TypeAlias = "bytes | Iterable[bytes] | AsyncIterator[bytes]"


@dataclass
class Answer:
    """What the shop says. If it `is_cut`, the connection breaks after the body, before its end is known."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Chunks = b""
    challenges: list[Challenge | str] = field(default_factory=list)
    is_dropped: bool = False
    is_cut: bool = False


Reaction: TypeAlias = "Answer | Callable[[Visit], Answer]"

DROP = Answer(0, is_dropped=True)
"""The connection breaks before an answer."""


def offer(
    units: int = 1, *, method: str = "coin", expires_in: float | None = 300.0, **changes: Any
) -> Challenge:
    """A challenge over so many hundredths. `changes` are of the challenge, `request` among them."""
    request = {"amount": str(units), "currency": "coin", "recipient": "shop", **changes.pop("request", {})}
    if expires_in is not None:
        changes.setdefault("expires", format_timestamp(time.time() + expires_in))
    return Challenge.create(
        id=f"challenge-{next(_ids)}",
        realm=changes.pop("realm", "127.0.0.1"),
        method=method,
        intent="charge",
        request=request,
        **changes,
    )


def price(*challenges: Challenge | str, body: Chunks = b"pay first", **headers: str) -> Answer:
    """A 402 with these challenges."""
    return Answer(402, headers, body, list(challenges))


def problem(slug: str, status: int, **headers: str) -> Answer:
    """An `application/problem+json` answer. In `headers`, `_` stands for `-`."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(
        status, {"content-type": "application/problem+json", **fields}, problem_body(slug, "So it is.")
    )


def goods(visit: Visit) -> Answer:
    """What was bought, with a receipt."""
    assert visit.credential is not None
    receipt = Receipt(
        method=visit.credential.challenge.method,
        reference=f"settled-{visit.credential.payload['coin']}",
        timestamp="2030-01-06T12:00:00Z",
    )
    return Answer(200, {"payment-receipt": receipt.to_header()}, b"the goods")


class Shop:
    """An ASGI app. `visits` has the requests that came; those with a credential are `presented`."""

    def __init__(self) -> None:
        self.visits: list[Visit] = []
        self.sent = 0
        self.url = ""
        self._unpaid: dict[str, list[Reaction]] = defaultdict(lambda: [Answer(200, body=b"free")])
        self._paid: dict[str, list[Reaction]] = defaultdict(lambda: [goods])

    def sell(self, path: str, *ask: Reaction, then: Iterable[Reaction] = (goods,)) -> str:
        """At `path`, answer requests without a credential by `ask`, and those with one by `then`, in turn.

        The last answer of each is repeated; by default it asks for a hundredth, and hands out the goods.
        Returns the URL.
        """
        self._unpaid[path] = list(ask) or [lambda _: price(offer())]
        self._paid[path] = list(then)
        return self.url + path

    @property
    def presented(self) -> list[Visit]:
        """The requests that carried a credential."""
        return [visit for visit in self.visits if visit.credentials]

    @property
    def coins(self) -> list[str]:
        """The proofs that were presented, in order."""
        return [str(visit.credential.payload["coin"]) for visit in self.presented if visit.credential]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The ASGI app."""
        assert scope["type"] == "http", scope["type"]
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        query = scope["query_string"].decode()
        visit = Visit(
            method=scope["method"],
            path=scope["path"],
            target=scope["path"] + (f"?{query}" if query else ""),
            headers=[(name.decode(), value.decode("latin-1")) for name, value in scope["headers"]],
            body=body,
            port=scope["client"][1],
        )
        self.visits.append(visit)
        reactions = (self._paid if visit.credentials else self._unpaid)[visit.path]
        reaction = reactions.pop(0) if len(reactions) > 1 else reactions[0]
        answer = reaction if isinstance(reaction, Answer) else reaction(visit)
        if answer.is_dropped:
            send.__self__.transport.abort()
            return
        await self._send(answer, send)

    async def _send(self, answer: Answer, send: Any) -> None:
        headers = [(name.encode(), value.encode("latin-1")) for name, value in answer.headers.items()]
        for challenge in answer.challenges:
            text = challenge if isinstance(challenge, str) else challenge.to_header()
            headers.append((b"www-authenticate", text.encode("latin-1")))
        if isinstance(answer.body, bytes):
            headers.append((b"content-length", str(len(answer.body)).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        async for chunk in _chunks(answer.body):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await asyncio.sleep(0)  # a send that does not wait lets nobody tell that the client is gone
            if send.__self__.disconnected:  # uvicorn goes on taking what nobody will have
                return
            self.sent += len(chunk)
        if answer.is_cut:
            await asyncio.sleep(0.05)  # for what was sent to arrive
            send.__self__.transport.abort()
            return
        await send({"type": "http.response.body"})


async def _chunks(body: Chunks) -> AsyncIterator[bytes]:
    if isinstance(body, bytes):
        yield body
    elif isinstance(body, AsyncIterator):
        async for chunk in body:
            yield chunk
    else:
        for chunk in body:
            yield chunk


class Pitch:
    """A place that is served, at which one shop after the other can be open."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.shop = Shop()

    def open(self) -> Shop:
        """A new shop in place of the last one."""
        self.shop = Shop()
        self.shop.url = self.url
        return self.shop


@contextmanager
def serve_pitch() -> Iterator[Pitch]:
    """A pitch on a real server."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await pitch.shop(scope, receive, send)

    with serving(app) as url:
        pitch = Pitch(url)
        yield pitch


class Buyer:
    """Sends requests through wallets, synchronously or not; the tests are the same for both."""

    def __init__(self, *, is_async: bool) -> None:
        self.is_async = is_async
        self._wallets: list[Wallet] = []

    def wallet(self, *methods: ClientMethod, **options: Any) -> Wallet:
        """A wallet that is closed after the test."""
        wallet = Wallet(methods, **options)
        self._wallets.append(wallet)
        return wallet

    async def request(
        self, wallet: Wallet, method: str, url: str, **options: Unpack[RequestOptions]
    ) -> httpx2.Response:
        """A request with one of the wallet's one-liners."""
        if self.is_async:
            return await wallet.arequest(method, url, **options)
        return await asyncio.to_thread(wallet.request, method, url, **options)

    async def get(self, wallet: Wallet, url: str, **options: Unpack[RequestOptions]) -> httpx2.Response:
        """`request` with GET."""
        return await self.request(wallet, "GET", url, **options)

    async def visit(
        self, wallet: Wallet, address: str, url: str, **options: Unpack[RequestOptions]
    ) -> httpx2.Response:
        """A GET of `url` with a client of one's own, whose every host is at `address`. Follows redirects."""
        inner = Elsewhere(address)
        if self.is_async:
            async with httpx2.AsyncClient(
                transport=wallet.async_transport(inner), follow_redirects=True
            ) as http:
                return await http.request("GET", url, **options)

        def visit() -> httpx2.Response:
            with httpx2.Client(transport=wallet.transport(inner), follow_redirects=True) as http:
                return http.request("GET", url, **options)

        return await asyncio.to_thread(visit)

    def stream(self, parts: Iterable[bytes]) -> Any:
        """A request body that can be read once."""

        async def asynchronous() -> AsyncIterator[bytes]:
            for part in parts:
                yield part

        return asynchronous() if self.is_async else (part for part in parts)

    async def close(self) -> None:
        """Close the wallets."""
        for wallet in self._wallets:
            if self.is_async:
                await wallet.aclose()
            else:
                await asyncio.to_thread(wallet.close)


class Elsewhere(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """Connects to one address whatever the host: a name service, and the end of TLS, of the tests' own."""

    def __init__(self, address: str) -> None:
        self._address = httpx2.URL(address)
        self._sync = httpx2.HTTPTransport()
        self._async = httpx2.AsyncHTTPTransport()

    def _route(self, request: httpx2.Request) -> httpx2.Request:
        url = request.url.copy_with(scheme="http", host=self._address.host, port=self._address.port)
        return httpx2.Request(request.method, url, headers=request.headers, stream=request.stream)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return self._sync.handle_request(self._route(request))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return await self._async.handle_async_request(self._route(request))

    def close(self) -> None:
        self._sync.close()

    async def aclose(self) -> None:
        await self._async.aclose()
