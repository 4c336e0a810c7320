"""Test payment methods, and how each behaves when it is charged (docs.stripe.com/testing).

pm_card_visa                        succeeds
pm_card_visa_chargeDeclined…        402 card_error, with the bank's decline code
pm_card_authenticationRequired      requires_action until the payer has authenticated
pm_card_createDispute               succeeds, and is disputed a moment later; …Inquiry: is asked about
pm_card_pendingRefund               succeeds; its refunds are pending for a moment
pm_card_refundFail                  succeeds; its refunds succeed, and fail a moment later
"""

from __future__ import annotations

import hashlib
from typing import Final, Literal

from msgspec import Struct

from coinslot.sandbox.stripe.errors import ApiError, invalid, missing
from coinslot.sandbox.stripe.identifiers import new_id
from coinslot.sandbox.stripe.shapes import PaymentMethod
from coinslot.sandbox.stripe.shapes.payment_method import BillingDetails, Card, Networks
from coinslot.sandbox.stripe.shapes.private import Behaviour
from coinslot.sandbox.stripe.state import State

_EXPIRES: Final = (12, 2034)


class Outcome(Struct, frozen=True, kw_only=True):
    """What a charge comes to: `code` and `decline_code` are the refusal's, None for success.

    `later` is what happens after a success.
    """

    result: Literal["succeeds", "declined", "authentication"] = "succeeds"
    code: str | None = None
    decline_code: str | None = None
    message: str = ""
    advice: str | None = None
    later: Literal["dispute", "inquiry", "refunds_wait", "refunds_fail"] | None = None


def _declined(decline_code: str, advice: str, message: str = "Your card was declined.") -> Outcome:
    return Outcome(
        result="declined", code="card_declined", decline_code=decline_code, message=message, advice=advice
    )


OUTCOMES: Final[dict[str, Outcome]] = {
    "succeeds": Outcome(),
    "generic_decline": _declined("generic_decline", "try_again_later"),
    "insufficient_funds": _declined(
        "insufficient_funds", "try_again_later", "Your card has insufficient funds."
    ),
    "lost_card": _declined("lost_card", "do_not_try_again"),
    "stolen_card": _declined("stolen_card", "do_not_try_again"),
    "card_velocity_exceeded": _declined(
        "card_velocity_exceeded",
        "try_again_later",
        "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
    ),
    "fraudulent": _declined("fraudulent", "do_not_try_again"),
    "expired_card": Outcome(
        result="declined", code="expired_card", message="Your card has expired.", advice="do_not_try_again"
    ),
    "incorrect_cvc": Outcome(
        result="declined",
        code="incorrect_cvc",
        message="Your card's security code is incorrect.",
        advice="confirm_card_data",
    ),
    "processing_error": Outcome(
        result="declined",
        code="processing_error",
        message="An error occurred while processing your card. Try again in a little bit.",
        advice="try_again_later",
    ),
    "authentication": Outcome(result="authentication"),
    "dispute": Outcome(later="dispute"),
    "inquiry": Outcome(later="inquiry"),
    "refunds_wait": Outcome(later="refunds_wait"),
    "refunds_fail": Outcome(later="refunds_fail"),
}
"""Every behaviour that a payment method can have."""


class Sample(Struct, frozen=True):
    """A payment method that everybody can use: its number or kind, and how it behaves."""

    brand: str
    last4: str
    outcome: str = "succeeds"


