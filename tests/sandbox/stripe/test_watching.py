"""Deposits on a real chain: exactly the amount, in the right token, to the right address, once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from coinslot.methods.tempo.keys import PrivateKey
from coinslot.sandbox.stripe import ThreadedStripeSandbox
from coinslot.sandbox.tempo import ThreadedDevnet
from sandbox_rpc import RPC, pay, payment, raw
from stripe_api import SUCCESS, StripeApi, until

ALPHA_USD = "0x20c0000000000000000000000000000000000001"
CENT = 10_000


class Shop:
    """A seller on a sandbox that watches the chain, and somebody who pays."""

    def __init__(self, api: StripeApi, rpc: RPC, payer: PrivateKey) -> None:
        self.api = api
        self.rpc = rpc
        self.payer = payer

    def pay(self, address: str, amount: int, **token: str) -> str:
        """Transfer base units; the transaction's hash."""
        signed = payment(pay(address, amount, **token)).sign(self.payer)
        receipt = self.rpc("eth_sendRawTransactionSync", raw(signed))
        assert receipt["status"] == "0x1"
        hash_: str = receipt["transactionHash"]
        return hash_

    def status(self, intent: str) -> str:
        """How far a PaymentIntent has come."""
        found: str = self.api.get(f"/v1/payment_intents/{intent}")["status"]
        return found

    def page(self, intent: str) -> str:
        """Its page on the dashboard."""
        return self.api.http.get(f"/payments/{intent}").text


@pytest.fixture
def shop(devnet: ThreadedDevnet, rpc: RPC, payer: PrivateKey) -> Iterator[Shop]:
    """A shop on the devnet."""
    with ThreadedStripeSandbox(chain=devnet.rpc_url, settle_after=0.0, poll_interval=0.1) as sandbox:
        api = StripeApi(sandbox.url, sandbox.account().secret_key)
        yield Shop(api, rpc, payer)
        api.close()


def address_of(intent: object) -> str:
    """Where a deposit is waited for."""
    address: str = intent["next_action"]["crypto_display_details"]["deposit_addresses"]["tempo"]["address"]  # type: ignore[index]  # a Reply
    return address


def is_refunded(api: StripeApi, refund: str) -> bool:
    """Whether a refund has arrived."""
    return bool(api.get(f"/v1/refunds/{refund}")["status"] == "succeeded")


def test_an_exact_transfer_settles(shop: Shop) -> None:
    """101 cents are 1,010,000 base units of pathUSD; the charge names the transaction and its sender."""
    intent = shop.api.deposit()
    hash_ = shop.pay(address_of(intent), 101 * CENT)
    until(lambda: shop.status(intent["id"]) == "succeeded")
    charge = shop.api.get("/v1/charges", payment_intent=intent["id"])["data"][0]
    crypto = charge["payment_method_details"]["crypto"]
    assert (crypto["transaction_hash"], crypto["buyer_address"]) == (hash_, shop.payer.address)
    assert shop.api.events()[-2:] == ["charge.succeeded", "payment_intent.succeeded"]


@pytest.mark.parametrize(
    ("amount", "token", "note"),
    [
        (101 * CENT - 1, None, "not the exact amount"),
        (101 * CENT + 1, None, "not the exact amount"),
        (101 * CENT, ALPHA_USD, "not a token that is taken here"),
    ],
)
def test_anything_else_does_not(shop: Shop, amount: int, token: str | None, note: str) -> None:
    """A unit less, a unit more, another token: the deposit is noted, and the payment still waits."""
    intent = shop.api.deposit()
    shop.pay(address_of(intent), amount, **({} if token is None else {"token": token}))
    until(lambda: note in shop.page(intent["id"]))
    assert shop.status(intent["id"]) == "requires_action"
    shop.pay(address_of(intent), 101 * CENT)
    until(lambda: shop.status(intent["id"]) == "succeeded")


