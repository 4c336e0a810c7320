"""A cache in memory: for one process."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from coinslot.storage.counters import check_count
from coinslot.storage.memory_leases import MemoryLeases

T = TypeVar("T")

# How many entries each write looks at: more than it adds, so those that are over do not pile up.
_SWEEP: Final = 2


class MemoryCache(MemoryLeases):
    """Keeps at most `capacity` leases, counters and values each. `clock` tells the Unix time.

    Beyond that a new lease is refused with `LedgerError`, and a new counter or value takes the place of one
    that was not looked at for long.
    """

    def __init__(self, capacity: int = 100_000, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(capacity, clock)
        self._clock = clock
        self._lock = threading.Lock()  # callers may be on several event loops
        self._counters: _Passing[int] = _Passing(capacity)
        self._values: _Passing[bytes] = _Passing(capacity)

    def __len__(self) -> int:
        """How many entries it holds."""
        return len(self._leases) + len(self._counters) + len(self._values)

    async def open(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        """Nothing to let go of."""

    async def count(self, name: str, *, by: int, seconds: float) -> int:
        """Add to a counter and return what it stands at."""
        with self._lock:
            now = self._clock()
            stands, until = self._counters.get(name, now) or (0, now + seconds)
            check_count(stands + by)
            if by:
                self._counters.put(name, stands + by, until, now)
            return stands + by

    async def get(self, name: str) -> bytes | None:
        """A value, if it was put and its time is not over."""
        with self._lock:
            found = self._values.get(name, self._clock())
            return found[0] if found else None

    async def put(self, name: str, value: bytes, *, seconds: float) -> None:
        """Keep a value for so long, in place of what was there."""
        with self._lock:
            now = self._clock()
            self._values.put(name, value, now + seconds, now)


class _Passing(Generic[T]):
    """Values by name, each with its end."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[str, tuple[T, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, name: str, now: float) -> tuple[T, float] | None:
        """A value and its end, if that is not over."""
        found = self._entries.get(name)
        return found if found and found[1] > now else None

    def put(self, name: str, value: T, until: float, now: float) -> None:
        """Keep it, in place of what was there."""
        self._sweep(now)
        self._entries[name] = value, until
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)

    def _sweep(self, now: float) -> None:
        for _ in range(min(_SWEEP, len(self._entries))):
            name, (_, until) = next(iter(self._entries.items()))
            if until <= now:
                del self._entries[name]
            else:
                self._entries.move_to_end(name)
