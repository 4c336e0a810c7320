"""The cache's contract: what workers share that may be forgotten at any moment.

Emptying it costs a 409 or another look-up, never money. Whatever must survive is in the ledger.
"""

from __future__ import annotations

from typing import Protocol

from coinslot.payments.leases import Leases


class Cache(Leases, Protocol):
    """A store of leases, counters and small values. Any call may raise `LedgerError` if it cannot answer.

    Calls may come from any number of tasks, event loops and processes. Each is atomic. Nothing in it grows
    without bound: every entry has an end, by the clock of the cache. A call that ended in `LedgerError` may
    still have been done.
    """

    async def open(self) -> None:
        """Connect. Calling it again does nothing. Raises `ConfigurationError`."""
        ...

    async def close(self) -> None:
        """Let go. `open` may follow."""
        ...

    async def count(self, name: str, *, by: int, seconds: float) -> int:
        """Add to a counter, which starts at 0 and is gone `seconds` after it was first added to.

        Returns what it stands at. `by` may be negative, or 0 to read it. Raises `LedgerError` if it would
        leave 64 bits; it then stands where it stood.
        """
        ...

    async def get(self, name: str) -> bytes | None:
        """A value, if it was put and its time is not over."""
        ...

    async def put(self, name: str, value: bytes, *, seconds: float) -> None:
        """Keep a value for so long, in place of what was there."""
        ...
