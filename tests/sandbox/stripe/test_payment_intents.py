"""PaymentIntents with cards: created, confirmed, declined, authenticated, captured, canceled."""

from __future__ import annotations

from typing import Any

import pytest

from stripe_api import StripeApi

PATH = "/v1/payment_intents"


def test_creating_and_confirming_are_two_steps_or_one(seller: StripeApi) -> None:
    """The status says what is missing; a confirmed payment has a charge, and money on the balance."""
    bare = seller.post(PATH, amount=500, currency="usd")
    assert bare["status"] == "requires_payment_method"
    ready = seller.post(PATH, amount=500, currency="usd", payment_method="pm_card_visa")
    assert ready["status"] == "requires_confirmation"
    paid = seller.post(f"{PATH}/{ready['id']}/confirm", return_url="https://shop.example")
    assert (paid["status"], paid["amount_received"]) == ("succeeded", 500)
    charge = seller.get(f"/v1/charges/{paid['latest_charge']}")
    assert (charge["paid"], charge["captured"], charge["payment_intent"]) == (True, True, paid["id"])
    assert charge["payment_method_details"]["card"]["last4"] == "4242"
    assert seller.get("/v1/balance")["pending"][0]["amount"] == 500 - 45
    assert seller.charge()["status"] == "succeeded"


def test_events_tell_the_story(seller: StripeApi) -> None:
    """Each change has its event, with the request that made it and the object as it was then."""
    reply = seller.charge(key="k")
    assert seller.events() == ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]
    events = seller.get("/v1/events")["data"]
    assert {each["request"]["idempotency_key"] for each in events} == {"k"}
    assert {each["request"]["id"] for each in events} == {reply.headers["request-id"]}
    assert events[-1]["data"]["object"]["status"] == "requires_payment_method"
    assert seller.get(f"/v1/events/{events[0]['id']}").body == events[0]


@pytest.mark.parametrize(
    ("method", "code", "decline_code"),
    [
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
        ("pm_card_visa_chargeDeclinedStolenCard", "card_declined", "stolen_card"),
        ("pm_card_visa_chargeDeclinedVelocityLimitExceeded", "card_declined", "card_velocity_exceeded"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", None),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", None),
    ],
)
def test_test_cards_are_declined(seller: StripeApi, method: str, code: str, decline_code: str | None) -> None:
    """402 card_error, with the PaymentIntent and its failed charge; another card pays it."""
    declined = seller.charge(payment_method=method)
    error = declined.error
    assert (declined.status, error["type"], error["code"]) == (402, "card_error", code)
    assert error.get("decline_code") == decline_code
    intent = seller.get(f"{PATH}/{error['payment_intent']['id']}")
    assert (intent["status"], intent["last_payment_error"]["code"]) == ("requires_payment_method", code)
    charge = seller.get(f"/v1/charges/{error['charge']}")
    assert (charge["status"], charge["paid"], charge["failure_code"]) == ("failed", False, code)
    paid = seller.post(f"{PATH}/{intent['id']}/confirm", payment_method="pm_card_visa")
    assert (paid["status"], paid["last_payment_error"]) == ("succeeded", None)
    assert seller.events()[1:3] == ["charge.failed", "payment_intent.payment_failed"]


def test_a_card_number_is_a_test_card(seller: StripeApi) -> None:
    """Test numbers and tokens behave as their cards do, and any other number is declined unseen."""
    card = {"exp_month": 12, "exp_year": 2034, "cvc": "123"}
    method = seller.post("/v1/payment_methods", type="card", card={"number": "4000000000009995", **card})
    assert seller.charge(payment_method=method["id"]).error["decline_code"] == "insufficient_funds"
    token = {"type": "card", "card": {"token": "tok_visa"}}
    assert seller.charge(payment_method="", payment_method_data=token).status == 400
    form: dict[str, Any] = {
        "amount": 500,
        "currency": "usd",
        "confirm": "true",
        "payment_method_types": ["card"],
    }
    assert seller.post(PATH, **form, payment_method_data=token)["status"] == "succeeded"
    real = seller.post("/v1/payment_methods", type="card", card={"number": "4111111111111111", **card})
    assert (real.status, real.error["decline_code"]) == (402, "test_mode_live_card")


