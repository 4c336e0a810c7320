"""Reviewing deposits: which can be handed out again, which are over, and what Stripe says of those paid."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from coinslot.intents.charge import INTENT
from coinslot.methods.stripe.api import StripeApi
from coinslot.methods.stripe.deposit import Deposit, Policy, State
from coinslot.methods.stripe.failures import Refused
from coinslot.methods.stripe.metadata import payment_metadata
from coinslot.methods.stripe.shelves import Item, Shelf

logger = logging.getLogger("coinslot.stripe")

_AT_ONCE: Final = 10  # deposits of each state that Stripe is asked about in one round
_SOON: Final = 30.0  # seconds after which what Stripe has not seen yet is asked for again
_LATER: Final = 600.0
_DAILY: Final = 24 * 3600.0

_IS_OPEN: Final = frozenset(("requires_action", "requires_payment_method", "requires_confirmation"))


class Review:
    """Moves deposits on. One worker at a time does."""

    def __init__(
        self, api: StripeApi, deposits: Shelf[Deposit], *, policy: Policy, metadata: Mapping[str, str]
    ) -> None:
        self._api = api
        self._deposits = deposits
        self._policy = policy
        self._metadata = metadata

    async def waits(self, now: float) -> bool:
        """Whether a reservation is over, so that the chain has to be looked at."""
        return bool(await self._deposits.select(State.RESERVED, until=now, limit=1))

    async def sort(self, prices: frozenset[int], now: float) -> None:
        """Mark what nobody should be sent to any more. Asks nobody."""
        kept = Counter(item.value.amount for item in await self._deposits.select(State.RESERVED))
        # The oldest is first: it is the youngest that are kept.
        for item in reversed(await self._deposits.select(State.FREE)):
            amount = item.value.amount
            kept[amount] += 1
            is_surplus = amount not in prices or kept[amount] > self._policy.pool
            if item.due <= now or is_surplus:
                await self._deposits.change(item, state=State.CLOSING, due=now)
        for item in await self._deposits.select(State.CLOSED, until=now, limit=_AT_ONCE):
            await self._deposits.remove(item)

    async def ask(self, prices: frozenset[int], *, chain_time: int, now: float) -> None:
        """Ask Stripe about what is due, and cancel what nobody should pay.

        `chain_time` is the timestamp of the block up to which the chain was looked at. Raises a
        `StripeFailure` other than `Refused`: then Stripe should not be asked for a while.
        """
        for item in await self._deposits.select(State.TOUCHED, until=now, limit=_AT_ONCE):
            await self._follow(item, now)
        for item in await self._deposits.select(State.RESERVED, until=now, limit=_AT_ONCE):
            if chain_time > item.due:
                await self._recycle(item, prices, now)
        for item in await self._deposits.select(State.CLOSING, until=now, limit=_AT_ONCE):
            await self._cancel(item, now)

    async def _recycle(self, item: Item[Deposit], prices: frozenset[int], now: float) -> None:
        """A reservation that is over, and no money came: free again, if Stripe still waits."""
        status = await self._status(item)
        end = item.value.created + self._policy.lifetime
        if status != "requires_action":
            await self._deposits.change(item, state=State.TOUCHED, due=now)
        elif item.value.amount in prices and end > now:
            await self._deposits.change(item, state=State.FREE, due=end)
        else:
            await self._deposits.change(item, state=State.CLOSING, due=now)

    async def _follow(self, item: Item[Deposit], now: float) -> None:
        """What Stripe made of the money that came; the PaymentIntent is told what it was for."""
        taken = await self._deposits.change(item, due=now + _SOON)
        if taken is None:
            return
        deposit = taken.value
        status = await self._status(taken)
        if deposit.paid_by is not None and not deposit.is_labelled and status is not None:
            await self._label(taken)
            return
        may_be_shown = deposit.paid_by is None and now < deposit.touched + self._policy.settles_after
        if status == "succeeded" and not may_be_shown:
            await self._close(taken, now)
        elif status in _IS_OPEN or status in ("processing", "succeeded"):
            await self._wait(taken, status, now)
        else:
            if deposit.paid_by is not None:
                logger.error(
                    "%s is %s, and the chain has a payment to its address: ask Stripe for it",
                    deposit.intent,
                    status or "gone",
                )
            await self._close(taken, now)

    async def _wait(self, item: Item[Deposit], status: str | None, now: float) -> None:
        """Stripe has not seen the money, or cannot match it with the PaymentIntent."""
        deposit = item.value
        if now < deposit.touched + self._policy.settles_after:
            due = now + (_SOON if now < deposit.touched + _LATER else _LATER)
            await self._deposits.change(item, due=due)
        elif deposit.paid_by is None and status in _IS_OPEN:
            await self._deposits.change(item, state=State.CLOSING, due=now)
        else:
            logger.error(
                "%s is still %s, and the chain has a payment to its address: ask Stripe for it",
                deposit.intent,
                status,
            )
            await self._deposits.change(item, due=now + _DAILY)

    async def _label(self, item: Item[Deposit]) -> None:
        deposit = item.value
        assert deposit.paid_by is not None
        try:
            metadata = payment_metadata(self._metadata, challenge_id=deposit.paid_by, intent=INTENT)
            await self._api.label_intent(deposit.intent, metadata)
        except Refused as refusal:
            logger.warning("%s could not be told what it was for: %s", deposit.intent, refusal)
        await self._deposits.change(item, value=replace(deposit, is_labelled=True), due=0.0)

    async def _cancel(self, item: Item[Deposit], now: float) -> None:
        """Have nobody's money matched any more; unless some was, meanwhile."""
        taken = await self._deposits.change(item, due=now + _LATER)
        if taken is None:
            return
        try:
            status: str | None = (await self._api.cancel_intent(taken.value.intent, account=None)).status
        except Refused:
            status = await self._status(taken)
        if status in ("succeeded", "processing"):
            await self._deposits.change(taken, state=State.TOUCHED, due=now)
        elif status in _IS_OPEN:
            logger.warning("%s could not be cancelled: it is %s", taken.value.intent, status)
        elif taken.value.lapses > 0:
            await self._close(taken, now)
        else:  # nobody was ever sent to its address
            await self._deposits.remove(taken)

    async def _close(self, item: Item[Deposit], now: float) -> None:
        await self._deposits.change(item, state=State.CLOSED, due=now + self._policy.watch)

    async def _status(self, item: Item[Deposit]) -> str | None:
        """The PaymentIntent's status; None if this account has no such PaymentIntent."""
        try:
            return (await self._api.retrieve_intent(item.value.intent, account=None)).status
        except Refused as refusal:
            logger.warning("%s is not to be had: %s", item.value.intent, refusal)
            return None
