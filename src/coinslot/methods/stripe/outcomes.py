"""What a PaymentIntent's status, a refusal or a token's state means for the payment. Pure.

    succeeded                                  the money is here
    requires_payment_method, after an attempt  it never will be: only the seller could try again
    canceled                                   the same
    open: requires_action, or not attempted    it may still come, unless the PaymentIntent is cancelled
    processing, requires_capture               nobody knows yet

A `Failed` is final: the payer is told to pay anew. So there is one only where no money can move any more.
"""

from __future__ import annotations

from typing import Final

from coinslot.methods.stripe.currencies import find_currency
from coinslot.methods.stripe.failures import Refused
from coinslot.methods.stripe.objects import GrantedToken, Intent
from coinslot.payments.method import Failed, Proof, Settled, Settlement, Unknown

_AUTHENTICATION: Final = frozenset(
    ("authentication_required", "payment_intent_authentication_failure", "authentication_not_handled")
)

# docs.stripe.com/declines/codes: not for the person at the other end, who may have the card unjustly.
_NOT_TOLD: Final = frozenset(("fraudulent", "lost_card", "merchant_blacklist", "pickup_card", "stolen_card"))

UNKNOWN_TOKEN: Final = Failed(
    reason="Stripe knows no such token: it does not exist, or was not made for this seller."
)
"""There is no such token, for this seller."""

_NEEDS_ACTION: Final = Failed(
    reason="The payer's bank wants them to authenticate. The payment was cancelled and nothing was taken.",
    slug="payment-action-required",
)


def judge(intent: Intent, proof: Proof) -> Settlement:
    """What a PaymentIntent says of the payment."""
    match intent.status:
        case "succeeded" if (intent.amount, intent.currency) == (proof.amount, proof.currency):
            return Settled(reference=intent.id)
        case "succeeded":
            return Unknown(reason=f"{intent.id} succeeded over another amount than was asked for")
        case "requires_payment_method" if (fault := intent.last_payment_error) is not None:
            return declined(fault.code, fault.decline_code)
        case "canceled":
            return Failed(reason="The payment was cancelled, and nothing was taken.")
        case status:
            return Unknown(reason=f"{intent.id} is {status}")


def given_up(intent: Intent, proof: Proof) -> Settlement:
    """What a PaymentIntent says of the payment after it was to be cancelled because somebody had to act."""
    return _NEEDS_ACTION if intent.status == "canceled" else judge(intent, proof)


def declined(code: str | None, decline_code: str | None) -> Failed:
    """The payer's bank said no, in Stripe's words: `decline_code` if it has one, else `code`."""
    if code in _AUTHENTICATION or decline_code in _AUTHENTICATION:
        return Failed(
            reason="The payment was declined: the payer's bank wants them to authenticate.",
            slug="payment-action-required",
        )
    said = decline_code or code or "generic_decline"
    return Failed(reason=f"The payment was declined ({'generic_decline' if said in _NOT_TOLD else said}).")


def refused(refusal: Refused) -> Failed:
    """Stripe refused the payment, and there is no more to be had than its code for why."""
    if refusal.is_decline:
        return declined(refusal.code, refusal.decline_code)
    if refusal.is_unknown_token:
        return UNKNOWN_TOKEN
    return Failed(reason=f"Stripe refused the payment ({refusal.code or 'invalid_request_error'}).")


def judge_token(token: GrantedToken, proof: Proof, now: float) -> Failed | None:
    """Why a token could not be charged, or None if there is nothing wrong with it."""
    match token.deactivated_reason:
        case None:
            pass
        case "expired":
            return _expired()
        case "consumed":
            return Failed(reason="The token has been used already.")
        case "revoked":
            return Failed(reason="The token was revoked.")
        case _:
            return Failed(reason="The token cannot be used any more.")
    limits = token.usage_limits
    if limits.expires_at is not None and limits.expires_at <= now:
        return _expired()
    currency = find_currency(proof.currency)
    if limits.currency.lower() != currency.code:
        return Failed(
            reason=f"The token is for {limits.currency.upper()}, and the price is in {currency.symbol}."
        )
    if token.left < proof.amount:
        return Failed(
            reason=f"The token allows {currency.display(max(token.left, 0))}, "
            f"and the price is {currency.display(proof.amount)}.",
            slug="payment-insufficient",
        )
    return None


def _expired() -> Failed:
    return Failed(reason="The token expired before it was charged.", slug="payment-expired")
