"""Deposit mode, with simulated deposits: exactly one of two hashes, and what comes of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from coinslot.sandbox.stripe import StripeSandbox, ThreadedStripeSandbox
from stripe_api import CRYPTO, FAILURE, SUCCESS, StripeApi, until

PATH = "/v1/payment_intents"


def status(api: StripeApi, intent: str) -> str:
    """How far a PaymentIntent has come."""
    found: str = api.get(f"{PATH}/{intent}")["status"]
    return found


def test_a_deposit_is_waited_for(seller: StripeApi) -> None:
    """requires_action, with an address that is an object by network, as the guide reads it."""
    intent = seller.deposit()
    assert intent["status"] == "requires_action"
    action = intent["next_action"]
    assert action["type"] == "crypto_display_details"
    addresses = action["crypto_display_details"]["deposit_addresses"]
    assert list(addresses) == ["tempo"]
    assert addresses["tempo"]["address"].startswith("0x")
    (token,) = addresses["tempo"]["supported_tokens"]
    assert token == {"token_currency": "usdc", "token_contract_address": "0x20c0" + "0" * 36}
    other = seller.deposit()["next_action"]["crypto_display_details"]["deposit_addresses"]
    assert other["tempo"]["address"] != addresses["tempo"]["address"]


def test_confirming_again_changes_nothing(seller: StripeApi) -> None:
    """A PaymentIntent that waits for its deposit goes on waiting at the same address."""
    intent = seller.deposit()
    assert seller.post(f"{PATH}/{intent['id']}/confirm").body == intent.body


def test_all_networks_have_addresses_of_their_kind(seller: StripeApi) -> None:
    """Base and Solana are asked for beside Tempo; what cannot be had is refused."""
    options = {"mode": "deposit", "deposit_options": {"networks": ["tempo", "base", "solana"]}}
    intent = seller.deposit(payment_method_options={"crypto": options})
    addresses = intent["next_action"]["crypto_display_details"]["deposit_addresses"]
    assert sorted(addresses) == ["base", "solana", "tempo"]
    assert not addresses["solana"]["address"].startswith("0x")
    for networks in (["polygon"], ["mars"], []):
        options = {"mode": "deposit", "deposit_options": {"networks": networks}}
        assert seller.deposit(payment_method_options={"crypto": options}).status == 400


def test_a_simulated_deposit_succeeds(seller: StripeApi) -> None:
    """Processing, then succeeded by itself, with a charge that names the transfer."""
    intent = seller.deposit()["id"]
    assert seller.simulate(intent)["status"] == "processing"
    until(lambda: status(seller, intent) == "succeeded")
    found = seller.get(f"{PATH}/{intent}", expand=["latest_charge"])
    crypto = found["latest_charge"]["payment_method_details"]["crypto"]
    assert (crypto["transaction_hash"], crypto["network"], crypto["token_currency"]) == (
        SUCCESS,
        "tempo",
        "usdc",
    )
    assert crypto["buyer_address"] == "0x" + "11" * 20
    assert found["next_action"] is None
    assert seller.events() == [
        "payment_intent.created",
        "payment_intent.requires_action",
        "charge.pending",
        "payment_intent.processing",
        "charge.succeeded",
        "payment_intent.succeeded",
    ]


def test_a_simulated_deposit_fails(seller: StripeApi) -> None:
    """The other hash: the charge fails, and the PaymentIntent wants another payment method."""
    intent = seller.deposit()["id"]
    seller.simulate(intent, FAILURE)
    until(lambda: status(seller, intent) == "requires_payment_method")
    assert seller.events()[-2:] == ["charge.failed", "payment_intent.payment_failed"]
    again = seller.post(f"{PATH}/{intent}/confirm", payment_method_data={"type": "crypto"})
    assert again["status"] == "requires_action"


def test_only_the_two_hashes_are_simulated(seller: StripeApi) -> None:
    """Any other is refused in Stripe's words, and nothing happens."""
    intent = seller.deposit()["id"]
    refused = seller.simulate(intent, "0x" + "ab" * 32)
    assert "is not a valid testmode transaction hash" in refused.error["message"]
    assert seller.simulate(intent, network="base").error["param"] == "network"
    assert status(seller, intent) == "requires_action"


