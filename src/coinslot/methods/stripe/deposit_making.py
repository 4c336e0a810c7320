"""Making deposits: a PaymentIntent for each, ahead of anybody who would pay it, and never too many.

What is to be asked of Stripe is written down first, with its idempotency key: a draft. Whoever finds it goes
on with it, so that being killed anywhere here costs nothing, and leaves no PaymentIntent that nobody knows.
"""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from coinslot.methods.stripe.api import StripeApi
from coinslot.methods.stripe.charges import REPEATABLE
from coinslot.methods.stripe.deposit import CURRENCY, NETWORK, Deposit, Policy, Site, State
from coinslot.methods.stripe.deposit_objects import DepositIntent
from coinslot.methods.stripe.failures import Refused, Unanswered
from coinslot.methods.stripe.metadata import DEPOSIT_KEY, deposit_metadata
from coinslot.methods.stripe.shelves import Item, Shelf
from coinslot.protocol import JSONObject

logger = logging.getLogger("coinslot.stripe")

CREATING: Final = "creating"
REFUSED: Final = "refused"

_AFTER_A_REFUSAL: Final = 600.0  # seconds for which no deposit of that price is made
_AT_ONCE: Final = 5  # deposits that are made in one round
_PAUSE: Final = 15.0  # seconds before a draft is tried again
_SKEW: Final = 900  # seconds by which Stripe's clock may differ


class Draft(Struct, frozen=True, kw_only=True):
    """A PaymentIntent that is to be created with these parameters, since `begun`, for so many cents."""

    amount: int
    parameters: JSONObject
    begun: float


class Making:
    """Makes deposits. One worker at a time does."""

    def __init__(
        self,
        api: StripeApi,
        deposits: Shelf[Deposit],
        drafts: Shelf[Draft],
        *,
        policy: Policy,
        site: Site,
        metadata: Mapping[str, str],
    ) -> None:
        self._api = api
        self._deposits = deposits
        self._drafts = drafts
        self._policy = policy
        self._site = site
        self._metadata = metadata

    async def make(self, prices: frozenset[int], now: float) -> bool:
        """Go on with drafts, and fill up the pools of these prices. Whether there is more to do at once.

        Raises a `StripeFailure` other than `Refused`: then Stripe should not be asked for a while.
        """
        for draft in await self._drafts.select(CREATING, until=now, limit=_AT_ONCE):
            await self._finish(draft, now)
        made = 0
        there = await self._count()
        for amount in sorted(prices - await self._refused(now)):
            for _ in range(self._policy.pool - there[amount]):
                if made == _AT_ONCE:
                    return True
                begun = await self._begin(amount, now)
                if begun is not None:
                    made += 1
                    await self._finish(begun, now)
        return False

    async def _count(self) -> Counter[int]:
        """Deposits that are there to be paid, by price. What moves meanwhile counts twice, if anything."""
        there = Counter(item.value.amount for item in await self._drafts.select(CREATING))
        there.update(item.value.amount for item in await self._deposits.select(State.FREE, State.RESERVED))
        return there

    async def _begin(self, amount: int, now: float) -> Item[Draft] | None:
        """A new draft; None if there are enough by now: another worker may take its turn for over."""
        key = f"coinslot_deposit_{secrets.token_urlsafe(16)}"
        draft = Draft(amount=amount, parameters=self._parameters(amount, key), begun=now)
        item = await self._drafts.put(key, draft, state=CREATING, due=now + _PAUSE)
        # Counted when it is there: of workers who begin one at the same time, the last sees them all.
        if item is not None and (await self._count())[amount] > self._policy.pool:
            await self._drafts.remove(item)
            return None
        return item

    async def _refused(self, now: float) -> frozenset[int]:
        """The prices of which Stripe would make no deposit just now, or none that can be used."""
        refused = await self._drafts.select(REFUSED)
        for item in refused:
            if item.due <= now:
                await self._drafts.remove(item)
        return frozenset(item.value.amount for item in refused if item.due > now)

    def _parameters(self, amount: int, key: str) -> JSONObject:
        """What Stripe's guide to deposit mode asks with."""
        return {
            "amount": amount,
            "currency": CURRENCY,
            "confirm": True,
            "payment_method_types": ["crypto"],
            "payment_method_data": {"type": "crypto"},
            "payment_method_options": {
                "crypto": {"mode": "deposit", "deposit_options": {"networks": [NETWORK]}}
            },
            "metadata": {**deposit_metadata(self._metadata, key=key)},
        }

    async def _finish(self, item: Item[Draft], now: float) -> None:
        """Have it created, or find that it was."""
        taken = await self._drafts.change(item, due=now + _PAUSE)
        if taken is None:  # another worker is at it
            return
        draft = taken.value
        try:
            if now > draft.begun + REPEATABLE:
                intent = await self._look_for(taken, now)
            else:
                intent = await self._create(taken, now)
        except Refused as refusal:
            logger.error("Stripe refused a deposit of %d cents: %s", draft.amount, refusal)  # noqa: TRY400 - said
            is_usable = False
        else:
            is_usable = intent is None or await self._keep(intent, draft)
        if is_usable:
            await self._drafts.remove(taken)
        else:
            await self._drafts.change(taken, state=REFUSED, due=now + _AFTER_A_REFUSAL)

    async def _create(self, item: Item[Draft], now: float) -> DepositIntent | None:
        try:
            return await self._api.create_deposit(item.value.parameters, key=item.key)
        except Unanswered as failure:
            if not failure.replayed:
                raise
            # Stripe will say the same for a day. What it did then is to be seen from its list.
            return await self._look_for(item, now)

    async def _look_for(self, item: Item[Draft], now: float) -> DepositIntent | None:
        """What became of a draft whose idempotency key is of no more use."""
        found = await self._api.find_intent(
            item.key,
            since=int(item.value.begun) - _SKEW,
            until=int(now) + _SKEW,
            account=None,
            name=DEPOSIT_KEY,
        )
        return None if found is None else await self._api.retrieve_deposit(found.id)

    async def _keep(self, intent: DepositIntent, draft: Draft) -> bool:
        """Write down the deposit: free, or to be closed if nobody can be sent to its address."""
        place = intent.place
        if place is None:
            why_not: str | None = f"is {intent.status}"
        else:
            why_not = place.why_not(self._site.currency, livemode=intent.livemode)
        deposit = Deposit(
            intent=intent.id,
            address=place.address if place is not None else intent.id,
            amount=draft.amount,
            created=draft.begun,
        )
        if why_not is None:
            end = deposit.created + self._policy.lifetime
            await self._deposits.put(deposit.key, deposit, state=State.FREE, due=end)
        else:
            logger.error("the deposit address of %s is not used: it %s", intent.id, why_not)
            await self._deposits.put(deposit.key, deposit, state=State.CLOSING, due=0.0)
        return why_not is None
