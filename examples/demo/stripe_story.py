"""Paid through Stripe: one 402 with two ways to pay, a card and a deposit in stablecoin."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx2

from coinslot import Challenge, Credential, Receipt, Wallet
from coinslot.methods import stripe, tempo
from coinslot.sandbox.stripe import BUYER
from examples.demo.stage import SHOP, TOKEN, LastCredential, Stage, members, wait_until
from examples.demo.telling import console, facts, units


def choose(stage: Stage) -> dict[str, dict[str, object]]:
    """One server takes both; one buyer has a card, the other has stablecoin."""
    with stage.server("both"):
        console.rule("[bold]6. Two ways to pay, in one 402")
        wait_until(lambda: len(offers()) == 2, "a deposit address")
        asked = {offer.method: offer.decode_request() for offer in offers()}
        facts(
            by_card=f"{cents(int(str(asked['stripe']['amount'])))} USD, to the seller's Stripe profile",
            in_stablecoin=f"{units(int(str(asked['tempo']['amount'])))} {TOKEN.symbol}, to the address"
            f" {asked['tempo']['recipient']}",
        )
        return {"stripe_spt": pay_by_card(stage), "stripe_deposit": pay_a_deposit(stage)}


def pay_by_card(stage: Stage) -> dict[str, object]:
    """A token is granted for this price and this seller, and charged once."""
    console.rule("[bold]7. With a card")
    recorder = LastCredential()
    buyer = stage.stripe.account(BUYER)
    account = stripe.account(buyer.secret_key, payment_method="pm_card_visa", api_base=stage.stripe.url)
    with (
        Wallet(methods=[account], max_amount="1.00") as wallet,
        httpx2.Client(transport=wallet.transport(recorder)) as http,
    ):
        response = http.get(f"{SHOP}/paid")
    receipt = Receipt.parse(response.headers["Payment-Receipt"])
    token = Credential.parse(recorder.authorization).payload["spt"]
    granted = stage.ask_stripe(f"/v1/shared_payment/granted_tokens/{token}")
    limits = granted["usage_limits"]
    facts(
        token=f"granted for {cents(limits['max_amount'])} {limits['currency'].upper()}, and now"
        f" {granted['deactivated_reason']}",
        status=response.status_code,
        receipt=f"{receipt.status}, by {receipt.method}: {receipt.reference}",
    )
    return {
        "status": response.status_code,
        "receipt": members(receipt),
        "payment_intent_status": show_intent(stage, receipt.reference),
    }


def pay_a_deposit(stage: Stage) -> dict[str, object]:
    """The price goes to an address of Stripe's, on the chain; Stripe sees it arrive, and captures it."""
    console.rule("[bold]8. With stablecoin, to a deposit address")
    recorder = LastCredential()
    with (
        Wallet(methods=[tempo.account(stage.key, rpc_url=stage.devnet.rpc_url)], max_amount="0.60") as wallet,
        httpx2.Client(transport=wallet.transport(recorder)) as http,
    ):
        response = http.get(f"{SHOP}/paid")
    receipt = Receipt.parse(response.headers["Payment-Receipt"])
    paid = Credential.parse(recorder.authorization).challenge.decode_request()
    facts(
        status=response.status_code,
        receipt=f"{receipt.status}, by {receipt.method}: {receipt.reference}",
        deposited_at=paid["recipient"],
    )
    with console.status("Stripe waits for the deposit"):
        wait_until(lambda: find_deposit(stage, receipt.reference) is not None, "Stripe to see the deposit")
    intent = find_deposit(stage, receipt.reference)
    assert intent is not None
    return {
        "status": response.status_code,
        "receipt": members(receipt),
        "payment_intent_status": show_intent(stage, intent["id"]),
    }


def offers() -> list[Challenge]:
    """What the server asks for."""
    asked = httpx2.get(f"{SHOP}/paid", trust_env=False)
    return Challenge.parse_all(asked.headers.get_list("WWW-Authenticate"))


def find_deposit(stage: Stage, transaction_hash: str) -> Any:
    """The PaymentIntent that a transaction on the chain has paid, or None as long as Stripe is at it."""
    for intent in stage.ask_stripe("/v1/payment_intents?limit=100&expand[]=data.latest_charge")["data"]:
        charge = intent["latest_charge"]
        crypto = None if charge is None else charge["payment_method_details"].get("crypto")
        if crypto is not None and crypto["transaction_hash"] == transaction_hash:
            return None if intent["status"] == "processing" else intent
    return None


def show_intent(stage: Stage, intent_id: str) -> str:
    """How a PaymentIntent stands at Stripe."""
    intent = stage.ask_stripe(f"/v1/payment_intents/{intent_id}")
    facts(
        PaymentIntent=f"{intent_id}, {intent['status']}, {cents(intent['amount_received'])} USD received",
        dashboard=f"{stage.stripe.url}/payments/{intent_id}",
    )
    return str(intent["status"])


def cents(amount: int) -> str:
    """Cents in dollars, exactly."""
    return str(Decimal(amount).scaleb(-2))
