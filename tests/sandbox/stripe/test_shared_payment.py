"""Shared payment tokens: granted within limits, used once, and ended for a reason."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from coinslot.sandbox.stripe import StripeSandbox
from stripe_api import StripeApi, until

GRANTED = "/v1/shared_payment/granted_tokens"
ISSUED = "/v1/shared_payment/issued_tokens"
HELPER = "/v1/test_helpers/shared_payment/granted_tokens"


def test_an_agent_issues_and_a_seller_is_granted(seller: StripeApi, buyer: StripeApi, profile: str) -> None:
    """One id, two views: each side sees what is its own, and neither sees the other's."""
    issued = buyer.token(profile, shared_metadata={"order": "7"})
    assert (issued["object"], issued["status"]) == ("shared_payment.issued_token", "active")
    assert issued["seller_details"]["network_business_profile"] == profile
    granted = seller.get(f"{GRANTED}/{issued['id']}")
    assert (granted["object"], granted["shared_metadata"]) == ("shared_payment.granted_token", {"order": "7"})
    assert granted["payment_method_details"]["card"]["last4"] == "4242"
    assert granted["agent_details"]["network_business_profile"] != profile
    assert buyer.get(f"{GRANTED}/{issued['id']}").status == 404
    assert seller.get(f"{ISSUED}/{issued['id']}").status == 404


@pytest.mark.parametrize("place", ["top", "data"])
def test_a_token_pays_once(seller: StripeApi, buyer: StripeApi, profile: str, place: str) -> None:
    """Both places that clients put it in; then it is consumed, and the next use is refused."""
    token = buyer.token(profile)["id"]
    members: dict[str, Any] = {}
    if place == "data":
        members = {"payment_method_data": {"shared_payment_granted_token": token}}
    form: dict[str, Any] = {
        "amount": 500,
        "currency": "usd",
        "confirm": "true",
        "payment_method_types": ["card", "link"],
        "metadata": {"machine_payment": "true"},
        **(members or {"shared_payment_granted_token": token}),
    }
    paid = seller.post("/v1/payment_intents", **form)
    assert paid["status"] == "succeeded"
    method = seller.get(f"/v1/payment_methods/{paid['payment_method']}")
    assert (method["card"]["last4"], method["customer"]) == ("4242", None)
    after = seller.get(f"{GRANTED}/{token}")
    assert (after["deactivated_reason"], after["usage_details"]["amount_captured"]["value"]) == (
        "consumed",
        500,
    )
    refused = seller.post("/v1/payment_intents", **form)
    assert (refused.status, "consumed" in refused.error["message"]) == (400, True)
    assert buyer.events() == ["shared_payment.issued_token.used", "shared_payment.issued_token.deactivated"]
    assert seller.events()[-2:] == [
        "shared_payment.granted_token.used",
        "shared_payment.granted_token.deactivated",
    ]


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"amount": 501}, "charge_exceeds_source_limit"),
        ({"currency": "eur"}, "payment_method_currency_mismatch"),
    ],
)
def test_limits_are_kept(
    seller: StripeApi, buyer: StripeApi, profile: str, members: dict[str, Any], code: str
) -> None:
    """More than the limit, or another currency, is refused, and the token stays good."""
    token = buyer.token(profile)["id"]
    assert seller.redeem(token, **members).error["code"] == code
    assert seller.redeem(token)["status"] == "succeeded"


def test_a_token_is_one_seller_s(seller: StripeApi, buyer: StripeApi, profile: str) -> None:
    """Nobody else can use it, and nobody issues one to themselves."""
    token = buyer.token(profile)["id"]
    error = buyer.redeem(token).error
    assert (error["code"], error["message"]) == (
        "resource_missing",
        f"No such shared_payment_token: '{token}'",
    )
    assert "same as the counterparty" in seller.token(profile).error["message"]
    assert buyer.token("profile_test_nobody").status == 400
    assert buyer.token(profile, seller_details={"network_id": profile})["status"] == "active"


def test_both_sides_revoke(seller: StripeApi, buyer: StripeApi, profile: str) -> None:
    """A revoked token pays nothing, and is not revoked twice."""
    for api, path in ((buyer, ISSUED), (seller, HELPER)):
        token = buyer.token(profile)["id"]
        assert api.post(f"{path}/{token}/revoke")["deactivated_reason"] == "revoked"
        assert "revoked" in seller.redeem(token).error["message"]
        assert api.post(f"{path}/{token}/revoke").status == 400


def test_a_declined_card_leaves_the_token(seller: StripeApi, buyer: StripeApi, profile: str) -> None:
    """402, as with any card; the token was not used."""
    token = buyer.token(profile, payment_method="pm_card_chargeDeclined")["id"]
    assert seller.redeem(token).error["code"] == "card_declined"
    assert seller.get(f"{GRANTED}/{token}")["deactivated_reason"] is None


