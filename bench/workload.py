"""What the stores are asked, and how often they answer in a second."""

from __future__ import annotations

import asyncio
import random
import time
from itertools import count
from typing import Final

from held_stores import Store
from msgspec.structs import replace

from coinslot.payments.books import Query
from coinslot.payments.payment import Payment, State
from ledgers import make_payment

CALLERS: Final = 64
OPERATIONS: Final = ("insert", "replace", "find", "lease", "stuck")

_UNDECIDED: Final = Query(states=frozenset({State.SETTLING, State.UNKNOWN}), until=1_700_000_000.0)


class Workload:
    """The operations on one store that holds so many payments. Each says whether there is more to do."""

    def __init__(self, store: Store, held: int) -> None:
        self._store = store
        self._held = held
        self._numbers = count()
        self._inserted: list[Payment] = []

    async def measure(self, operation: str, seconds: float) -> float:
        """Calls a second by many callers at once, for so many seconds."""
        ask = getattr(self, operation)
        began = time.perf_counter()
        until = began + seconds

        async def call() -> int:
            calls = 0
            while time.perf_counter() < until and await ask():
                calls += 1
            return calls

        calls = sum(await asyncio.gather(*(call() for _ in range(CALLERS))))
        return calls / (time.perf_counter() - began)

    async def insert(self) -> bool:
        """A new payment."""
        payment = make_payment(state=State.SETTLED)
        await self._store.ledger.insert(payment)
        self._inserted.append(payment)
        return True

    async def replace(self) -> bool:
        """The next state of a payment that was inserted."""
        if not self._inserted:
            return False
        before = self._inserted.pop()
        return await self._store.ledger.replace(before, replace(before, state=State.DELIVERED, revision=1))

    async def find(self) -> bool:
        """Any of the payments that are held."""
        return await self._store.ledger.find(f"held-{random.randrange(self._held)}") is not None

    async def lease(self) -> bool:
        """A new lease, taken and given back."""
        name = f"new-{next(self._numbers)}"
        taken = await self._store.leases.lease(name, "owner", 30.0)
        await self._store.leases.release(name, "owner")
        return taken

    async def stuck(self) -> bool:
        """The first hundred payments whose outcome is not known."""
        return len(await self._store.ledger.select(_UNDECIDED, limit=100)) == 100
