"""Stripe's own client for Python, unchanged: synchronous, asynchronous, by module, and raw."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from stripe_api import PREVIEW, SUCCESS, Corner, StripeApi, until

CARD: Any = {
    "amount": 500,
    "currency": "usd",
    "confirm": True,
    "payment_method": "pm_card_visa",
    "payment_method_types": ["card"],
    "metadata": {"order": "7"},
}
DECLINED: Any = {**CARD, "payment_method": "pm_card_chargeDeclined"}
DEARER: Any = {**CARD, "amount": 600}
DEPOSIT: Any = {
    "amount": 101,
    "currency": "usd",
    "confirm": True,
    "payment_method_types": ["crypto"],
    "payment_method_data": {"type": "crypto"},
    "payment_method_options": {"crypto": {"mode": "deposit", "deposit_options": {"networks": ["tempo"]}}},
}


@pytest.fixture
def client(sandbox: Corner) -> stripe.StripeClient:
    """The seller's client."""
    return stripe.StripeClient(
        sandbox.account().secret_key, base_addresses={"api": sandbox.url}, stripe_version=PREVIEW
    )


@pytest.fixture
def module(sandbox: Corner) -> Iterator[Any]:
    """The module itself, with its settings put back afterwards."""
    before = stripe.api_key, stripe.api_base
    stripe.api_key, stripe.api_base = sandbox.account().secret_key, sandbox.url
    yield stripe
    stripe.api_key, stripe.api_base = before


def test_synchronously(client: stripe.StripeClient) -> None:
    """Paid, found, refunded and listed, as typed objects."""
    intent = client.v1.payment_intents.create(CARD, {"idempotency_key": "k"})
    again = client.v1.payment_intents.create(CARD, {"idempotency_key": "k"})
    assert (intent.status, again.id) == ("succeeded", intent.id)
    assert again.last_response is not None
    assert again.last_response.headers["idempotent-replayed"] == "true"
    found = client.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge"]})
    assert isinstance(found.latest_charge, stripe.Charge)
    assert client.v1.refunds.create({"payment_intent": intent.id}).status == "succeeded"
    assert [each.id for each in client.v1.payment_intents.list({"limit": 1}).auto_paging_iter()] == [
        intent.id
    ]
    query = "metadata['order']:'7'"
    assert [each.id for each in client.v1.payment_intents.search({"query": query}).data] == [intent.id]
    assert client.v1.balance.retrieve().pending[0].amount == -45


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # how the SDK uses httpx
async def test_asynchronously(sandbox: Corner) -> None:
    """The same through the asynchronous methods."""
    http = stripe.HTTPXClient()
    client = stripe.StripeClient(
        sandbox.account().secret_key, base_addresses={"api": sandbox.url}, http_client=http
    )
    intent = await client.v1.payment_intents.create_async(CARD)
    assert intent.status == "succeeded"
    listed = await client.v1.payment_intents.list_async()
    assert [each.id async for each in listed.auto_paging_iter()] == [intent.id]
    with pytest.raises(stripe.CardError):
        await client.v1.payment_intents.create_async(DECLINED)
    await http.close_async()  # type: ignore[no-untyped-call]  # the SDK leaves it untyped


def test_by_module(module: Any) -> None:
    """Module-level settings, as older code has them."""
    assert module.PaymentIntent.create(**CARD).status == "succeeded"
    assert module.Account.retrieve().country == "US"


def test_raw(client: stripe.StripeClient, seller: StripeApi) -> None:
    """What this version has no types for: deposits, simulation, addresses, profiles."""
    intent = client.v1.payment_intents.create(DEPOSIT)
    assert intent.next_action is not None
    assert intent.next_action["crypto_display_details"]["deposit_addresses"]["tempo"]["address"]
    path = f"/v1/test_helpers/payment_intents/{intent.id}/simulate_crypto_deposit"
    deposit = {"transaction_hash": SUCCESS, "network": "tempo", "token_currency": "usdc"}
    client.raw_request("post", path, **deposit, buyer_wallet="0x" + "11" * 20)
    until(lambda: client.v1.payment_intents.retrieve(intent.id).status == "succeeded")
    client.raw_request("post", "/v1/crypto/deposit_addresses", network="tempo")
    answer = client.raw_request("get", "/v1/crypto/deposit_addresses", network="tempo", limit=1)
    listed = client.deserialize(answer, api_mode="V1")
    assert listed["data"][0]["network"] == "tempo"
    profile = client.raw_request("get", "/v2/network/business_profiles/me")
    assert client.deserialize(profile, api_mode="V2")["id"].startswith("profile_test_")


@pytest.mark.parametrize(
    ("change", "error", "code"),
    [
        ({"payment_method": "pm_card_chargeDeclined"}, stripe.CardError, "card_declined"),
        ({"amount": "much"}, stripe.InvalidRequestError, "parameter_invalid_integer"),
        ({"nonsense": 1}, stripe.InvalidRequestError, "parameter_unknown"),
        ({"customer": "cus_x"}, stripe.InvalidRequestError, "resource_missing"),
    ],
)
def test_errors_are_typed(
    client: stripe.StripeClient, change: dict[str, Any], error: type[stripe.StripeError], code: str
) -> None:
    """Each refusal is the exception that Stripe's client has for it."""
    changed: Any = {**CARD, **change}
    with pytest.raises(error) as raised:
        client.v1.payment_intents.create(changed)
    assert raised.value.code == code
    assert raised.value.request_id is not None


def test_other_errors_are_typed(sandbox: Corner, client: stripe.StripeClient, seller: StripeApi) -> None:
    """Authentication, permission, rate limits, idempotency, and Stripe's own failures."""
    addresses: Any = {"api": sandbox.url}
    with pytest.raises(stripe.AuthenticationError):
        stripe.StripeClient("sk_test_x", base_addresses=addresses).v1.accounts.retrieve_current()
    publishable = sandbox.account().publishable_key
    with pytest.raises(stripe.PermissionError):
        stripe.StripeClient(publishable, base_addresses=addresses).v1.accounts.retrieve_current()
    client.v1.payment_intents.create(CARD, {"idempotency_key": "k"})
    with pytest.raises(stripe.IdempotencyError):
        client.v1.payment_intents.create(DEARER, {"idempotency_key": "k"})
    seller.control("faults", {"kind": "rate_limit"})
    with pytest.raises(stripe.RateLimitError):
        client.v1.accounts.retrieve_current()
    seller.control("faults", {"kind": "error"})
    with pytest.raises(stripe.APIError):
        client.v1.payment_intents.create(CARD)
    seller.control("faults", {"kind": "drop"})
    with pytest.raises(stripe.APIConnectionError):
        client.v1.payment_intents.create(CARD)