def test_a_payer_authenticates(seller: StripeApi, buyer: StripeApi, profile: str) -> None:
    """3D Secure with a token: both wait, the agent is told, and after it the payment is made."""
    token = buyer.token(profile, payment_method="pm_card_authenticationRequired")["id"]
    intent = seller.redeem(token)
    assert intent["status"] == "requires_action"
    waiting = buyer.get(f"{ISSUED}/{token}")
    assert (waiting["status"], waiting["next_action"]) == ("requires_action", intent["next_action"])
    seller.control(f"authentications/{intent['id']}", {"succeeded": True})
    assert seller.get(f"/v1/payment_intents/{intent['id']}")["status"] == "succeeded"
    assert buyer.get(f"{ISSUED}/{token}")["status"] == "deactivated"
    assert buyer.events() == [
        f"shared_payment.issued_token.{what}" for what in ("requires_action", "active", "used", "deactivated")
    ]


def test_the_helper_grants_as_an_agent_would(seller: StripeApi, buyer: StripeApi, profile: str) -> None:
    """A seller grants itself tokens to test with; a network id, as mppx sends it, makes them another's."""
    form: dict[str, Any] = {
        "payment_method": "pm_card_visa",
        "usage_limits": {"currency": "usd", "max_amount": 500},
    }
    own = seller.post(HELPER, **form)
    assert (own["object"], own["usage_limits"]["expires_at"]) == ("shared_payment.granted_token", None)
    assert seller.redeem(own["id"])["status"] == "succeeded"
    internal = seller.post(HELPER, **form, seller_details={"network_id": "internal"})
    assert seller.redeem(internal["id"])["status"] == "succeeded"
    others = buyer.post(HELPER, **form, seller_details={"network_id": profile}, metadata={"a": "1"})
    assert others["shared_metadata"] == {"a": "1"}
    assert seller.redeem(others["id"])["status"] == "succeeded"
    assert seller.post(HELPER, **form, nonsense="1").error["code"] == "parameter_unknown"


def test_what_is_no_limit_is_refused(buyer: StripeApi, profile: str) -> None:
    """A time in the past, an amount too small, no seller."""
    past = {"currency": "usd", "max_amount": 500, "expires_at": int(time.time()) - 1}
    assert buyer.token(profile, usage_limits=past).error["param"] == "usage_limits[expires_at]"
    little = {"currency": "usd", "max_amount": 49}
    assert buyer.token(profile, usage_limits=little).error["code"] == "amount_too_small"
    assert buyer.token(profile, seller_details={"external_id": "x"}).error["code"] == "parameter_missing"


async def test_a_token_expires() -> None:
    """At its time it is deactivated by itself, and no later use is taken."""
    now = 1_800_000_000.0
    async with StripeSandbox(clock=lambda: now) as sandbox:
        seller = StripeApi(sandbox.url, sandbox.account().secret_key)
        buyer = StripeApi(sandbox.url, sandbox.account("buyer").secret_key)
        limits = {"currency": "usd", "max_amount": 500, "expires_at": int(now) + 60}
        profile = sandbox.account().profile
        token = (await asyncio.to_thread(buyer.token, profile, usage_limits=limits))["id"]
        now += 60
        refused = await asyncio.to_thread(seller.redeem, token)
        deactivated = "shared_payment.issued_token.deactivated"
        await asyncio.to_thread(until, lambda: deactivated in buyer.events())
        view = await asyncio.to_thread(seller.get, f"{GRANTED}/{token}")
        seller.close()
        buyer.close()
    assert "expired" in refused.error["message"]
    assert view["deactivated_reason"] == "expired"


def test_a_token_waits_for_one_payment(seller: StripeApi, buyer: StripeApi, profile: str) -> None:
    """While one PaymentIntent waits for the payer, no other is paid with its token; canceled, it frees it."""
    token = buyer.token(profile, payment_method="pm_card_authenticationRequired")["id"]
    intent = seller.redeem(token)["id"]
    assert "waiting for the payer" in seller.redeem(token).error["message"]
    seller.post(f"/v1/payment_intents/{intent}/cancel")
    assert buyer.get(f"{ISSUED}/{token}")["status"] == "active"
    assert seller.redeem(token)["status"] == "requires_action"


def test_a_token_that_ended_meanwhile_pays_nothing(seller: StripeApi, buyer: StripeApi, profile: str) -> None:
    """Revoked between giving and confirming, or while the payer was asked."""
    token = buyer.token(profile)["id"]
    intent = seller.redeem(token, confirm="false")["id"]
    waiting = buyer.token(profile, payment_method="pm_card_authenticationRequired")["id"]
    asked = seller.redeem(waiting)["id"]
    for each in (token, waiting):
        buyer.post(f"{ISSUED}/{each}/revoke")
    assert "revoked" in seller.post(f"/v1/payment_intents/{intent}/confirm").error["message"]
    assert seller.control(f"authentications/{asked}", {"succeeded": True}).status == 400
    assert seller.get("/v1/charges")["data"] == []


def test_another_card_leaves_the_token(seller: StripeApi, buyer: StripeApi, profile: str) -> None:
    """A PaymentIntent that was given a token and is paid with a card after all has not used it."""
    token = buyer.token(profile)["id"]
    intent = seller.redeem(token, confirm="false")["id"]
    assert seller.post(f"/v1/payment_intents/{intent}/confirm", payment_method="pm_card_visa").status == 200
    assert buyer.get(f"{ISSUED}/{token}")["status"] == "active"
