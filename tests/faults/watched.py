"""What a shop's calls go through: its ledger, its cache and its HTTP connections, each call a point."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, Final, cast

import httpx2
import msgspec

from coinslot.errors import LedgerError
from coinslot.payments.answers import Answer
from coinslot.payments.cache import Cache
from coinslot.payments.ledger import Ledger
from coinslot.payments.payment import Payment
from coinslot.payments.refunds import Refund
from faults.points import Lost, Watch

# Leases that are not a payment's.
_COMMON_LEASES: Final = ("reconcile", "health")

_ID: Final = re.compile(r"(?<=/)(pi|ch|re|spt|evt|cus)_\w+")


def watched_ledger(ledger: Ledger, watch: Watch) -> Ledger:
    """The same ledger. Lost calls raise `LedgerError`."""
    return cast(Ledger, _Watched("ledger", ledger, watch))


def watched_cache(cache: Cache, watch: Watch) -> Cache:
    """The same cache."""
    return cast(Cache, _Watched("cache", cache, watch))


class _Watched:
    """Every coroutine of a store, as a point."""

    def __init__(self, kind: str, store: object, watch: Watch) -> None:
        self._kind = kind
        self._store = store
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._store, name)
        if not inspect.iscoroutinefunction(member):
            return member

        async def call(*args: Any, **kwargs: Any) -> Any:
            what, about = _describe(args)
            point = f"{self._kind}.{name} {what}".rstrip()
            try:
                return await self._watch.around(point, lambda: member(*args, **kwargs), about)
            except Lost as lost:
                raise LedgerError(f"lost {lost.when} it was done") from lost

        return call


def _describe(args: tuple[Any, ...]) -> tuple[str, str]:
    """What a call of a store is for, and the challenge that it is about."""
    match args:
        case (Payment() as before, Payment() as after):
            return f"{before.state}→{after.state}", before.challenge_id
        case (Payment() as payment,):
            return str(payment.state), payment.challenge_id
        case (Refund() as before, Refund() as after):
            return f"refund {before.state}→{after.state}", before.challenge_id
        case (Refund() as refund,):
            return f"refund {refund.state}", refund.challenge_id
        case (Answer() as answer,):
            return "", answer.challenge_id
        case (str() as name, *_):
            common = name.partition(":")[0]
            return (common, "") if common in _COMMON_LEASES else ("", name)
        case _:
            return "", ""


def watch_http(watch: Watch, kind_of: Callable[[httpx2.URL], str]) -> None:
    """Have every request that this process sends with httpx2 be a point. `kind_of` says whose its URL is."""
    send = httpx2.AsyncHTTPTransport.handle_async_request

    async def watched(self: httpx2.AsyncHTTPTransport, request: httpx2.Request) -> httpx2.Response:
        async def whole() -> httpx2.Response:
            """The answer with its body: what is to be lost has arrived."""
            answer = await send(self, request)
            assert isinstance(answer.stream, httpx2.AsyncByteStream)
            body = b"".join([chunk async for chunk in answer.stream])
            await answer.aclose()
            return httpx2.Response(
                answer.status_code,
                headers=answer.headers,
                stream=httpx2.ByteStream(body),
                extensions=answer.extensions,
            )

        try:
            return await watch.around(f"{kind_of(request.url)} {_asked(request)}", whole)
        except Lost as lost:
            kind = httpx2.ConnectError if lost.when == "before" else httpx2.ReadError
            raise kind("lost", request=request) from lost

    httpx2.AsyncHTTPTransport.handle_async_request = watched  # type: ignore[method-assign]  # the seam


def _asked(request: httpx2.Request) -> str:
    """What a request asks for: the methods of JSON-RPC, or an HTTP method and a path."""
    target = request.extensions.get("target", request.url.raw_path).partition(b"?")[0].decode()
    if request.headers.get("content-type") == "application/json" and request.method == "POST":
        body = msgspec.json.decode(request.content)
        calls = body if isinstance(body, list) else [body]
        if all("jsonrpc" in call for call in calls):
            return "+".join(dict.fromkeys(call["method"] for call in calls))
    return f"{request.method} {_ID.sub(r'{id}', target)}"
