"""Expansion: ids become objects, where there are objects to be had."""

from __future__ import annotations

import pytest

from stripe_api import StripeApi


def test_several_levels_are_expanded(seller: StripeApi) -> None:
    """A PaymentIntent with its charge, and that with what it did to the balance."""
    intent = seller.charge(expand=["latest_charge.balance_transaction", "payment_method"])
    assert intent["latest_charge"]["object"] == "charge"
    assert intent["latest_charge"]["balance_transaction"]["type"] == "charge"
    assert intent["payment_method"]["card"]["last4"] == "4242"


def test_what_is_null_stays_null(seller: StripeApi) -> None:
    """A PaymentIntent without a charge has none to expand."""
    intent = seller.post("/v1/payment_intents", amount=500, currency="usd", expand=["latest_charge"])
    assert intent["latest_charge"] is None


def test_a_refund_is_what_a_balance_transaction_came_from(seller: StripeApi) -> None:
    """`source` is whichever kind of object it is."""
    intent = seller.charge()
    refund = seller.post("/v1/refunds", payment_intent=intent["id"])
    found = seller.get(f"/v1/balance_transactions/{refund['balance_transaction']}", expand=["source"])
    assert (found["source"]["object"], found["source"]["id"]) == ("refund", refund["id"])


@pytest.mark.parametrize("path", ["amount", "nonsense", "latest_charge.amount", "metadata.x", "a.b.c.d.e"])
def test_what_cannot_be_expanded_is_refused(seller: StripeApi, path: str) -> None:
    """400, and nothing is made."""
    assert seller.charge(expand=[path]).error["param"] == "expand"
    assert seller.get("/v1/payment_intents")["data"] == []
