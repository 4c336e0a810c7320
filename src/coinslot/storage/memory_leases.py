"""Leases in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from coinslot.errors import LedgerError

# How many leases each call looks at: more than it adds, so lapsed ones do not pile up.
_SWEEP: Final = 2


class MemoryLeases:
    """Keeps at most `capacity` leases; each call takes constant time. `clock` tells the Unix time."""

    def __init__(self, capacity: int, clock: Callable[[], float]) -> None:
        self._lease_capacity = capacity
        self._lease_clock = clock
        self._lease_lock = threading.Lock()  # callers may be on several event loops
        self._leases: OrderedDict[str, tuple[str, float]] = OrderedDict()

    async def lease(self, name: str, owner: str, seconds: float) -> bool:
        """Take or renew the lease. Raises `LedgerError` if there are too many."""
        with self._lease_lock:
            now = self._lease_clock()
            self._sweep_leases(now)
            holder, until = self._leases.get(name, (owner, now))
            if holder != owner and until > now:
                return False
            if name not in self._leases and len(self._leases) >= self._lease_capacity:
                raise LedgerError(f"the memory is full: {self._lease_capacity} leases are held at once")
            self._leases[name] = (owner, now + seconds)
            return True

    async def release(self, name: str, owner: str) -> None:
        """Give the lease back, if `owner` has it."""
        with self._lease_lock:
            if name in self._leases and self._leases[name][0] == owner:
                del self._leases[name]

    def _sweep_leases(self, now: float) -> None:
        """Look at the oldest few leases: a lapsed one goes, a live one goes to the end of the queue."""
        for _ in range(min(_SWEEP, len(self._leases))):
            name, (_, until) = next(iter(self._leases.items()))
            if until <= now:
                del self._leases[name]
            else:
                self._leases.move_to_end(name)
