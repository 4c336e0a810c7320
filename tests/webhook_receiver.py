"""A real HTTP server that takes webhooks, as a shop would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from serving import serving


@dataclass
class Receiver:
    """What came, and how it is answered: with the first of `statuses`, then the next, then 200."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)

    @property
    def events(self) -> list[dict[str, Any]]:
        """What came, read."""
        return [msgspec.json.decode(body) for body in self.bodies]

    @property
    def types(self) -> list[str]:
        """Their types."""
        return [event["type"] for event in self.events]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one."""
        request = Request(scope, receive)
        self.bodies.append(await request.body())
        self.signatures.append(request.headers["stripe-signature"])
        status = self.statuses.pop(0) if self.statuses else 200
        await Response(status_code=status)(scope, receive, send)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that runs."""
    receiver = Receiver()
    with serving(receiver) as url:
        receiver.url = url
        yield receiver
