"""Disputes: begun by cards, ended by evidence."""

from __future__ import annotations

from typing import Any

import pytest

from stripe_api import StripeApi, until


def disputed(seller: StripeApi, card: str = "pm_card_createDispute") -> dict[str, Any]:
    """The dispute over a new charge."""
    intent = seller.charge(payment_method=card)["id"]
    until(lambda: bool(seller.get("/v1/disputes", payment_intent=intent)["data"]))
    (dispute,) = seller.get("/v1/disputes", payment_intent=intent)["data"]
    found: dict[str, Any] = dispute
    return found


def balance(seller: StripeApi) -> int:
    """All that the account has."""
    found = seller.get("/v1/balance")
    return sum(funds["amount"] for kind in ("available", "pending") for funds in found[kind])


def say(seller: StripeApi, dispute: dict[str, Any], text: str) -> Any:
    """Send evidence."""
    return seller.post(f"/v1/disputes/{dispute['id']}", evidence={"uncategorized_text": text})


@pytest.mark.parametrize("text", ["winning_evidence", "losing_evidence"])
def test_a_dispute_ends_with_evidence(seller: StripeApi, text: str) -> None:
    """The money is withdrawn at once, and comes back if the dispute is won."""
    dispute = disputed(seller)
    assert (dispute["status"], dispute["amount"]) == ("needs_response", 500)
    assert seller.get(f"/v1/charges/{dispute['charge']}")["disputed"] is True
    without = balance(seller)
    won = text == "winning_evidence"
    ended = say(seller, dispute, text)
    assert ended["status"] == ("won" if won else "lost")
    assert balance(seller) - without == (500 if won else 0)
    told = {"charge.dispute.created", "charge.dispute.funds_withdrawn", "charge.dispute.closed"}
    assert told <= set(seller.events())
    assert ("charge.dispute.funds_reinstated" in seller.events()) is won
    assert say(seller, dispute, text).error["code"] == "dispute_already_closed"


def test_an_inquiry_takes_no_money(seller: StripeApi) -> None:
    """Its statuses are warnings, and answered well it is closed."""
    inquiry = disputed(seller, "pm_card_createDisputeInquiry")
    assert (inquiry["status"], inquiry["balance_transactions"]) == ("warning_needs_response", [])
    assert say(seller, inquiry, "something")["status"] == "warning_under_review"
    assert say(seller, inquiry, "winning_evidence")["status"] == "warning_closed"


def test_a_seller_gives_in(seller: StripeApi) -> None:
    """Closing a dispute loses it; evidence that there is no name for is refused."""
    dispute = disputed(seller)
    unknown = seller.post(f"/v1/disputes/{dispute['id']}", evidence={"alibi": "x"})
    assert unknown.error["code"] == "parameter_unknown"
    draft = seller.post(
        f"/v1/disputes/{dispute['id']}", evidence={"uncategorized_text": "winning_evidence"}, submit="false"
    )
    assert (draft["status"], draft["evidence_details"]["has_evidence"]) == ("needs_response", True)
    assert seller.post(f"/v1/disputes/{dispute['id']}/close")["status"] == "lost"
    assert seller.get(f"/v1/disputes/{dispute['id']}")["status"] == "lost"
