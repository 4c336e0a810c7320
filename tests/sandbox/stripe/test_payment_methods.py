"""Payment methods: cards, Link and crypto, and whose they are."""

from __future__ import annotations

from typing import Any

import pytest

from stripe_api import StripeApi

PATH = "/v1/payment_methods"


def test_each_type_is_made(seller: StripeApi) -> None:
    """A card from its token, Link, crypto: the member of its type describes it."""
    billing = {"name": "Jenny", "address": {"city": "Ulm"}}
    card = seller.post(PATH, type="card", card={"token": "tok_mastercard"}, billing_details=billing)
    assert (card["card"]["brand"], card["billing_details"]["address"]["city"]) == ("mastercard", "Ulm")
    assert "crypto" not in card.body
    assert "email" in seller.post(PATH, type="link", metadata={"a": "1"})["link"]
    assert seller.post(PATH, type="crypto")["crypto"] == {}


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({"type": "cash"}, "type"),
        ({"type": "card"}, "card"),
        ({"type": "card", "card": {"token": "tok_gold"}}, "card[token]"),
    ],
)
def test_what_is_no_payment_method_is_refused(seller: StripeApi, form: dict[str, Any], param: str) -> None:
    """Other types, cards without anything, tokens that nobody has."""
    assert seller.post(PATH, **form).error["param"] == param


def test_link_pays(seller: StripeApi, buyer: StripeApi, profile: str) -> None:
    """As a payment method, as data, and behind a shared payment token."""
    link: dict[str, Any] = {"payment_method_types": ["card", "link"]}
    paid = seller.charge(
        **link, payment_method=seller.post(PATH, type="link")["id"], expand=["latest_charge"]
    )
    assert paid["latest_charge"]["payment_method_details"]["type"] == "link"
    assert seller.charge(**link, payment_method="pm_link")["status"] == "succeeded"
    form: dict[str, Any] = {"amount": 500, "currency": "usd", "confirm": "true", **link}
    data: dict[str, Any] = {"payment_method_data": {"type": "link"}}
    assert seller.post("/v1/payment_intents", **form, **data)["status"] == "succeeded"
    token = buyer.token(profile, payment_method="pm_link")["id"]
    assert seller.redeem(token)["status"] == "succeeded"
    granted = seller.get(f"/v1/shared_payment/granted_tokens/{token}")
    assert granted["payment_method_details"]["type"] == "link"
    assert seller.post("/v1/refunds", payment_intent=paid["id"])["destination_details"]["type"] == "link"


def test_a_payment_method_is_one_customer_s(seller: StripeApi) -> None:
    """Attached to one, it is not attached to another."""
    one, other = (seller.post("/v1/customers")["id"] for _ in range(2))
    method = seller.post(f"{PATH}/pm_card_visa/attach", customer=one)["id"]
    assert seller.post(f"{PATH}/{method}/attach", customer=one)["customer"] == one
    refused = seller.post(f"{PATH}/{method}/attach", customer=other)
    assert refused.error["code"] == "payment_method_unexpected_state"


def test_charges_are_changed_by_their_owner(seller: StripeApi) -> None:
    """Description, e-mail and metadata of a charge; the event says what was before."""
    charge = seller.charge(metadata={"a": "1"})["latest_charge"]
    changed = seller.post(
        f"/v1/charges/{charge}", description="x", receipt_email="a@b.c", metadata={"b": "2"}
    )
    assert (changed["description"], changed["receipt_email"]) == ("x", "a@b.c")
    event = seller.get("/v1/events", type="charge.updated")["data"][0]
    assert event["data"]["previous_attributes"] == {"metadata": {"a": "1"}}
    assert seller.get(f"/v1/charges/{charge}").body == changed.body


def test_what_is_not_paid_yet_is_changed(seller: StripeApi) -> None:
    """Amount, description and customer of a PaymentIntent; an empty text unsets."""
    path = "/v1/payment_intents"
    id_ = seller.post(path, amount=500, currency="usd", description="x")["id"]
    customer = seller.post("/v1/customers")["id"]
    changed = seller.post(f"{path}/{id_}", amount=600, description="", customer=customer)
    assert (changed["amount"], changed["description"], changed["customer"]) == (600, None, customer)
    assert seller.post(f"{path}/{id_}", amount=10).error["code"] == "amount_too_small"
