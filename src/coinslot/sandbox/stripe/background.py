"""What goes on beside the requests: timers, webhooks, the watch on the chain, and payouts on it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import httpx2

from coinslot.methods.tempo.rpc import RpcError
from coinslot.sandbox.stripe import payouts, timers, watching, webhooks
from coinslot.sandbox.stripe.chain import Chain
from coinslot.sandbox.stripe.store import Store

logger = logging.getLogger("coinslot.sandbox.stripe")

_LONGEST_REST: Final = 0.5
"""Seconds after which a loop looks again, whatever it was told: the clock may be somebody's own."""


class Background:
    """The loops over one state, from `start` until `stop`."""

    def __init__(
        self, store: Store, clock: Callable[[], float], chain: Chain | None, poll_interval: float
    ) -> None:
        self._store = store
        self._clock = clock
        self._chain = chain
        self._poll_interval = poll_interval
        self._changes: list[asyncio.Event] = []
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin."""
        self._begin(self._run_timers, woken=True)
        self._begin(self._deliver, woken=True)
        if self._chain is not None:
            self._begin(self._watch, woken=False)
            self._begin(self._pay_out, woken=True)

    def changed(self) -> None:
        """There may be something to do."""
        for event in self._changes:
            event.set()

    async def stop(self) -> None:
        """End, and wait until it has."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._changes.clear()

    def _begin(self, round_: Callable[[], Awaitable[float | None]], *, woken: bool) -> None:
        changed = asyncio.Event()
        if woken:
            self._changes.append(changed)
        self._tasks.append(asyncio.create_task(self._repeat(round_, changed)))

    async def _repeat(self, round_: Callable[[], Awaitable[float | None]], changed: asyncio.Event) -> None:
        """Do the round again and again: when it says, when something has changed, or after a rest."""
        while True:
            changed.clear()
            try:
                due = await round_()
            except Exception:
                logger.exception("%s failed", getattr(round_, "__name__", "a round"))
                due = None
            rest = _LONGEST_REST if due is None else min(max(due - self._clock(), 0.0), _LONGEST_REST)
            try:
                await asyncio.wait_for(changed.wait(), rest)
            except TimeoutError:
                continue

    async def _run_timers(self) -> float | None:
        due = await self._store.run(timers.run_due)
        if due.done:
            self.changed()  # it may have to be told
        return due.next

    async def _deliver(self) -> float | None:
        due = await self._store.run(webhooks.due)
        if not due.deliveries:
            return due.next
        async with httpx2.AsyncClient(trust_env=False) as http:
            failures = await asyncio.gather(*(webhooks.post(http, each) for each in due.deliveries))
        for delivery, failure in zip(due.deliveries, failures, strict=True):
            settle = partial(webhooks.settle, sequence=delivery.sequence, failure=failure)
            await self._store.run(settle)
        return self._clock()

    async def _watch(self) -> float | None:
        assert self._chain is not None, "there is a chain to watch"
        try:
            if await watching.watch(self._store, self._chain):
                self.changed()
        except RpcError as error:
            logger.warning("the chain cannot be watched just now: %s", error)
        return self._clock() + self._poll_interval

    async def _pay_out(self) -> float | None:
        assert self._chain is not None, "there is a chain to pay on"
        due = await self._store.run(payouts.due)
        for payout in due.payouts:
            try:
                there = await self._chain.pay_out(payout.raw, payout.transaction_hash, due.treasury)
            except RpcError as error:
                logger.warning("a refund cannot be sent just now: %s", error)
                break
            if there:
                await self._store.run(partial(payouts.finish, id_=payout.id))
                self.changed()
        return self._clock() + self._poll_interval if due.payouts else None
