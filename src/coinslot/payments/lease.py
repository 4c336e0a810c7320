"""A lease on one challenge, kept for as long as somebody works on it."""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import Final

from coinslot.errors import LedgerError
from coinslot.payments.ledger import Ledger

logger = logging.getLogger("coinslot.payments")

# Long enough for a worker that is busy, short enough for a payer who waits for one that died.
SECONDS: Final = 12.0
RENEW_AFTER: Final = SECONDS / 3


class Lease:
    """Holds the lease and renews it on a timer, until `release` or the end of the process."""

    def __init__(self, ledger: Ledger, challenge_id: str) -> None:
        self._ledger = ledger
        self._challenge_id = challenge_id
        self._owner = secrets.token_urlsafe(12)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._renewal: asyncio.Task[None] | None = None

    async def take(self) -> bool:
        """Take it; False while somebody else holds it. Raises `LedgerError`."""
        if not await self._ledger.lease(self._challenge_id, self._owner, SECONDS):
            return False
        self._schedule()
        return True

    async def release(self) -> None:
        """Give it back. A lease that cannot be given back lapses by itself."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._renewal is not None:
            self._renewal.cancel()
            self._renewal = None
        try:
            await self._ledger.release(self._challenge_id, self._owner)
        except LedgerError as error:
            logger.warning("a lease was not given back and lapses in %.0f s: %s", SECONDS, error)

    def abandon(self) -> None:
        """Stop renewing it, from any thread: it lapses."""
        if self._timer is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._timer.cancel)

    def _schedule(self) -> None:
        self._timer = self._loop.call_later(RENEW_AFTER, self._begin_renewal)

    def _begin_renewal(self) -> None:
        self._renewal = self._loop.create_task(self._renew())

    async def _renew(self) -> None:
        try:
            held = await self._ledger.lease(self._challenge_id, self._owner, SECONDS)
        except LedgerError as error:
            logger.warning("a lease could not be renewed: %s", error)
        else:
            if not held:  # lapsed and taken: the row's revision now decides whose move counts
                logger.warning("a lease lapsed while its payment was being worked on")
                return
        self._schedule()
