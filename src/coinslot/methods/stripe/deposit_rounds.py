"""The rounds: what one worker at a time does for the deposits of all of them.

Each part can be killed at any line, and be done again by another worker. The chain and Stripe are asked here
and nowhere else; while one of them does not answer, what needs it waits, and the rest goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from coinslot.errors import CoinslotError, LedgerError
from coinslot.methods.stripe.api import StripeApi
from coinslot.methods.stripe.deposit import Deposit, Policy, Site
from coinslot.methods.stripe.deposit_making import Draft, Making
from coinslot.methods.stripe.deposit_outbox import Note, Outbox
from coinslot.methods.stripe.deposit_prices import Asked, Prices
from coinslot.methods.stripe.deposit_refunds import DepositRefunds
from coinslot.methods.stripe.deposit_reusable import Reusable, ReusableAddress
from coinslot.methods.stripe.deposit_review import Review
from coinslot.methods.stripe.deposit_watch import Arrival, Chain, Cursor, Watch
from coinslot.methods.stripe.failures import StripeFailure
from coinslot.methods.stripe.shelves import Shelf
from coinslot.payments.desk import Desk

logger = logging.getLogger("coinslot.stripe")

_LONGEST_PAUSE: Final = 60.0


class Patience:
    """Leaves Stripe alone after a failure: for a second, and twice as long after each that soon follows."""

    def __init__(self) -> None:
        self._pause = 1.0
        self._until = 0.0

    def is_over(self, now: float) -> bool:
        """Whether Stripe may be asked."""
        return now >= self._until

    def failed(self, now: float) -> None:
        """It did not answer, or would not begin."""
        follows = now < self._until + 2 * _LONGEST_PAUSE
        self._pause = min(2 * self._pause, _LONGEST_PAUSE) if follows else 1.0
        self._until = now + self._pause


class Rounds:
    """Everything that is done in the background, over one ledger."""

    def __init__(
        self,
        desk: Desk,
        api: StripeApi,
        chain: Chain,
        *,
        site: Site,
        policy: Policy,
        metadata: Mapping[str, str],
        has_reusable: bool,
    ) -> None:
        mode = {True: "live", False: "test", None: "any"}[api.livemode]

        def kind(name: str) -> str:
            # Addresses of Stripe's test mode are nobody's on a live chain: the two never share a pool.
            return f"stripe-{name}:{mode}:{site.chain_id}"

        self._desk = desk
        self._patience = Patience()
        self._has_reusable = has_reusable
        self.deposits = Shelf(desk.records, kind("deposit"), Deposit)
        self.prices = Prices(Shelf(desk.records, kind("price"), Asked), policy)
        self.reusable = ReusableAddress(
            api, Shelf(desk.records, kind("address"), Reusable), site=site, metadata=metadata
        )
        notes = Shelf(desk.records, kind("record"), Note)
        self.outbox = Outbox(api, desk, notes, site=site, metadata=metadata)
        self.refunds = DepositRefunds(api, self.deposits, notes, site=site)
        self._watch = Watch(
            desk,
            chain,
            self.deposits,
            Shelf(desk.records, kind("arrival"), Arrival),
            Shelf(desk.records, kind("cursor"), Cursor),
            policy=policy,
            site=site,
        )
        self._review = Review(api, self.deposits, policy=policy, metadata=metadata)
        self._making = Making(
            api,
            self.deposits,
            Shelf(desk.records, kind("draft"), Draft),
            policy=policy,
            site=site,
            metadata=metadata,
        )

    async def run(self, now: float) -> bool:
        """One round, if no other worker is at it. Whether there is more to do at once."""
        async with self._desk.alone("deposits") as is_alone:
            if not is_alone:
                return False
            live = await self.prices.live(now)
            cursor = await self._look(now)
            await self._watch.decide(now)
            await self._review.sort(live, now)
            if not self._patience.is_over(now):
                return False
            try:
                return await self._ask_stripe(live, cursor, now)
            except StripeFailure as failure:
                logger.warning("deposits: %s", failure)
                self._patience.failed(now)
                return False

    async def _look(self, now: float) -> Cursor | None:
        """Look at the chain; None if it does not answer."""
        await self.reusable.read()
        also = () if self.reusable.address is None else (self.reusable.address,)
        try:
            return await self._watch.look(now, also=also, is_urgent=await self._review.waits(now))
        except LedgerError:
            raise
        except CoinslotError as error:
            logger.warning("the chain could not be asked about deposits: %s", error)
            return None

    async def _ask_stripe(self, live: frozenset[int], cursor: Cursor | None, now: float) -> bool:
        await self.outbox.send(now)
        if cursor is None:  # nothing is handed out that is not watched
            return False
        if self._has_reusable:
            await self.reusable.ask(now)
        await self._review.ask(live, chain_time=cursor.time, now=now)
        return await self._making.make(live, now)