def test_a_second_transfer_pays_nothing(shop: Shop) -> None:
    """One PaymentIntent is paid once, and one that was canceled not at all."""
    intent, other = shop.api.deposit(), shop.api.deposit()
    shop.api.post(f"/v1/payment_intents/{other['id']}/cancel")
    for _ in range(2):
        shop.pay(address_of(intent), 101 * CENT)
    shop.pay(address_of(other), 101 * CENT)
    until(lambda: shop.status(intent["id"]) == "succeeded")
    until(lambda: "does not wait for it" in shop.page(other["id"]))
    assert shop.status(other["id"]) == "canceled"
    assert len(shop.api.get("/v1/charges")["data"]) == 1


def test_a_static_address_is_paid_in_order(shop: Shop) -> None:
    """Two PaymentIntents at one address: each transfer pays the older that asks for its amount."""
    options = {"mode": "deposit", "deposit_options": {"networks": ["tempo"], "static_address": "true"}}
    members = {
        "customer": shop.api.post("/v1/customers")["id"],
        "payment_method_options": {"crypto": options},
    }
    first, second, third = (shop.api.deposit(amount, **members) for amount in (100, 100, 200))
    shop.pay(address_of(first), 200 * CENT)
    until(lambda: shop.status(third["id"]) == "succeeded")
    shop.pay(address_of(first), 100 * CENT)
    until(lambda: shop.status(first["id"]) == "succeeded")
    assert shop.status(second["id"]) == "requires_action"


def test_what_came_while_it_was_stopped_is_seen(
    devnet: ThreadedDevnet, rpc: RPC, payer: PrivateKey, tmp_path: Path
) -> None:
    """The watch goes on at the block where it ended."""
    state = tmp_path / "stripe.db"
    with ThreadedStripeSandbox(state=state, chain=devnet.rpc_url) as sandbox:
        api = StripeApi(sandbox.url, sandbox.account().secret_key)
        intent = api.deposit()
        api.close()
    Shop(api, rpc, payer).pay(address_of(intent), 101 * CENT)
    with ThreadedStripeSandbox(state=state, chain=devnet.rpc_url, settle_after=0.0) as sandbox:
        api = StripeApi(sandbox.url, sandbox.account().secret_key)
        until(lambda: api.get(f"/v1/payment_intents/{intent['id']}")["status"] == "succeeded")
        api.close()


def test_a_made_transfer_is_recorded(shop: Shop) -> None:
    """Transaction verification: a transfer to a deposit address, recorded at once, and once."""
    address = shop.api.post("/v1/crypto/deposit_addresses", network="tempo")["address"]
    hash_ = shop.pay(address, 101 * CENT)
    recorded = shop.api.verify(hash_, key=hash_)
    assert recorded["status"] == "succeeded"
    charge = shop.api.get(f"/v1/charges/{recorded['latest_charge']}")
    assert charge["payment_method_details"]["crypto"]["buyer_address"] == shop.payer.address
    assert shop.api.verify(hash_, key=hash_).headers["idempotent-replayed"] == "true"
    assert "recorded already" in shop.api.verify(hash_).error["message"]


def test_one_transfer_pays_one_payment(shop: Shop) -> None:
    """What has paid a PaymentIntent that waited for it is not recorded by a second."""
    intent = shop.api.deposit()
    hash_ = shop.pay(address_of(intent), 101 * CENT)
    until(lambda: shop.status(intent["id"]) == "succeeded")
    assert f"has paid {intent['id']}" in shop.api.verify(hash_).error["message"]


