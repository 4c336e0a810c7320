"""The seller's half without Stripe: offers, payloads, and proofs."""

from __future__ import annotations

from typing import Any

import pytest
import stripe as sdk
from hypothesis import given, strategies as st

from coinslot.errors import (
    AmountError,
    ConfigurationError,
    InvalidChallenge,
    InvalidPayload,
    PaymentUnavailable,
)
from coinslot.methods import stripe
from coinslot.payments.method import Closes, Completes, LooksUp, Price, ServerMethod
from coinslot.protocol import Credential
from stripe_payments import issue, verified

KEY = "sk_test_secret"
SELLER = "profile_test_1"


def charge(**settings: Any) -> stripe.StripeCharge:
    """A charge that asks nobody."""
    return stripe.charge(**{"secret_key": KEY, "network_id": SELLER, **settings})


def test_it_is_a_server_method() -> None:
    """With every capability that Stripe allows."""
    for contract in (ServerMethod, LooksUp, Completes, Closes):
        assert isinstance(charge(), contract)


@pytest.mark.parametrize(
    "settings",
    [
        {"secret_key": None},
        {"secret_key": "pk_test_1"},
        {"secret_key": "sk_test_a b"},
        {"client": sdk.StripeClient(KEY)},
        {"client": sdk.StripeClient(KEY), "secret_key": None, "api_base": "https://stripe.example"},
        {"network_id": ""},
        {"payment_method_types": []},
        {"payment_method_types": "card"},
        {"payment_method_types": ["Card"]},
        {"currency": "dollars"},
        {"metadata": {"mpp_intent": "x"}},
        {"customer": ""},
        {"receipt_email": "a\nb"},
        {"api_version": "latest"},
        {"api_base": "http://stripe.example"},
        {"api_base": "https://key@stripe.example"},
        {"api_base": "stripe"},
    ],
)
def test_a_mistake_is_found_at_start_up(settings: dict[str, Any]) -> None:
    """In one sentence, which does not quote the key."""
    with pytest.raises(ConfigurationError) as error:
        charge(**settings)
    assert "test_" not in str(error.value)


def test_an_offer_is_draft_stripe_charges_request() -> None:
    """Amount in minor units, currency, seller and types; nothing of how it is settled."""
    method = charge(
        metadata={"plan": "pro"},
        connect=stripe.Connect(destination="acct_1", application_fee_amount=5),
        customer="cus_1",
        receipt_email="a@example.com",
    )
    offer = method.prepare(Price(amount="1.50", description="Access", external_id="order-7"))
    assert offer is not None
    assert (offer.amount, offer.currency) == (150, "usd")
    assert offer.request == {
        "amount": "150",
        "currency": "usd",
        "description": "Access",
        "externalId": "order-7",
        "methodDetails": {
            "networkId": SELLER,
            "paymentMethodTypes": ["card", "link"],
            "metadata": {"plan": "pro"},
        },
    }


@pytest.mark.parametrize("price", ["0", "0.00", "0.49", "0.0001"])
def test_what_stripe_does_not_charge_is_not_offered(price: str) -> None:
    """Other methods may take it."""
    assert charge().prepare(Price(amount=price)) is None


def test_impossible_prices_are_mistakes() -> None:
    """An amount between two cents, and a fee that is more than the price."""
    with pytest.raises(AmountError):
        charge().prepare(Price(amount="1.005"))
    with pytest.raises(ConfigurationError, match="application_fee_amount"):
        charge(connect=stripe.Connect(application_fee_amount=101)).prepare(Price(amount="1.00"))


def test_a_payload_has_one_form() -> None:
    """The token, and the payer's reference if there is one; what else it has is left out."""
    canonical = charge().canonical
    assert canonical({"spt": "spt_1", "other": 1}) == {"spt": "spt_1"}
    assert canonical({"spt": "spt_1", "externalId": None}) == {"spt": "spt_1"}
    assert canonical({"externalId": "a", "spt": "spt_1"}) == {"spt": "spt_1", "externalId": "a"}


@pytest.mark.parametrize(
    "payload",
    [{}, {"spt": 1}, {"spt": "tok_1"}, {"spt": "spt_" + "a" * 129}, {"spt": "spt_1", "externalId": 1},
     {"spt": "spt_1", "externalId": "a" * 1025}],
)  # fmt: skip
def test_other_payloads_are_refused(payload: Any) -> None:
    """Without quoting what may be a token."""
    with pytest.raises(InvalidPayload) as error:
        charge().canonical(payload)
    assert "aaa" not in str(error.value)


@given(st.dictionaries(st.sampled_from(["spt", "externalId", "type"]), st.none() | st.integers() | st.text()))
def test_any_payload_is_read_or_refused(payload: Any) -> None:
    """Nothing but `InvalidPayload` comes out of it, and a canonical form is its own."""
    try:
        form = charge().canonical(payload)
    except InvalidPayload:
        return
    assert charge().canonical(form) == form


async def test_a_proof_says_what_will_be_asked_for() -> None:
    """One key for a token, whatever it pays; one reference, the idempotency key, for token and challenge."""
    method = charge()
    one, other = issue(method), issue(method)
    first = await verified(method, one, "spt_secret")
    assert (first.amount, first.currency, first.recipient) == (100, "usd", SELLER)
    assert first.reference.startswith(f"mpp_{one.id}_")
    second = await verified(method, other, "spt_secret")
    assert (first.key, first.reference != second.reference) == (second.key, True)
    third = await verified(method, one, "spt_other")
    assert third.key != first.key
    assert third.reference != first.reference


async def test_terms_that_are_not_offered_any_more_are_refused() -> None:
    """A challenge from before the seller or the currency changed."""
    challenge = issue(charge())
    for changed in (charge(network_id="profile_test_2"), charge(currency="eur")):
        with pytest.raises(InvalidChallenge, match="not offered any more"):
            await verified(changed, challenge, "spt_1")


async def test_a_fee_that_became_too_high_is_the_sellers_problem() -> None:
    """A challenge from before the fee was raised: nothing is taken, and the operator is told why."""
    challenge = issue(charge())
    dear = charge(connect=stripe.Connect(application_fee_amount=101))
    with pytest.raises(PaymentUnavailable) as error:
        await verified(dear, challenge, "spt_1")
    assert "application_fee_amount" in str(error.value.log)


async def test_the_token_is_put_back_for_settling() -> None:
    """A proof that was written down becomes one that can be settled, and only its recovery changes."""
    method, token = charge(), "spt_secret"
    challenge = issue(method)
    proof = await verified(method, challenge, token)
    complete = method.complete(proof, Credential(challenge=challenge, payload={"spt": token}))
    assert token.encode() in complete.recovery.data
    assert token.encode() not in proof.recovery.data
    assert (complete.key, complete.reference) == (proof.key, proof.reference)
