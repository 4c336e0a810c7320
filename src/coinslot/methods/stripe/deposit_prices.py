"""The prices that have a pool of deposits: those that some worker is asked for.

Each is a record, due when nobody has asked for it for too long. So a price that no worker knows any more
loses its pool, whoever made it; and all workers together have no more prices than the seller allows.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from coinslot.methods.stripe.deposit import Policy
from coinslot.methods.stripe.shelves import Shelf

logger = logging.getLogger("coinslot.stripe")

ASKED: Final = "asked"

_TOLD_EVERY: Final = 20  # times within the idle time


class Asked(Struct, frozen=True):
    """When a price was last asked for, in Unix seconds."""

    at: float


class Prices:
    """The prices on a shelf."""

    def __init__(self, shelf: Shelf[Asked], policy: Policy) -> None:
        self._shelf = shelf
        self._policy = policy
        self._told: dict[int, float] = {}
        self._too_many: set[int] = set()

    async def tell(self, asked: Mapping[int, float], now: float) -> None:
        """Write down what this worker was asked for, now and then."""
        for amount, at in asked.items():
            is_idle = at + self._policy.idle <= now
            if not is_idle and at >= self._told.get(amount, 0.0) + self._policy.idle / _TOLD_EVERY:
                self._told[amount] = at
                await self._tell(amount, at)

    async def live(self, now: float) -> frozenset[int]:
        """The prices that are asked for, by any worker. Forgets the others."""
        live = set()
        for item in await self._shelf.select(ASKED):
            if item.due > now:
                live.add(int(item.key))
            else:
                await self._shelf.remove(item)
        return frozenset(live)

    async def _tell(self, amount: int, at: float) -> None:
        key, due = str(amount), at + self._policy.idle
        known = await self._shelf.find(key)
        if known is not None:
            if known.value.at < at:
                await self._shelf.change(known, value=Asked(at), due=due)
            return
        added = await self._shelf.put(key, Asked(at), state=ASKED, due=due)
        # Counted when it is there: of workers who add one at the same time, the last sees them all.
        if added is not None and await self._shelf.count(ASKED) > self._policy.prices:
            await self._shelf.remove(added)
            if amount not in self._too_many:
                self._too_many.add(amount)
                logger.warning(
                    "more than %d prices: %d cents has no deposit addresses of its own",
                    self._policy.prices,
                    amount,
                )
