"""Who asks: keys, connected accounts, profiles."""

from __future__ import annotations

import base64

import httpx2
import pytest

from coinslot.sandbox.stripe import ThreadedStripeSandbox
from stripe_api import PREVIEW, StripeApi


@pytest.fixture
def sandbox(own_sandbox: ThreadedStripeSandbox) -> ThreadedStripeSandbox:
    """The accounts that every sandbox has, and nobody else's."""
    return own_sandbox


def ask(sandbox: ThreadedStripeSandbox, **headers: str) -> httpx2.Response:
    """Whose account it is, with these headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.get(f"{sandbox.url}/v1/account", headers=named, trust_env=False)


@pytest.mark.parametrize("kind", ["secret_key", "restricted_key"])
def test_both_forms_of_authorization_are_read(sandbox: ThreadedStripeSandbox, kind: str) -> None:
    """Basic with the key as user name, as curl sends it, and Bearer, as the SDKs do."""
    key = getattr(sandbox.account(), kind)
    basic = base64.b64encode(f"{key}:".encode()).decode()
    for authorization in (f"Basic {basic}", f"Bearer {key}"):
        assert ask(sandbox, authorization=authorization).json()["id"] == sandbox.account().account


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("", 401),
        ("Bearer sk_test_51Secret", 401),
        ("Bearer sk_live_coinslot_seller", 401),
        ("Bearer sk_test_coinslot_nobody", 401),
        ("Basic %%%", 401),
        ("Digest x", 401),
        ("Bearer pk_test_coinslot_seller", 403),
    ],
)
def test_other_keys_are_refused(sandbox: ThreadedStripeSandbox, authorization: str, status: int) -> None:
    """Unknown keys, live ones, publishable ones; and no answer repeats what was sent."""
    response = ask(sandbox, authorization=authorization)
    assert response.status_code == status
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert "51Secret" not in response.text


def test_a_platform_acts_for_a_connected_account(sandbox: ThreadedStripeSandbox, seller: StripeApi) -> None:
    """`Stripe-Account` names whose objects they are; one that does not exist is 403."""
    key = f"Bearer {sandbox.account().secret_key}"
    connected = sandbox.account("buyer").account
    response = ask(sandbox, authorization=key, stripe_account=connected)
    assert (response.json()["id"], response.headers["stripe-account"]) == (connected, connected)
    assert ask(sandbox, authorization=key, stripe_account="acct_x").status_code == 403


def test_accounts_do_not_see_each_other(seller: StripeApi, buyer: StripeApi) -> None:
    """An object of one account is missing in another, by its id and in lists."""
    intent = seller.charge()["id"]
    assert buyer.get(f"/v1/payment_intents/{intent}").error["code"] == "resource_missing"
    assert buyer.get("/v1/payment_intents")["data"] == []
    assert buyer.get("/v1/events")["data"] == []


def test_an_account_has_a_profile(
    sandbox: ThreadedStripeSandbox, seller: StripeApi, buyer: StripeApi
) -> None:
    """One's own, and any other's by its id. It is what a challenge calls the network id."""
    own = seller.get("/v2/network/business_profiles/me")
    assert (own["id"], own["object"]) == (sandbox.account().profile, "v2.network.business_profile")
    assert buyer.get(f"/v2/network/business_profiles/{own['id']}").body == own.body
    assert seller.get("/v2/network/business_profiles/profile_test_x").status == 404


def test_one_more_account(sandbox: ThreadedStripeSandbox, seller: StripeApi) -> None:
    """An account is made from its name, which all of it follows from."""
    made = seller.control("accounts", {"name": "shop2"})
    assert made["secret_key"] == sandbox.account("shop2").secret_key
    shop = StripeApi(sandbox.url, made["secret_key"], PREVIEW)
    assert shop.get("/v1/account")["id"] == made["account"]
    shop.close()
    assert seller.control("accounts", {"name": "No Name"}).status == 400
