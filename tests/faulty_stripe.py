"""The way to a Stripe that lies: what comes back can be rewritten before it is passed on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import httpx2

from serving import serving

Rewrite: TypeAlias = Callable[[int, Any], "tuple[int, Any]"]


class FaultyStripe:
    """Forwards to `upstream`. `rewrites` has what becomes of the next answers to `POST /v1/…` and so on.

    A rewrite is used once, in order. What it makes of the body is sent as JSON, or as it is if it is bytes.
    `asked` has every request that came.
    """

    def __init__(self, upstream: str) -> None:
        self.url = ""
        self.rewrites: dict[str, list[Rewrite]] = {}
        self.asked: list[str] = []
        self._upstream = upstream

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The ASGI app."""
        assert scope["type"] == "http", scope["type"]
        content = (await receive())["body"]
        self.asked.append(f"{scope['method']} {scope['path']}")
        query = scope["query_string"].decode()
        headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
        async with httpx2.AsyncClient(trust_env=False) as http:
            url = f"{self._upstream}{scope['path']}?{query}"
            answer = await http.request(scope["method"], url, content=content, headers=headers)
        status, body = answer.status_code, answer.content
        name = b"idempotent-replayed"
        replayed = [(name, value) for header, value in answer.headers.raw if header.lower() == name]
        waiting = self.rewrites.get(f"{scope['method']} {scope['path']}") or []
        if waiting:
            status, rewritten = waiting.pop(0)(status, answer.json())
            body = rewritten if isinstance(rewritten, bytes) else json.dumps(rewritten).encode()
        await send({"type": "http.response.start", "status": status, "headers": replayed})
        await send({"type": "http.response.body", "body": body})


@contextmanager
def serving_faulty_stripe(upstream: str) -> Iterator[FaultyStripe]:
    """One that listens."""
    faulty = FaultyStripe(upstream)
    with serving(faulty) as faulty.url:
        yield faulty


def says(status: int, body: Any) -> Rewrite:
    """Whatever was answered, this is."""
    return lambda _status, _body: (status, body)


def with_status(status: str) -> Rewrite:
    """A PaymentIntent that is in another status than it says."""
    return lambda code, body: (code, {**body, "status": status})
