"""The world: a chain and a Stripe in a process of their own, which no case touches."""

from __future__ import annotations

import asyncio
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from types import TracebackType
from typing import Self

import httpx2
from msgspec import Struct

from coinslot.sandbox.stripe import StripeSandbox
from coinslot.sandbox.tempo import Devnet


class Places(Struct, frozen=True):
    """Where they are."""

    rpc_url: str
    stripe_url: str


class World:
    """Starts both, and ends them."""

    places: Places

    def __init__(self, context: ForkServerContext) -> None:
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(theirs,), daemon=True)
        self._theirs = theirs

    def __enter__(self) -> Self:
        self._process.start()
        self._theirs.close()
        self.places = self._ours.recv()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ours.close()
        self._process.join(20)
        self._process.kill()

    async def open_account(self, http: httpx2.AsyncClient, name: str) -> None:
        """One more seller at Stripe."""
        answer = await http.post(f"{self.places.stripe_url}/_sandbox/accounts", json={"name": name})
        assert answer.status_code == 201, answer.text


def _run(theirs: Connection) -> None:
    asyncio.run(_serve(theirs))


async def _serve(theirs: Connection) -> None:
    async with Devnet() as devnet, StripeSandbox() as stripe:
        theirs.send(Places(devnet.rpc_url, stripe.url))
        await asyncio.to_thread(theirs.poll, None)  # until the other end is closed