SAMPLES: Final[dict[str, Sample]] = {
    "pm_card_visa": Sample("visa", "4242"),
    "pm_card_visa_debit": Sample("visa", "5556"),
    "pm_card_mastercard": Sample("mastercard", "4444"),
    "pm_card_amex": Sample("amex", "8431"),
    "pm_card_discover": Sample("discover", "9424"),
    "pm_card_chargeDeclined": Sample("visa", "0002", "generic_decline"),
    "pm_card_visa_chargeDeclined": Sample("visa", "0002", "generic_decline"),
    "pm_card_chargeDeclinedInsufficientFunds": Sample("visa", "9995", "insufficient_funds"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": Sample("visa", "9995", "insufficient_funds"),
    "pm_card_chargeDeclinedLostCard": Sample("visa", "9987", "lost_card"),
    "pm_card_visa_chargeDeclinedLostCard": Sample("visa", "9987", "lost_card"),
    "pm_card_chargeDeclinedStolenCard": Sample("visa", "9979", "stolen_card"),
    "pm_card_visa_chargeDeclinedStolenCard": Sample("visa", "9979", "stolen_card"),
    "pm_card_chargeDeclinedVelocityLimitExceeded": Sample("visa", "6975", "card_velocity_exceeded"),
    "pm_card_visa_chargeDeclinedVelocityLimitExceeded": Sample("visa", "6975", "card_velocity_exceeded"),
    "pm_card_chargeDeclinedFraudulent": Sample("visa", "0019", "fraudulent"),
    "pm_card_chargeDeclinedExpiredCard": Sample("visa", "0069", "expired_card"),
    "pm_card_chargeDeclinedIncorrectCvc": Sample("visa", "0127", "incorrect_cvc"),
    "pm_card_chargeDeclinedProcessingError": Sample("visa", "0119", "processing_error"),
    "pm_card_authenticationRequired": Sample("visa", "3184", "authentication"),
    "pm_card_authenticationRequiredOnSetup": Sample("visa", "3155", "authentication"),
    "pm_card_threeDSecure2Required": Sample("visa", "3220", "authentication"),
    "pm_card_threeDSecureRequired": Sample("visa", "3063", "authentication"),
    "pm_card_createDispute": Sample("visa", "0259", "dispute"),
    "pm_card_createDisputeInquiry": Sample("visa", "1976", "inquiry"),
    "pm_card_pendingRefund": Sample("visa", "7726", "refunds_wait"),
    "pm_card_refundFail": Sample("visa", "5126", "refunds_fail"),
}
"""By the id that stands for each."""

_NUMBERS: Final = {
    "4242424242424242": "pm_card_visa",
    "4000056655665556": "pm_card_visa_debit",
    "5555555555554444": "pm_card_mastercard",
    "378282246310005": "pm_card_amex",
    "4000009990001984": "pm_card_visa",
    "4000000000000002": "pm_card_chargeDeclined",
    "4000000000009995": "pm_card_chargeDeclinedInsufficientFunds",
    "4000000000009987": "pm_card_chargeDeclinedLostCard",
    "4000000000009979": "pm_card_chargeDeclinedStolenCard",
    "4000000000006975": "pm_card_chargeDeclinedVelocityLimitExceeded",
    "4000000000000069": "pm_card_chargeDeclinedExpiredCard",
    "4000000000000127": "pm_card_chargeDeclinedIncorrectCvc",
    "4000000000000119": "pm_card_chargeDeclinedProcessingError",
    "4000002500003155": "pm_card_authenticationRequiredOnSetup",
    "4000002760003184": "pm_card_authenticationRequired",
    "4000000000003220": "pm_card_threeDSecure2Required",
    "4000000000000259": "pm_card_createDispute",
    "4000000000001976": "pm_card_createDisputeInquiry",
    "4000000000007726": "pm_card_pendingRefund",
    "4000000000005126": "pm_card_refundFail",
}


def take(state: State, account: str, id_: str, *, param: str) -> PaymentMethod:
    """The account's payment method, or a new one if `id_` stands for a test card.

    Raises `ApiError`, naming `param`, if it is neither.
    """
    sample = SAMPLES.get(id_)
    if sample is not None:
        return _add_card(state, account, sample)
    if id_ == "pm_link":
        return add_method(state, account, "link")
    return state.get(PaymentMethod, id_, account, param=param)


def from_number(state: State, account: str, number: str) -> PaymentMethod:
    """A new card with a test number. Raises `ApiError` for any other: real cards have no business here."""
    name = _NUMBERS.get(number.replace(" ", "").replace("-", ""))
    if name is None:
        raise ApiError(
            402,
            "Your card was declined. Your request was in test mode, but used a non test card. For a list of "
            "valid test cards, visit: https://docs.stripe.com/testing.",
            kind="card_error",
            code="card_declined",
            decline_code="test_mode_live_card",
            executed=True,
        )
    card = _add_card(state, account, SAMPLES[name])
    assert isinstance(card.card, Card)
    card.card.last4 = number[-4:]
    return state.save(card)


def from_token(state: State, account: str, token: str, *, param: str) -> PaymentMethod:
    """A new card from a test token, `tok_visa` and so on. Raises `ApiError` for any other."""
    sample = SAMPLES.get(token.replace("tok_", "pm_card_", 1)) if token.startswith("tok_") else None
    if sample is None:
        raise missing("token", token, param=param)
    return _add_card(state, account, sample)


def add_method(
    state: State, account: str, kind: Literal["crypto", "link"], billing: BillingDetails | None = None
) -> PaymentMethod:
    """A new payment method without a card. It succeeds."""
    method = PaymentMethod(
        id=new_id("pm"), created=state.now, type=kind, billing_details=billing or BillingDetails()
    )
    if kind == "crypto":
        method.crypto = {}
    else:
        method.link = {"email": "payer@example.com"}
    return _add(state, account, method, "succeeds")


def clone(state: State, account: str, original: PaymentMethod) -> PaymentMethod:
    """The same payment method in another account, as a shared payment token hands it over."""
    copy = PaymentMethod(
        id=new_id("pm"),
        created=state.now,
        type=original.type,
        billing_details=original.billing_details,
        card=original.card,
        link=original.link,
    )
    return _add(state, account, copy, state.get(Behaviour, original.id).outcome)


def outcome_of(state: State, method: str) -> Outcome:
    """How a payment method behaves."""
    return OUTCOMES[state.get(Behaviour, method).outcome]


def attach(state: State, method: PaymentMethod, customer: str) -> PaymentMethod:
    """Make the payment method the customer's. Raises `ApiError` if it is somebody else's."""
    if method.customer not in (None, customer):
        raise invalid(
            "The payment method you provided has already been attached to a customer.",
            code="payment_method_unexpected_state",
        )
    method.customer = customer
    return state.save(method)


def _add_card(state: State, account: str, sample: Sample) -> PaymentMethod:
    month, year = _EXPIRES
    card = Card(
        brand=sample.brand,
        display_brand=sample.brand,
        exp_month=month,
        exp_year=year,
        fingerprint=hashlib.sha256(f"{sample.brand}{sample.last4}".encode()).hexdigest()[:16],
        last4=sample.last4,
        networks=Networks(available=[sample.brand]),
    )
    method = PaymentMethod(id=new_id("pm"), created=state.now, type="card", card=card)
    return _add(state, account, method, sample.outcome)


def _add(state: State, account: str, method: PaymentMethod, outcome: str) -> PaymentMethod:
    state.add(Behaviour(id=method.id, created=state.now, outcome=outcome), account)
    return state.add(method, account)
