"""Every status of a PaymentIntent, and every state of a token, is one outcome."""

from __future__ import annotations

import pytest

from coinslot.methods.stripe import outcomes
from coinslot.methods.stripe.objects import (
    Captured,
    GrantedToken,
    Intent,
    PaymentFault,
    UsageDetails,
    UsageLimits,
)
from coinslot.payments.method import Failed, Proof, Settled, Settlement, Unknown

PROOF = Proof(key="stripe:f", reference="mpp_c_f", amount=150, currency="usd")
DECLINED = PaymentFault(code="card_declined", decline_code="insufficient_funds")


def intent(status: str, *, amount: int = 150, fault: PaymentFault | None = None) -> Intent:
    """A PaymentIntent in that status."""
    return Intent(id="pi_1", status=status, amount=amount, currency="usd", last_payment_error=fault)


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (intent("succeeded"), Settled),
        (intent("succeeded", amount=149), Unknown),
        (intent("requires_payment_method", fault=DECLINED), Failed),
        (intent("canceled"), Failed),
        (intent("processing"), Unknown),
        (intent("requires_capture"), Unknown),
        (intent("requires_payment_method"), Unknown),
        (intent("requires_action"), Unknown),
        (intent("requires_confirmation"), Unknown),
        (intent("a_new_one"), Unknown),
    ],
)
def test_a_status_is_an_outcome(found: Intent, kind: type[Settlement]) -> None:
    """Final only where no money can move any more; a status that nobody knows is unknown."""
    assert isinstance(outcomes.judge(found, PROOF), kind)


@pytest.mark.parametrize(
    ("status", "is_open"),
    [
        ("requires_action", True),
        ("requires_confirmation", True),
        ("requires_payment_method", True),
        ("processing", False),
        ("succeeded", False),
        ("canceled", False),
    ],
)
def test_what_waits_for_somebody_is_open(status: str, is_open: bool) -> None:
    """It has to be cancelled before it can be called failed; after an attempt that failed, it has failed."""
    assert intent(status).is_open is is_open
    assert not intent("requires_payment_method", fault=DECLINED).is_open


@pytest.mark.parametrize("code", ["authentication_required", "payment_intent_authentication_failure"])
def test_authentication_is_an_action_of_the_payer(code: str) -> None:
    """Whether Stripe says it as a code or as the bank's."""
    for outcome in (outcomes.declined(code, None), outcomes.declined("card_declined", code)):
        assert outcome.slug == "payment-action-required"


def token(
    *, reason: str | None = None, currency: str = "usd", limit: int = 150, used: int = 0, expires: int = 100
) -> GrantedToken:
    """A token in that state."""
    return GrantedToken(
        usage_limits=UsageLimits(currency=currency, max_amount=limit, expires_at=expires),
        usage_details=UsageDetails(Captured(used)),
        deactivated_reason=reason,
    )


@pytest.mark.parametrize(
    ("given", "slug", "said"),
    [
        (token(reason="consumed"), "verification-failed", "used already"),
        (token(reason="revoked"), "verification-failed", "revoked"),
        (token(reason="expired"), "payment-expired", "expired"),
        (token(reason="resolved"), "verification-failed", "cannot be used"),
        (token(reason="a_new_one"), "verification-failed", "cannot be used"),
        (token(expires=99), "payment-expired", "expired"),
        (token(currency="eur"), "verification-failed", "EUR"),
        (token(limit=149), "payment-insufficient", "1.49 USD"),
        (token(limit=200, used=100), "payment-insufficient", "1.00 USD"),
        (token(limit=100, used=200), "payment-insufficient", "0.00 USD"),
    ],
)
def test_what_is_wrong_with_a_token(given: GrantedToken, slug: str, said: str) -> None:
    """Each of its limits is a reason of its own."""
    outcome = outcomes.judge_token(given, PROOF, now=99)
    assert outcome is not None
    assert outcome.slug == slug
    assert said in outcome.reason


def test_nothing_is_wrong_with_a_good_token() -> None:
    """Then it was not the token."""
    assert outcomes.judge_token(token(), PROOF, now=99) is None
