"""Real clients, unmodified: stripe-node, mppx's server, client and command, and both ends of pympp."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

import stripe_peers
from coinslot.methods.tempo.keys import PrivateKey
from coinslot.sandbox.stripe import BUYER, ThreadedStripeSandbox
from coinslot.sandbox.tempo import ThreadedDevnet
from peer_programs import Peer
from sandbox_rpc import RPC, pay, payment, raw
from stripe_api import StripeApi, until


class Market:
    """A sandbox that watches the devnet, and where its peers find both."""

    def __init__(self, sandbox: ThreadedStripeSandbox, devnet: ThreadedDevnet) -> None:
        self.api = StripeApi(sandbox.url, sandbox.account().secret_key)
        self.seller = {
            "stripe_url": sandbox.url,
            "stripe_key": sandbox.account().secret_key,
            "network_id": sandbox.account().profile,
            "rpc_url": devnet.rpc_url,
        }
        self.buyer = {**self.seller, "stripe_key": sandbox.account(BUYER).secret_key}

    def paid(self, receipt: str) -> object:
        """The PaymentIntent that a receipt names."""
        return self.api.get(f"/v1/payment_intents/{stripe_peers.reference(receipt)}").body


@pytest.fixture
def market(devnet: ThreadedDevnet) -> Iterator[Market]:
    """A market of the test's own."""
    with ThreadedStripeSandbox(chain=devnet.rpc_url, settle_after=0.0, poll_interval=0.1) as sandbox:
        market = Market(sandbox, devnet)
        yield market
        market.api.close()


@pytest.fixture
def node(mppx: Peer) -> str:
    """Node.js, with mppx and Stripe's client installed."""
    return stripe_peers.node()


@pytest.fixture
def shop(market: Market, node: str) -> Iterator[str]:
    """mppx's server, which sells through the sandbox; the URL."""
    with stripe_peers.serving_program([node, "mppx_server.mjs"], **market.seller) as url:
        yield url


def test_stripe_node_sells(market: Market, node: str) -> None:
    """Stripe's client for Node.js: payments, declines, deposits, refunds, lists, raw requests."""
    report = stripe_peers.run([node, "sdk.mjs"], **market.seller)
    assert report == {
        "paid": "succeeded",
        "last4": "4242",
        "declined": ["StripeCardError", "card_declined", "generic_decline"],
        "waiting": ["requires_action", ["tempo"]],
        "profile": market.seller["network_id"],
        "refund": "succeeded",
        "listed": 3,
    }


@pytest.mark.parametrize("path", ["/spt", "/both"])
def test_mppx_is_paid_with_a_token(market: Market, node: str, shop: str, path: str) -> None:
    """mppx's server, also with all its default methods, is paid by its client with an issued token."""
    report = stripe_peers.run([node, "mppx_client.mjs"], url=shop + path, **market.buyer)
    assert (report["status"], report["body"]) == (200, '{"paid":true}')
    intent = market.paid(report["receipt"])
    assert isinstance(intent, dict)
    assert (intent["status"], intent["amount"], intent["metadata"]["machine_payment"]) == (
        "succeeded",
        100,
        "true",
    )


def test_mppx_records_what_was_paid_on_the_chain(
    market: Market, node: str, shop: str, payer: PrivateKey
) -> None:
    """A payment on Tempo to the account's deposit address becomes a PaymentIntent that has succeeded."""
    report = stripe_peers.run(
        [node, "mppx_client.mjs"], url=f"{shop}/tempo", key=payer.to_hex(), **market.buyer
    )
    assert report["status"] == 200
    until(lambda: market.api.get("/v1/payment_intents")["data"] != [])
    (intent,) = market.api.get("/v1/payment_intents", expand=["data.latest_charge"])["data"]
    assert (intent["status"], intent["amount"]) == ("succeeded", 100)
    crypto = intent["latest_charge"]["payment_method_details"]["crypto"]
    assert crypto["transaction_hash"] == stripe_peers.reference(report["receipt"])
    assert len(market.api.get("/v1/crypto/deposit_addresses")["data"]) == 1


def test_a_declined_card_is_not_served(market: Market, node: str, shop: str) -> None:
    """What the bank refuses, mppx's server does not deliver."""
    declining = {"payment_method": "pm_card_chargeDeclined", "url": f"{shop}/spt"}
    report = stripe_peers.run([node, "mppx_client.mjs"], **declining, **market.buyer)
    assert report["status"] == 402


@pytest.mark.parametrize("account", ["seller", "buyer"])
def test_the_mppx_command_pays(market: Market, node: str, shop: str, account: str) -> None:
    """`mppx` mints its token with the test helper, for the challenge's network id, and gets the resource."""
    key = {"seller": market.seller, "buyer": market.buyer}[account]["stripe_key"]
    helper = "/v1/test_helpers/shared_payment/granted_tokens"
    done = subprocess.run(
        [node, str(stripe_peers.MPPX_COMMAND), f"{shop}/spt", "-M", "paymentMethod=pm_card_visa", "-s"],
        env={
            **os.environ,
            "MPPX_STRIPE_SPT_URL": market.seller["stripe_url"] + helper,
            "MPPX_STRIPE_SECRET_KEY": key,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert '"paid":true' in done.stdout
    (intent,) = market.api.get("/v1/payment_intents")["data"]
    assert intent["status"] == "succeeded"


def test_pympp_is_paid_with_a_token(market: Market) -> None:
    """pympp's server on Stripe's client for Python is paid by pympp's client."""
    python = stripe_peers.pympp_python()
    with stripe_peers.serving_program([python, "pympp_server.py"], **market.seller) as url:
        report = stripe_peers.run([python, "pympp_client.py"], url=f"{url}/spt", **market.buyer)
    assert report["status"] == 200
    intent = market.paid(report["receipt"])
    assert isinstance(intent, dict)
    assert (intent["status"], intent["metadata"]["mpp_sdk"]) == ("succeeded", "pympp/0.16.0")


def test_pympp_records_what_was_paid_on_the_chain(market: Market, rpc: RPC, payer: PrivateKey) -> None:
    """A transfer that pympp was paid with becomes a PaymentIntent, however often it is recorded."""
    address = market.api.post("/v1/crypto/deposit_addresses", network="tempo")["address"]
    signed = payment(pay(address, 1_000_000)).sign(payer)
    hash_ = rpc("eth_sendRawTransactionSync", raw(signed))["transactionHash"]
    python = stripe_peers.pympp_python()
    with stripe_peers.serving_program([python, "pympp_server.py"], **market.seller) as url:
        for _ in range(2):
            assert market.api.http.get(f"{url}/record?hash={hash_}&amount=1000000").status_code == 200
    (intent,) = market.api.get("/v1/payment_intents")["data"]
    assert (intent["status"], intent["amount"], intent["metadata"]) == (
        "succeeded",
        100,
        {"machine_payment": "true"},
    )