def test_only_what_waits_is_simulated(seller: StripeApi) -> None:
    """A PaymentIntent in another state is in the error."""
    intent = seller.deposit()["id"]
    seller.post(f"{PATH}/{intent}/cancel")
    error = seller.simulate(intent).error
    assert (error["code"], error["payment_intent"]["id"]) == ("payment_intent_unexpected_state", intent)
    waits_for_payer = seller.charge(payment_method="pm_card_authenticationRequired")["id"]
    assert seller.simulate(waits_for_payer).status == 400
    assert seller.simulate("pi_x").status == 404


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"currency": "eur"}, "currency"),
        ({"amount": 0}, "amount"),
        ({"payment_method_options": {"crypto": {"mode": "default"}}}, f"{CRYPTO}[mode]"),
        ({"payment_method_options": {"crypto": {"mode": "deposit"}}}, f"{CRYPTO}[deposit_options][networks]"),
        (
            {
                "payment_method_options": {
                    "crypto": {"amount_reconciliation": {"type": "accept_partial_funding"}}
                }
            },
            f"{CRYPTO}[amount_reconciliation][type]",
        ),
    ],
)
def test_what_no_deposit_can_be_is_refused(seller: StripeApi, members: dict[str, Any], param: str) -> None:
    """Other currencies, no amount, other modes: 400 with the parameter."""
    assert seller.deposit(**members).error["param"] == param


def test_a_customer_has_one_static_address(seller: StripeApi) -> None:
    """With `static_address` a customer's PaymentIntents wait at the same address; it takes a customer."""
    options = {"mode": "deposit", "deposit_options": {"networks": ["tempo"], "static_address": "true"}}
    members: dict[str, Any] = {"payment_method_options": {"crypto": options}}
    customer = seller.post("/v1/customers")["id"]
    first, second = (seller.deposit(customer=customer, **members)["next_action"] for _ in range(2))
    assert first == second
    assert seller.deposit(**members).error["param"] == "customer"


def test_a_refund_address_is_set(seller: StripeApi) -> None:
    """It stands beside the deposit address; what is no address is refused."""
    intent = seller.deposit()["id"]
    path = f"{PATH}/{intent}/update_crypto_refund_address"
    address = "0x" + "22" * 20
    changed = seller.post(path, network="tempo", refund_address=address)
    there = changed["next_action"]["crypto_display_details"]["deposit_addresses"]["tempo"]
    assert there["refund_address"] == address
    assert seller.post(path, network="tempo", refund_address="x").error["param"] == "refund_address"
    assert seller.post(path, network="base", refund_address=address).error["param"] == "network"


def test_deposit_addresses_are_kept(seller: StripeApi) -> None:
    """Made, found by network, by address and by id, as mppx looks for them."""
    path = "/v1/crypto/deposit_addresses"
    assert seller.get(path, network="tempo", limit=1)["data"] == []
    made = seller.post(path, network="tempo", metadata={"a": "1"})
    assert (made["object"], made["network"], made["livemode"]) == ("crypto.deposit_address", "tempo", False)
    seller.post(path, network="base")
    assert seller.get(path, network="tempo", limit=1)["data"] == [made.body]
    assert seller.get(path, address=made["address"])["data"] == [made.body]
    assert seller.get(f"{path}/{made['id']}").body == made.body
    assert seller.post(path, network="ethereum").error["param"] == "network"


async def test_a_deposit_expires() -> None:
    """What nobody pays is canceled when its time is over."""
    now = 1_800_000_000.0
    async with StripeSandbox(clock=lambda: now, deposit_lifetime=60) as sandbox:
        client = StripeApi(sandbox.url, sandbox.account().secret_key)
        intent = (await asyncio.to_thread(client.deposit))["id"]
        now += 61
        await asyncio.to_thread(until, lambda: status(client, intent) == "canceled")
        found = await asyncio.to_thread(client.get, f"{PATH}/{intent}")
        client.close()
    assert found["cancellation_reason"] == "expired"


def test_settlement_takes_as_long_as_it_is_told(seller: StripeApi) -> None:
    """A sandbox that settles slowly leaves a payment processing."""
    with ThreadedStripeSandbox(settle_after=3600) as slow:
        api = StripeApi(slow.url, slow.account().secret_key)
        intent = api.deposit()["id"]
        api.simulate(intent)
        assert status(api, intent) == "processing"
        assert api.post(f"{PATH}/{intent}/cancel").error["code"] == "payment_intent_unexpected_state"
        api.close()
