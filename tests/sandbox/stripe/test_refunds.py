"""Refunds: never more than was paid."""

from __future__ import annotations

from typing import Any

from stripe_api import Corner, StripeApi, until


def test_a_payment_is_given_back_in_parts(seller: StripeApi) -> None:
    """By PaymentIntent or by charge, in parts that never sum to more than was captured."""
    intent = seller.charge()
    first = seller.post("/v1/refunds", payment_intent=intent["id"], amount=200, reason="duplicate")
    assert (first["status"], first["charge"], first["reason"]) == (
        "succeeded",
        intent["latest_charge"],
        "duplicate",
    )
    too_much = seller.post("/v1/refunds", charge=intent["latest_charge"], amount=301)
    assert "greater than unrefunded amount" in too_much.error["message"]
    second = seller.post("/v1/refunds", charge=intent["latest_charge"])
    assert second["amount"] == 300
    assert (
        seller.post("/v1/refunds", charge=intent["latest_charge"]).error["code"] == "charge_already_refunded"
    )
    charge = seller.get(f"/v1/charges/{intent['latest_charge']}")
    assert (charge["amount_refunded"], charge["refunded"]) == (500, True)
    listed = seller.get("/v1/refunds", payment_intent=intent["id"])["data"]
    assert [each["id"] for each in listed] == [second["id"], first["id"]]
    assert seller.events().count("charge.refunded") == 2


def test_a_deposit_is_given_back(seller: StripeApi) -> None:
    """Its refund has the ids and the destination of a crypto payment."""
    intent = seller.deposit()["id"]
    seller.simulate(intent)
    until(lambda: "payment_intent.succeeded" in seller.events())
    refund = seller.post("/v1/refunds", payment_intent=intent)
    assert refund["id"].startswith("pyr_")
    assert refund["destination_details"]["type"] == "crypto"
    entry = seller.get(f"/v1/balance_transactions/{refund['balance_transaction']}")
    assert (entry["type"], entry["amount"]) == ("payment_refund", -101)


def test_what_was_not_paid_is_not_given_back(seller: StripeApi) -> None:
    """Neither a PaymentIntent without a charge, nor a failed, nor a reserved one."""
    waiting = seller.deposit()["id"]
    failed = seller.charge(payment_method="pm_card_chargeDeclined").error["payment_intent"]["id"]
    reserved = seller.charge(capture_method="manual")["id"]
    for intent in (waiting, failed, reserved):
        assert seller.post("/v1/refunds", payment_intent=intent).status == 400
    assert seller.post("/v1/refunds").error["code"] == "parameter_missing"
    assert seller.post("/v1/refunds", charge="ch_x").error["code"] == "resource_missing"
    assert seller.post("/v1/refunds", payment_intent=seller.charge()["id"], amount=0).status == 400
    assert seller.get("/v1/refunds")["data"] == []


def test_metadata_is_all_that_changes(seller: StripeApi) -> None:
    """A refund's metadata can be updated."""
    refund = seller.post("/v1/refunds", payment_intent=seller.charge()["id"], metadata={"a": "1"})
    changed = seller.post(f"/v1/refunds/{refund['id']}", metadata={"b": "2"})
    assert changed["metadata"] == {"a": "1", "b": "2"}
    assert seller.get(f"/v1/refunds/{refund['id']}").body == changed.body


def test_a_refund_waits(seller: StripeApi) -> None:
    """It is pending for a moment, and through then."""
    intent = seller.charge(payment_method="pm_card_pendingRefund")["id"]
    refund = seller.post("/v1/refunds", payment_intent=intent)
    assert refund["status"] == "pending"
    until(lambda: seller.get(f"/v1/refunds/{refund['id']}")["status"] == "succeeded")
    assert "refund.updated" in seller.events()


def test_a_refund_comes_back(seller: StripeApi) -> None:
    """It is through, and fails then: the money is on the balance, and can be refunded again."""
    intent = seller.charge(payment_method="pm_card_refundFail")
    before = seller.get("/v1/balance").body
    refund = seller.post("/v1/refunds", payment_intent=intent["id"])
    assert refund["status"] == "succeeded"
    until(lambda: "refund.failed" in seller.events())
    assert seller.get(f"/v1/refunds/{refund['id']}")["failure_reason"] == "expired_or_canceled_card"
    charge = seller.get(f"/v1/charges/{intent['latest_charge']}")
    assert (charge["amount_refunded"], charge["refunded"]) == (0, False)
    after = seller.get("/v1/balance").body
    assert _all(before) == _all(after)
    assert seller.post("/v1/refunds", payment_intent=intent["id"])["amount"] == 500


def test_a_platform_takes_its_part_back(seller: StripeApi, sandbox: Corner) -> None:
    """The transfer and the fee, where there were any: otherwise the refund is refused."""
    plain = seller.charge()["id"]
    transferred = seller.charge(
        transfer_data={"destination": sandbox.account("connected").account}, application_fee_amount=10
    )["id"]
    for wanted in ("reverse_transfer", "refund_application_fee"):
        refused = seller.post("/v1/refunds", payment_intent=plain, **{wanted: "true"})
        assert refused.error["param"] == wanted
    both = {"reverse_transfer": "true", "refund_application_fee": "true"}
    refund = seller.post("/v1/refunds", payment_intent=transferred, **both)
    assert refund["transfer_reversal"].startswith("trr_")


def _all(balance: dict[str, Any]) -> int:
    return sum(funds["amount"] for kind in ("available", "pending") for funds in balance[kind])
