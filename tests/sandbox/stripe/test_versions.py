"""API versions: machine payments exist in previews alone."""

from __future__ import annotations

import pytest

from stripe_api import GENERAL, PREVIEW, StripeApi


def test_an_answer_names_its_version(seller: StripeApi) -> None:
    """The one that was asked for; none is the generally available one."""
    assert seller.get("/v1/account").headers["stripe-version"] == PREVIEW
    seller.http.headers.pop("stripe-version", None)
    response = seller.http.get("/v1/account", headers={"authorization": f"Bearer {seller.key}"})
    assert response.headers["stripe-version"] == GENERAL


def test_what_is_no_version_is_refused(seller: StripeApi) -> None:
    """400, as an invalid request."""
    assert "Invalid Stripe API version" in seller.get("/v1/account", version="yesterday").error["message"]


@pytest.mark.parametrize("version", [GENERAL, "2026-01-01.preview"])
@pytest.mark.parametrize(
    "path",
    [
        "/v1/crypto/deposit_addresses",
        "/v1/shared_payment/granted_tokens/spt_x",
        "/v2/network/business_profiles/me",
    ],
)
def test_preview_endpoints_are_hidden(seller: StripeApi, version: str, path: str) -> None:
    """Elsewhere they are unrecognized URLs, as they are at Stripe."""
    reply = seller.get(path, version=version)
    assert (reply.status, "Unrecognized request URL" in reply.error["message"]) == (404, True)


def test_preview_parameters_are_hidden(seller: StripeApi) -> None:
    """Elsewhere they are unknown parameters, wherever they stand."""
    deposit = seller.deposit(version=GENERAL).error
    assert (deposit["code"], deposit["param"]) == (
        "parameter_unknown",
        "payment_method_options[crypto][mode]",
    )
    top = seller.redeem("spt_x", version=GENERAL).error
    assert (top["code"], top["param"]) == ("parameter_unknown", "shared_payment_granted_token")
    nested = seller.charge(
        version=GENERAL, payment_method_data={"shared_payment_granted_token": "spt_x"}
    ).error
    assert nested["param"] == "payment_method_data[shared_payment_granted_token]"


def test_cards_need_no_preview(seller: StripeApi) -> None:
    """What is generally available is there in every version."""
    assert seller.charge(version=GENERAL)["status"] == "succeeded"
