"""Leases: a store's promise that one worker at a time does a thing.

A lease is short, it is renewed while somebody works, and it lapses if they die. Losing one costs a wait; it
never decides whether money moved. The rows of the ledger do.
"""

from __future__ import annotations

from typing import Protocol


class Leases(Protocol):
    """A store of leases: the ledger itself, or a cache that many machines share.

    Calls may come from any number of tasks, event loops and processes. Each is atomic. Any may raise
    `LedgerError` when the store cannot answer. A lease need only survive the processes that it keeps out.
    """

    async def lease(self, name: str, owner: str, seconds: float) -> bool:
        """Take the lease, or renew it if `owner` holds it; False while somebody else does.

        It lapses `seconds` from now by the store's clock, whatever was left of it before, so workers whose
        clocks differ agree on it wherever the store is a server. A lapsed lease is anybody's.
        """
        ...

    async def release(self, name: str, owner: str) -> None:
        """Give the lease back. Does nothing if `owner` does not hold it."""
        ...
