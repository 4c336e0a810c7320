"""The outbox: payments to the reusable address that Stripe is to be told of, each by a PaymentIntent.

A note is written before its payment is settled, and sent once the ledger says that it is: so no payment is
forgotten, whenever a worker dies, and none is told of that did not happen. The payer waits for none of it.

Stripe keeps what it said to an idempotency key for a day, also a refusal of a transaction that it did not
know yet. So a refusal is followed by another key: the transaction's hash, then `<hash>:2`, `<hash>:3`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from coinslot.intents.charge import INTENT
from coinslot.methods.stripe.api import StripeApi
from coinslot.methods.stripe.charges import REPEATABLE
from coinslot.methods.stripe.deposit import CURRENCY, NETWORK, Site
from coinslot.methods.stripe.failures import Refused, StripeFailure, Unanswered
from coinslot.methods.stripe.metadata import payment_metadata
from coinslot.methods.stripe.objects import Intent
from coinslot.methods.stripe.shelves import Item, Shelf
from coinslot.payments.desk import Desk
from coinslot.payments.method import Proof
from coinslot.payments.payment import Payment, State
from coinslot.protocol import JSONObject

logger = logging.getLogger("coinslot.stripe")

PENDING: Final = "pending"
STUCK: Final = "stuck"
SENT: Final = "sent"

_AT_ONCE: Final = 10  # notes that are sent in one round
_UNDECIDED: Final = (5.0, 15.0, 60.0, 300.0)  # seconds between looks at a payment that is not settled yet
_PAUSES: Final = (10.0, 60.0, 600.0, 3600.0, 6 * 3600.0)  # seconds after each failure to send
_DAILY: Final = 24 * 3600.0
_KEPT: Final = 7 * _DAILY  # for which one that was sent can still be found here
_SKEW: Final = 900  # seconds by which Stripe's clock may differ

_SETTLED: Final = frozenset((State.SETTLED, State.DELIVERED, State.UNDELIVERED))
_RECORDED: Final = frozenset(("succeeded", "processing"))


class Note(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A payment that Stripe is to be told of, since `begun`, in Unix seconds.

    `looks` were for its settlement, `failures` to send it; `attempt` is that of the idempotency key in use,
    with which `parameters` were sent. `intent` is the PaymentIntent that records it.
    """

    amount: int
    begun: float
    looks: int = 0
    attempt: int = 1
    failures: int = 0
    parameters: JSONObject | None = None
    intent: str | None = None


class Outbox:
    """Tells Stripe. One worker at a time does."""

    def __init__(
        self, api: StripeApi, desk: Desk, shelf: Shelf[Note], *, site: Site, metadata: Mapping[str, str]
    ) -> None:
        self._api = api
        self._desk = desk
        self._shelf = shelf
        self._site = site
        self._metadata = metadata

    async def note(self, proof: Proof, now: float) -> None:
        """A payment to the reusable address is about to be settled."""
        await self._shelf.put(proof.key, Note(amount=proof.amount, begun=now), state=PENDING, due=now)

    async def send(self, now: float) -> None:
        """Send what is due. Raises a `StripeFailure` other than `Refused`."""
        for item in await self._shelf.select(PENDING, STUCK, until=now, limit=_AT_ONCE):
            payment = await self._desk.find(proof_key=item.key)
            if payment is not None and payment.state in _SETTLED:
                await self._send(item, payment, now)
            elif payment is None or payment.state is not State.FAILED:
                await self._look_again(item, now)
            else:
                await self._shelf.remove(item)
        for item in await self._shelf.select(SENT, until=now, limit=_AT_ONCE):
            await self._shelf.remove(item)

    async def _look_again(self, item: Item[Note], now: float) -> None:
        """Its payment is not settled yet. One that was never written down has a day for it."""
        if now > item.value.begun + _DAILY and await self._desk.find(proof_key=item.key) is None:
            await self._shelf.remove(item)
            return
        looks = item.value.looks
        pause = _UNDECIDED[min(looks, len(_UNDECIDED) - 1)]
        await self._shelf.change(item, value=replace(item.value, looks=looks + 1), due=now + pause)

    async def _send(self, item: Item[Note], payment: Payment, now: float) -> None:
        cents = item.value.amount // self._site.units_per_cent
        if cents < 1:
            logger.warning("payment %s is of less than a cent: Stripe is not told of it", payment.reference)
            await self._shelf.remove(item)
            return
        begun = item.value
        tried = replace(
            begun,
            failures=begun.failures + 1,  # until it is known that it was none
            parameters=begun.parameters or self._parameters(cents, payment),
        )
        taken = await self._shelf.change(item, value=tried, due=now + _pause(tried.failures))
        if taken is None:
            return
        try:
            intent = await self._record(taken.value, payment, now)
        except Refused as refusal:
            await self._failed(taken, payment, str(refusal), now, is_final=True)
        except StripeFailure as failure:
            replayed = isinstance(failure, Unanswered) and failure.replayed
            await self._failed(taken, payment, str(failure), now, is_final=replayed)
            raise
        else:
            if intent.status in _RECORDED:
                sent = replace(taken.value, intent=intent.id)
                await self._shelf.change(taken, value=sent, state=SENT, due=now + _KEPT)
            else:
                why = f"{intent.id} is {intent.status}"
                await self._failed(taken, payment, why, now, is_final=True)

    def _parameters(self, cents: int, payment: Payment) -> JSONObject:
        """What Stripe's sample, mppx and pympp record payments with."""
        metadata = payment_metadata(self._metadata, challenge_id=payment.challenge_id, intent=INTENT)
        return {
            "amount": cents,
            "currency": CURRENCY,
            "confirm": True,
            "payment_method_types": ["crypto"],
            "payment_method_data": {"type": "crypto"},
            "payment_method_options": {
                "crypto": {
                    "mode": "transaction_verification",
                    "transaction_verification_options": {
                        "network": NETWORK,
                        "transaction_hash": payment.reference,
                    },
                }
            },
            "metadata": {**metadata},
        }

    async def _record(self, note: Note, payment: Payment, now: float) -> Intent:
        """Have it recorded; where Stripe may do so anew, only if no attempt before was heard after all."""
        assert note.parameters is not None
        if note.attempt > 1 or now > payment.created_at + REPEATABLE:
            known = await self._api.find_intent(
                payment.challenge_id,
                since=int(payment.created_at) - _SKEW,
                until=int(now) + _SKEW,
                account=None,
            )
            if known is not None and known.status in _RECORDED:
                return known
        key = payment.reference if note.attempt == 1 else f"{payment.reference}:{note.attempt}"
        return await self._api.create_intent(note.parameters, key=key, account=None)

    async def _failed(
        self, item: Item[Note], payment: Payment, why: str, now: float, *, is_final: bool
    ) -> None:
        """Try again later: with the same key, unless what was said to it is final."""
        note = item.value
        if is_final:
            note = replace(note, attempt=note.attempt + 1, parameters=None)
        if note.failures <= len(_PAUSES):
            logger.warning("Stripe could not be told of payment %s: %s", payment.reference, why)
            await self._shelf.change(item, value=note)
        else:
            logger.error("Stripe still does not know of payment %s: %s", payment.reference, why)
            await self._shelf.change(item, value=note, state=STUCK, due=now + _DAILY)


def _pause(failures: int) -> float:
    return _PAUSES[min(failures, len(_PAUSES)) - 1]