@pytest.mark.parametrize("succeeded", [True, False])
def test_some_cards_want_the_payer(seller: StripeApi, succeeded: bool) -> None:
    """3D Secure: requires_action with a page to go to; what the payer does there decides."""
    intent = seller.charge(
        payment_method="pm_card_threeDSecure2Required", return_url="https://shop.example/done"
    )
    assert (intent["status"], intent["latest_charge"]) == ("requires_action", None)
    redirect = intent["next_action"]["redirect_to_url"]
    assert redirect["return_url"] == "https://shop.example/done"
    assert redirect["url"] == f"{seller.url}/authenticate/{intent['id']}"
    assert seller.control(f"authentications/{intent['id']}", {"succeeded": succeeded}).status == 200
    after = seller.get(f"{PATH}/{intent['id']}")
    if succeeded:
        assert after["status"] == "succeeded"
    else:
        assert after["status"] == "requires_payment_method"
        assert after["last_payment_error"]["code"] == "payment_intent_authentication_failure"
    assert seller.control(f"authentications/{intent['id']}", {"succeeded": True}).status == 400


def test_a_server_may_refuse_to_wait_for_the_payer(seller: StripeApi) -> None:
    """`error_on_requires_action` makes it a decline."""
    refused = seller.charge(payment_method="pm_card_authenticationRequired", error_on_requires_action="true")
    assert (refused.status, refused.error["code"]) == (402, "authentication_required")


def test_money_is_reserved_and_captured(seller: StripeApi) -> None:
    """`capture_method=manual` reserves; capturing takes all of it or less, once."""
    intent = seller.charge(capture_method="manual")
    assert (intent["status"], intent["amount_capturable"]) == ("requires_capture", 500)
    path = f"{PATH}/{intent['id']}/capture"
    assert seller.post(path, amount_to_capture=501).error["code"] == "amount_too_large"
    taken = seller.post(path, amount_to_capture=300)
    assert (taken["status"], taken["amount_received"]) == ("succeeded", 300)
    charge = seller.get(f"/v1/charges/{taken['latest_charge']}")
    assert (charge["amount_captured"], charge["amount_refunded"]) == (300, 200)
    assert seller.post(path).error["code"] == "payment_intent_unexpected_state"
    assert "charge.captured" in seller.events()


def test_what_is_reserved_is_released(seller: StripeApi) -> None:
    """Canceling gives it back; nothing was ever on the balance."""
    intent = seller.charge(capture_method="manual")
    canceled = seller.post(f"{PATH}/{intent['id']}/cancel", cancellation_reason="abandoned")
    assert (canceled["status"], canceled["cancellation_reason"]) == ("canceled", "abandoned")
    assert seller.get(f"/v1/charges/{intent['latest_charge']}")["refunded"] is True
    assert seller.get("/v1/balance")["pending"][0]["amount"] == 0


def test_what_is_paid_stays_paid(seller: StripeApi) -> None:
    """A succeeded PaymentIntent is not confirmed, canceled or changed again: it comes with the error."""
    intent = seller.charge()
    for step in ("confirm", "cancel", "capture"):
        error = seller.post(f"{PATH}/{intent['id']}/{step}").error
        assert (error["code"], error["payment_intent"]["id"]) == (
            "payment_intent_unexpected_state",
            intent["id"],
        )
    assert seller.post(f"{PATH}/{intent['id']}", amount=600).status == 400
    assert seller.post(f"{PATH}/{intent['id']}", metadata={"a": "1"})["metadata"] == {"a": "1"}


def test_confirming_without_anything_to_pay_with_is_refused(seller: StripeApi) -> None:
    """There has to be a payment method."""
    intent = seller.post(PATH, amount=500, currency="usd", payment_method_types=["card"])
    assert "missing a payment method" in seller.post(f"{PATH}/{intent['id']}/confirm").error["message"]


