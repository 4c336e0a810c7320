"""A lease that is kept for as long as somebody works."""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import Final

from coinslot.errors import LedgerError
from coinslot.payments.leases import Leases

logger = logging.getLogger("coinslot.payments")

# Long enough for a worker that is busy, short enough for a payer who waits for one that died.
SECONDS: Final = 12.0
RENEW_AFTER: Final = SECONDS / 3


class Lease:
    """Holds the lease and renews it on a timer, until `release` or the end of the process."""

    def __init__(self, leases: Leases, name: str) -> None:
        self._leases = leases
        self._name = name
        self._owner = secrets.token_urlsafe(12)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._renewal: asyncio.Task[None] | None = None
        self._is_abandoned = False

    async def take(self) -> bool:
        """Take it; False while somebody else holds it. Raises `LedgerError`."""
        if not await self._leases.lease(self._name, self._owner, SECONDS):
            return False
        self._schedule()
        return True

    async def release(self) -> None:
        """Give it back. A lease that cannot be given back lapses by itself."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._is_abandoned = True
        if self._renewal is not None:
            await asyncio.wait([self._renewal])  # or it might arrive after this, and hold it once more
            self._renewal = None
        try:
            await self._leases.release(self._name, self._owner)
        except LedgerError as error:
            logger.warning("a lease was not given back and lapses in %.0f s: %s", SECONDS, error)

    def abandon(self) -> None:
        """Stop renewing it, from any thread: it lapses."""
        self._is_abandoned = True  # a renewal that is under way is the last one
        if self._timer is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._timer.cancel)

    def _schedule(self) -> None:
        self._timer = self._loop.call_later(RENEW_AFTER, self._begin_renewal)

    def _begin_renewal(self) -> None:
        self._renewal = self._loop.create_task(self._renew())

    async def _renew(self) -> None:
        try:
            held = await self._leases.lease(self._name, self._owner, SECONDS)
        except LedgerError as error:
            logger.warning("a lease could not be renewed: %s", error)
        else:
            if not held:  # lapsed and taken: the row's revision now decides whose move counts
                logger.warning("a lease lapsed while its payment was being worked on")
                return
        if not self._is_abandoned:
            self._schedule()
