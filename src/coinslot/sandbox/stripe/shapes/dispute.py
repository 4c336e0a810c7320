"""Disputes: what a payer's bank has against a charge."""

from __future__ import annotations

from typing import ClassVar, Final, Literal

from msgspec import Struct, field

from coinslot.protocol import JSONObject
from coinslot.sandbox.stripe.shapes.base import Lasting
from coinslot.sandbox.stripe.shapes.charge import BalanceTransaction

DisputeStatus = Literal[
    "warning_needs_response",
    "warning_under_review",
    "warning_closed",
    "needs_response",
    "under_review",
    "won",
    "lost",
]

EVIDENCE: Final = (
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
)
"""What a seller can say for themselves."""


class EvidenceDetails(Struct, kw_only=True):
    """Until when evidence is taken, and whether there is any."""

    due_by: int | None
    enhanced_eligibility: JSONObject = field(default_factory=dict)
    has_evidence: bool = False
    past_due: bool = False
    submission_count: int = 0


class DisputedCard(Struct, kw_only=True):
    """The card that was charged."""

    brand: str
    case_type: Literal["chargeback", "inquiry"]
    network_reason_code: str | None = "10.4"


class DisputedMethod(Struct, kw_only=True):
    """How it was paid."""

    card: DisputedCard
    type: Literal["card"] = "card"


class Dispute(Lasting, kw_only=True):
    """A dispute. One whose status begins with `warning_` is an inquiry, for which no money is taken yet."""

    KIND: ClassVar[str] = "dispute"
    NOUN: ClassVar[str] = "dispute"

    object: Literal["dispute"] = "dispute"
    amount: int
    balance_transactions: list[BalanceTransaction] = field(default_factory=list)
    charge: str
    currency: str
    enhanced_eligibility_types: list[str] = field(default_factory=list)
    evidence: JSONObject = field(default_factory=lambda: {**dict.fromkeys(EVIDENCE), "enhanced_evidence": {}})
    evidence_details: EvidenceDetails
    is_charge_refundable: bool
    livemode: bool = False
    metadata: dict[str, str] = field(default_factory=dict)
    network_reason_code: str | None = "10.4"
    payment_intent: str | None
    payment_method_details: DisputedMethod
    reason: str = "fraudulent"
    status: DisputeStatus