def test_redirects_have_to_be_ruled_out(seller: StripeApi) -> None:
    """The Dashboard's payment methods may redirect: without a `return_url` they are refused."""
    form: dict[str, Any] = {
        "amount": 500,
        "currency": "usd",
        "confirm": "true",
        "payment_method": "pm_card_visa",
    }
    assert "return_url" in seller.post(PATH, **form).error["message"]
    never = {"enabled": "true", "allow_redirects": "never"}
    assert seller.post(PATH, **form, automatic_payment_methods=never)["status"] == "succeeded"


def test_a_refused_request_leaves_nothing(seller: StripeApi) -> None:
    """No PaymentIntent and no event, whatever stage it was refused at."""
    assert seller.charge(payment_method="pm_nobody").error["param"] == "payment_method"
    assert seller.charge(customer="cus_nobody").error["param"] == "customer"
    assert seller.charge(payment_method_types=["crypto"]).status == 400
    assert seller.charge(metadata={"k": "v" * 501}).status == 400
    assert seller.redeem("spt_nobody").status == 400
    assert seller.events() == []


def test_connect_parameters_are_kept(seller: StripeApi) -> None:
    """What a platform says of shares is in the PaymentIntent and its charge; shares beyond it are refused."""
    shares: dict[str, Any] = {"application_fee_amount": 10, "transfer_group": "g", "on_behalf_of": "acct_x"}
    intent = seller.charge(**shares, transfer_data={"destination": "acct_x", "amount": 100})
    assert {name: intent[name] for name in shares} == shares
    assert intent["transfer_data"] == {"destination": "acct_x", "amount": 100}
    assert seller.get(f"/v1/charges/{intent['latest_charge']}")["transfer_group"] == "g"
    assert seller.charge(application_fee_amount=501).error["param"] == "application_fee_amount"


def test_customers_and_payment_methods(seller: StripeApi) -> None:
    """A customer's card pays for the customer, and a deleted customer is gone."""
    customer = seller.post("/v1/customers", email="a@example.com", address={"city": "Ulm"})
    assert (customer["email"], customer["address"]["city"]) == ("a@example.com", "Ulm")
    method = seller.post("/v1/payment_methods/pm_card_visa/attach", customer=customer["id"])
    listed = seller.get("/v1/payment_methods", customer=customer["id"])["data"]
    assert [each["id"] for each in listed] == [method["id"]]
    paid = seller.charge(customer=customer["id"], payment_method=method["id"])
    assert paid["customer"] == customer["id"]
    assert seller.post(f"/v1/payment_methods/{method['id']}/detach")["customer"] is None
    assert seller.delete(f"/v1/customers/{customer['id']}")["deleted"] is True
    assert seller.get(f"/v1/customers/{customer['id']}").status == 404


def test_unknown_paths_are_unrecognized(seller: StripeApi) -> None:
    """404 with Stripe's words, for any method."""
    for reply in (seller.get("/v1/nothing"), seller.post(f"{PATH}/pi_x/fly"), seller.delete(PATH)):
        assert (reply.status, "Unrecognized request URL" in reply.error["message"]) == (404, True)


def test_every_answer_has_a_request_id(seller: StripeApi) -> None:
    """Successes and errors alike, each its own."""
    ids = {
        seller.get(path).headers["request-id"]
        for path in ("/v1/account", "/v1/account", f"{PATH}/x", "/v1/y")
    }
    assert len(ids) == 4


def test_balances_become_available(seller: StripeApi) -> None:
    """A payment and its refund are entries of the balance, with fees."""
    intent = seller.charge(amount=1000)
    seller.post("/v1/refunds", payment_intent=intent["id"], amount=400)
    refund, payment = seller.get("/v1/balance_transactions")["data"]
    assert (payment["type"], payment["fee"], payment["net"]) == ("charge", 59, 941)
    assert (refund["type"], refund["net"]) == ("refund", -400)
    assert seller.get("/v1/balance")["pending"][0]["amount"] == 541
