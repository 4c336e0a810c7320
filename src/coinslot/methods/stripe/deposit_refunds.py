"""Refunds of deposits: Stripe sends back what it has, to the wallet that it came from.

It has what its PaymentIntents are paid with: a deposit's own, or the one that records a payment to the
reusable address. What came and was not matched with any (another amount, another token) it does not have to
give. So before anything is asked for it is made sure that the PaymentIntent was paid by this very payment:
an address can be paid twice.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Final

from coinslot.errors import RefundError
from coinslot.methods.stripe.api import StripeApi
from coinslot.methods.stripe.connect import Connect
from coinslot.methods.stripe.deposit import Deposit, Site, key_of
from coinslot.methods.stripe.deposit_outbox import Note
from coinslot.methods.stripe.failures import StripeFailure
from coinslot.methods.stripe.objects import Charge
from coinslot.methods.stripe.repayments import Repayments
from coinslot.methods.stripe.shelves import Item, Shelf
from coinslot.payments.method import Recovery, Repayment, Settlement

_SUCCEEDED: Final = "succeeded"
_HASH: Final = re.compile(r"0x[0-9a-f]{64}")


class DepositRefunds:
    """Sends back what came to deposit addresses. Calls may raise `LedgerError`."""

    def __init__(
        self,
        api: StripeApi,
        deposits: Shelf[Deposit],
        notes: Shelf[Note],
        *,
        site: Site,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._deposits = deposits
        self._notes = notes
        self._site = site
        self._repayments = Repayments(api, connect=Connect(), clock=clock)

    async def has(self, repayment: Repayment) -> bool:
        """Whether Stripe has the money. Raises `RefundError` if that cannot be found out."""
        return await self._find_intent(repayment) is not None

    async def draft_repayment(self, repayment: Repayment) -> Recovery:
        """What Stripe is to be asked for. Raises `RefundError`."""
        if repayment.recovery.data:
            return repayment.recovery
        intent_id = await self._find_intent(repayment)
        if intent_id is None:
            raise RefundError("Stripe has not matched this money with a PaymentIntent, and cannot refund it")
        cents = self._site.cents(repayment.amount)
        if cents is None:
            raise RefundError("Stripe refunds whole cents")
        return await self._repayments.draft(repayment, intent_id=intent_id, amount=cents)

    async def repay(self, repayment: Repayment) -> Settlement:
        """Ask Stripe for it."""
        return await self._repayments.make(repayment)

    async def look_up_repayment(self, repayment: Repayment) -> Settlement:
        """What Stripe made of it."""
        return await self._repayments.find(repayment)

    async def _find_intent(self, repayment: Repayment) -> str | None:
        """The PaymentIntent that was paid by this payment, if there is one."""
        paid = repayment.paid
        if paid.recipient is None or paid.currency.lower() != self._site.currency.lower():
            return None
        deposit = await self._deposits.find(key_of(paid.recipient))
        try:
            intent_id = await self._recorded(repayment) if deposit is None else deposit.value.intent
            if intent_id is None:
                return None
            intent = await self._api.retrieve_charged(intent_id)
        except StripeFailure as failure:
            raise RefundError(f"Stripe cannot be asked about the payment: {failure}") from failure
        if intent.status != _SUCCEEDED:
            return None
        return intent_id if _is_paid_by(repayment, intent.latest_charge, deposit) else None

    async def _recorded(self, repayment: Repayment) -> str | None:
        """The PaymentIntent that records a payment to the reusable address."""
        note = await self._notes.find(repayment.paid.key)
        if note is not None:
            return note.value.intent
        return await self._api.search_intent(repayment.challenge_id)


def _is_paid_by(repayment: Repayment, charge: Charge | None, deposit: Item[Deposit] | None) -> bool:
    """Whether it was this transaction. A deposit that was simulated names none that is on a chain."""
    paid_with = charge.transaction if charge is not None else None
    if paid_with is not None and _HASH.fullmatch(paid_with):
        return paid_with == repayment.paid.reference.lower()
    return deposit is not None and deposit.value.paid_by == repayment.challenge_id
