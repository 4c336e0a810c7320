"""Disputes: a payer's bank takes a charge back, or asks about it, and it ends one way or the other.

    needs_response (the money is withdrawn) ──► won (it comes back) │ lost
    warning_needs_response (an inquiry) ──► warning_closed │ lost

What begins them are cards: `pm_card_createDispute` and `pm_card_createDisputeInquiry`. Evidence ends them at
once: the text `winning_evidence` or `losing_evidence`, as in Stripe's test mode.
"""

from __future__ import annotations

from typing import Final, Literal

from coinslot.sandbox.stripe import balances, events
from coinslot.sandbox.stripe.errors import refused
from coinslot.sandbox.stripe.identifiers import new_id
from coinslot.sandbox.stripe.shapes import Charge, Dispute
from coinslot.sandbox.stripe.shapes.charge import ChargedCard
from coinslot.sandbox.stripe.shapes.dispute import DisputedCard, DisputedMethod, EvidenceDetails
from coinslot.sandbox.stripe.state import State

OPEN: Final = "dispute.open"
"""The timer's name for a dispute."""

INQUIRE: Final = "dispute.inquire"
"""The timer's name for an inquiry."""

_DUE_AFTER: Final = 9 * 24 * 3600


def begin(state: State, charge_id: str, *, inquiry: bool) -> Dispute:
    """The payer's bank disputes all of a charge, or asks about it."""
    charge = state.get(Charge, charge_id)
    account = state.owner(Charge, charge_id)
    details = charge.payment_method_details
    assert details is not None, "it was charged"
    assert isinstance(details.card, ChargedCard), "only cards are disputed here"
    dispute = Dispute(
        id=new_id("du"),
        created=state.now,
        amount=charge.amount,
        charge=charge.id,
        currency=charge.currency,
        evidence_details=EvidenceDetails(due_by=state.now + _DUE_AFTER),
        is_charge_refundable=inquiry,
        payment_intent=charge.payment_intent,
        payment_method_details=DisputedMethod(
            card=DisputedCard(brand=details.card.brand, case_type="inquiry" if inquiry else "chargeback")
        ),
        status="warning_needs_response" if inquiry else "needs_response",
    )
    charge.disputed = True
    state.save(charge)
    state.add(dispute, account)
    events.record(state, account, "charge.dispute.created", dispute)
    if not inquiry:
        _move_funds(state, account, dispute, -dispute.amount, "charge.dispute.funds_withdrawn")
    return dispute


def end(state: State, account: str, dispute: Dispute, outcome: Literal["won", "lost"]) -> Dispute:
    """The bank has decided. Raises `ApiError` if it had before."""
    check_open(dispute)
    inquiry = dispute.status.startswith("warning_")
    dispute.status = "warning_closed" if inquiry and outcome == "won" else outcome
    state.save(dispute)
    events.record(state, account, "charge.dispute.closed", dispute)
    if outcome == "won" and not inquiry:
        _move_funds(state, account, dispute, dispute.amount, "charge.dispute.funds_reinstated")
    return dispute


def check_open(dispute: Dispute) -> None:
    """Raise `ApiError` if the bank has decided."""
    if dispute.status in ("won", "lost", "warning_closed"):
        raise refused(f"This dispute is already {dispute.status}.", code="dispute_already_closed")


def _move_funds(state: State, account: str, dispute: Dispute, amount: int, kind: str) -> None:
    dispute.balance_transactions.append(balances.adjust(state, account, dispute, amount))
    state.save(dispute)
    events.record(state, account, kind, dispute)
