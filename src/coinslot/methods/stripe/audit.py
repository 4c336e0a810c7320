"""What Stripe knows of an account's charges and refunds, for comparison with the ledger."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from typing import Final

from coinslot.methods.stripe.api import StripeApi
from coinslot.methods.stripe.metadata import CHALLENGE_ID
from coinslot.methods.stripe.objects import Charge, Intent, Refund
from coinslot.payments.method import Movement
from coinslot.protocol import JSONObject

_PAGES: Final = 1000
"""Of a hundred each: an audit over more is to be made in parts."""

_NOTHING_MOVES: Final = frozenset(("failed", "canceled"))


async def movements(
    api: StripeApi, *, since: float, until: float, account: str | None
) -> AsyncIterator[Movement]:
    """Charges of challenges that were captured, and refunds of such, created from `since` to `until`.

    What else goes on in the account is left out: other business, and deposits, which the chain tells of.
    Raises a `StripeFailure`, also for more than 100,000 objects.
    """
    created: JSONObject = {"created": {"gte": math.floor(since), "lte": math.ceil(until)}}
    async for charge in api.list_all("/v1/charges", Charge, created, account=account, pages=_PAGES):
        if charge.payment_intent is not None and charge.amount_captured and _is_charge(charge):
            yield Movement(
                reference=charge.payment_intent,
                amount=charge.amount_captured,
                currency=charge.currency,
                at=charge.created,
            )
    # A refund that was made in the Dashboard has no metadata of ours: its PaymentIntent has.
    expanded: JSONObject = {**created, "expand": ["data.payment_intent"]}
    async for refund in api.list_all("/v1/refunds", Refund, expanded, account=account, pages=_PAGES):
        if refund.status not in _NOTHING_MOVES and _is_of_charge(refund):
            yield Movement(
                reference=refund.id,
                amount=refund.amount,
                currency=refund.currency,
                at=refund.created,
                is_refund=True,
            )


def _is_charge(charge: Charge) -> bool:
    details = charge.payment_method_details
    return CHALLENGE_ID in charge.metadata and (details is None or details.type != "crypto")


def _is_of_charge(refund: Refund) -> bool:
    intent = refund.payment_intent
    return (
        isinstance(intent, Intent)
        and CHALLENGE_ID in intent.metadata
        and intent.payment_method_types != ["crypto"]
    )
