"""The reusable address: where payments go that have no deposit of their own.

It is this ledger's alone, and not the first that Stripe lists: another shop on the same account has its own
payments, which nobody here could tell from money that was sent by mistake.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from coinslot.methods.stripe.api import StripeApi
from coinslot.methods.stripe.charges import REPEATABLE
from coinslot.methods.stripe.deposit import NETWORK, Site
from coinslot.methods.stripe.failures import Refused, Unanswered
from coinslot.methods.stripe.metadata import deposit_metadata
from coinslot.methods.stripe.shelves import Item, Shelf
from coinslot.protocol import JSONObject

logger = logging.getLogger("coinslot.stripe")

_NAME: Final = "address"
_CREATING: Final = "creating"
_READY: Final = "ready"
_REFUSED: Final = "refused"

_PAUSE: Final = 15.0
_AFTER_A_REFUSAL: Final = 3600.0


class Reusable(Struct, frozen=True, kw_only=True):
    """The address, once Stripe has said it. `idempotency_key` and `parameters` are what it is asked with."""

    idempotency_key: str
    parameters: JSONObject
    begun: float
    address: str | None = None


class ReusableAddress:
    """Has the address in memory, once it is known. One worker at a time asks Stripe for it."""

    def __init__(
        self, api: StripeApi, shelf: Shelf[Reusable], *, site: Site, metadata: Mapping[str, str]
    ) -> None:
        self._api = api
        self._shelf = shelf
        self._site = site
        self._metadata = metadata
        self.address: str | None = None

    async def read(self) -> None:
        """See whether any worker has it by now."""
        if self.address is None and (item := await self._shelf.find(_NAME)) is not None:
            self.address = item.value.address

    async def ask(self, now: float) -> None:
        """Ask Stripe for it, if nobody has. Raises a `StripeFailure` other than `Refused`."""
        if self.address is not None:
            return
        item = await self._shelf.find(_NAME) or await self._begin(now)
        if item is None or item.state == _READY or item.due > now:
            return
        if item.state == _REFUSED or now > item.value.begun + REPEATABLE:
            item = await self._shelf.change(item, value=self._draft(now), state=_CREATING, due=now + _PAUSE)
        else:
            item = await self._shelf.change(item, due=now + _PAUSE)
        if item is not None:
            await self._ask(item, now)

    async def _begin(self, now: float) -> Item[Reusable] | None:
        return await self._shelf.put(_NAME, self._draft(now), state=_CREATING, due=now)

    def _draft(self, now: float) -> Reusable:
        key = f"coinslot_deposit_address_{secrets.token_urlsafe(16)}"
        parameters: JSONObject = {
            "network": NETWORK,
            "metadata": {**deposit_metadata(self._metadata, key=key)},
        }
        return Reusable(idempotency_key=key, parameters=parameters, begun=now)

    async def _ask(self, item: Item[Reusable], now: float) -> None:
        draft = item.value
        try:
            made = await self._api.create_deposit_address(draft.parameters, key=draft.idempotency_key)
        except Refused as refusal:
            await self._give_up(item, f"Stripe refused it: {refusal}", now)
            return
        except Unanswered as failure:
            if failure.replayed:  # Stripe says so for a day; an address that nobody knows costs nothing
                await self._shelf.change(item, state=_REFUSED, due=now + _PAUSE)
            raise
        why_not = made.why_not(self._site.currency, livemode=made.livemode)
        if why_not is not None:
            await self._give_up(item, f"{made.id} {why_not}", now)
            return
        ready = replace(draft, address=made.address)
        if await self._shelf.change(item, value=ready, state=_READY, due=now) is not None:
            self.address = made.address

    async def _give_up(self, item: Item[Reusable], why: str, now: float) -> None:
        logger.error("there is no reusable deposit address: %s", why)
        await self._shelf.change(item, state=_REFUSED, due=now + _AFTER_A_REFUSAL)