def test_clients_round_down(shop: Shop) -> None:
    """A transfer of 1.5 cents is recorded as one cent, as mppx and pympp do."""
    address = shop.api.post("/v1/crypto/deposit_addresses", network="tempo")["address"]
    hash_ = shop.pay(address, CENT + CENT // 2)
    assert shop.api.verify(hash_, amount=1)["status"] == "succeeded"


def test_other_transfers_are_not_recorded(shop: Shop, payer: PrivateKey) -> None:
    """To an address that is not the account's, of another amount, in another token, or none at all."""
    address = shop.api.post("/v1/crypto/deposit_addresses", network="tempo")["address"]
    cases = {
        shop.pay(PrivateKey.generate().address, 101 * CENT): "deposit addresses",
        shop.pay(address, 102 * CENT): "another amount",
        shop.pay(address, 101 * CENT, token=ALPHA_USD): "token",
        "0x" + "ab" * 32: "not found",
    }
    for hash_, reason in cases.items():
        refused = shop.api.verify(hash_)
        assert refused.status == 400
        assert reason in refused.error["message"]
    assert shop.api.verify("0x12").error["message"] == "Invalid transaction hash."
    assert shop.api.get("/v1/payment_intents")["data"] == []


def test_a_refusal_is_replayed_until_the_key_changes(shop: Shop) -> None:
    """A transaction that is not there yet: the same key keeps its refusal, another one records it."""
    address = shop.api.post("/v1/crypto/deposit_addresses", network="tempo")["address"]
    signed = payment(pay(address, 101 * CENT)).sign(shop.payer)
    hash_ = "0x" + signed.hash().hex()
    assert shop.api.verify(hash_, key=hash_).status == 400
    shop.rpc("eth_sendRawTransactionSync", raw(signed))
    assert shop.api.verify(hash_, key=hash_).headers["idempotent-replayed"] == "true"
    assert shop.api.verify(hash_, key=f"{hash_}:2")["status"] == "succeeded"


def test_without_a_chain_one_hash_is_a_transfer(seller: StripeApi) -> None:
    """The hash of a simulated success stands for one, as often as it is asked for; no other does."""
    assert seller.verify(SUCCESS)["status"] == "succeeded"
    assert seller.verify(SUCCESS)["status"] == "succeeded"
    assert "not found" in seller.verify("0x" + "ab" * 32).error["message"]


def test_a_refund_goes_to_the_wallet_that_paid(shop: Shop) -> None:
    """It is pending until the transfer is on the chain, which it then names; a part gives back a part."""
    intent = shop.api.deposit()
    shop.pay(address_of(intent), 101 * CENT)
    until(lambda: shop.status(intent["id"]) == "succeeded")
    before = shop.rpc.balance(shop.payer.address)
    refund = shop.api.post("/v1/refunds", payment_intent=intent["id"], amount=40)
    assert refund["status"] == "pending"
    path = f"/v1/refunds/{refund['id']}"
    until(lambda: shop.api.get(path)["status"] == "succeeded")
    reference = shop.api.get(path)["destination_details"]["crypto"]["reference"]
    assert shop.rpc("eth_getTransactionReceipt", reference)["status"] == "0x1"
    assert shop.rpc.balance(shop.payer.address) == before + 40 * CENT
    assert shop.api.events()[-2:] == ["refund.updated", "charge.refund.updated"]


def test_a_restart_sends_no_second_refund(
    devnet: ThreadedDevnet, rpc: RPC, payer: PrivateKey, tmp_path: Path
) -> None:
    """The transfer was signed before it was sent: whoever finishes it sends the same one."""
    state = tmp_path / "stripe.db"
    with ThreadedStripeSandbox(state=state, chain=devnet.rpc_url, settle_after=0.0) as sandbox:
        api = StripeApi(sandbox.url, sandbox.account().secret_key)
        intent = api.deposit()
        Shop(api, rpc, payer).pay(address_of(intent), 101 * CENT)
        until(lambda: api.get(f"/v1/payment_intents/{intent['id']}")["status"] == "succeeded")
        before = rpc.balance(payer.address)
        refund = api.post("/v1/refunds", payment_intent=intent["id"])["id"]
        api.close()
    for _ in range(2):
        with ThreadedStripeSandbox(state=state, chain=devnet.rpc_url) as sandbox:
            api = StripeApi(sandbox.url, sandbox.account().secret_key)
            until(partial(is_refunded, api, refund))
            api.close()
    assert rpc.balance(payer.address) == before + 101 * CENT
