"""Charges, refunds, and the balance transactions that both make."""

from __future__ import annotations

from typing import ClassVar, Literal

from msgspec import UNSET, Struct, UnsetType, field

from coinslot.protocol import JSONObject
from coinslot.sandbox.stripe.shapes.base import Lasting
from coinslot.sandbox.stripe.shapes.payment_intent import TransferData
from coinslot.sandbox.stripe.shapes.payment_method import BillingDetails, Checks


class Outcome(Struct, kw_only=True):
    """What the network and Stripe made of the attempt."""

    advice_code: str | None = None
    network_advice_code: str | None = None
    network_decline_code: str | None = None
    network_status: str = "approved_by_network"
    reason: str | None = None
    risk_level: str = "normal"
    risk_score: int | UnsetType = UNSET
    seller_message: str = "Payment complete."
    type: str = "authorized"


class ChargedCard(Struct, kw_only=True):
    """The card, as it was charged."""

    amount_authorized: int | None = None
    authorization_code: str | None = None
    brand: str
    checks: Checks = Checks()
    country: str | None = "US"
    exp_month: int
    exp_year: int
    fingerprint: str
    funding: str = "credit"
    installments: None = None
    last4: str
    mandate: None = None
    network: str
    network_transaction_id: str | None = None
    regulated_status: str | None = "unregulated"
    three_d_secure: JSONObject | None = None
    wallet: None = None


class ChargedCrypto(Struct, kw_only=True):
    """The transfer that paid. Amounts are in minor units of the charge's currency."""

    amount_received: int | UnsetType = UNSET
    amount_requested: int | UnsetType = UNSET
    buyer_address: str | None = None
    network: str | None = None
    token_currency: str | None = None
    transaction_hash: str | None = None


class PaymentMethodDetails(Struct, kw_only=True):
    """How it was paid. The member that its `type` names describes it."""

    type: Literal["card", "crypto", "link"]
    card: ChargedCard | UnsetType = UNSET
    crypto: ChargedCrypto | UnsetType = UNSET
    link: JSONObject | UnsetType = UNSET


class Charge(Lasting, kw_only=True):
    """One attempt to move money. Its id begins with `ch_` for cards, `py_` for anything else."""

    KIND: ClassVar[str] = "charge"
    NOUN: ClassVar[str] = "charge"

    object: Literal["charge"] = "charge"
    amount: int
    amount_captured: int = 0
    amount_refunded: int = 0
    application: None = None
    application_fee: None = None
    application_fee_amount: int | None = None
    balance_transaction: str | None = None
    billing_details: BillingDetails = BillingDetails()
    calculated_statement_descriptor: str | None = None
    captured: bool = False
    currency: str
    customer: str | None = None
    description: str | None = None
    disputed: bool = False
    failure_balance_transaction: None = None
    failure_code: str | None = None
    failure_message: str | None = None
    fraud_details: JSONObject = field(default_factory=dict)
    livemode: bool = False
    metadata: dict[str, str] = field(default_factory=dict)
    on_behalf_of: str | None = None
    outcome: Outcome | None = None
    paid: bool = False
    payment_intent: str | None = None
    payment_method: str | None = None
    payment_method_details: PaymentMethodDetails | None = None
    radar_options: JSONObject = field(default_factory=dict)
    receipt_email: str | None = None
    receipt_number: None = None
    receipt_url: str | None = None
    refunded: bool = False
    review: None = None
    shipping: JSONObject | None = None
    source: None = None
    source_transfer: None = None
    statement_descriptor: str | None = None
    statement_descriptor_suffix: str | None = None
    status: Literal["failed", "pending", "succeeded"]
    transfer_data: TransferData | None = None
    transfer_group: str | None = None


class RefundedCard(Struct, kw_only=True):
    """How the card's bank knows the refund."""

    reference_status: str = "pending"
    reference_type: str = "acquirer_reference_number"
    type: str = "refund"


class RefundedCrypto(Struct, kw_only=True, omit_defaults=True):
    """The transfer that gave the money back."""

    reference: str | None = None


class DestinationDetails(Struct, kw_only=True):
    """Where the money went."""

    type: Literal["card", "crypto", "link"]
    card: RefundedCard | UnsetType = UNSET
    crypto: RefundedCrypto | UnsetType = UNSET
    link: JSONObject | UnsetType = UNSET


class Refund(Lasting, kw_only=True):
    """Money given back."""

    KIND: ClassVar[str] = "refund"
    NOUN: ClassVar[str] = "refund"

    object: Literal["refund"] = "refund"
    amount: int
    balance_transaction: str | None = None
    charge: str | None = None
    currency: str
    destination_details: DestinationDetails | None = None
    failure_balance_transaction: str | UnsetType = UNSET
    failure_reason: str | UnsetType = UNSET
    metadata: dict[str, str] = field(default_factory=dict)
    payment_intent: str | None = None
    reason: str | None = None
    receipt_number: None = None
    source_transfer_reversal: None = None
    status: Literal["pending", "succeeded", "failed"]
    transfer_reversal: str | None = None


class FeeDetail(Struct, kw_only=True):
    """What a fee is for."""

    amount: int
    application: str | None = None
    currency: str
    description: str | None = "Stripe processing fees"
    type: str = "stripe_fee"


class BalanceTransaction(Lasting, kw_only=True):
    """A change of the account's balance."""

    KIND: ClassVar[str] = "balance_transaction"
    NOUN: ClassVar[str] = "balance transaction"

    object: Literal["balance_transaction"] = "balance_transaction"
    amount: int
    available_on: int
    balance_type: str = "payments"
    currency: str
    description: str | None = None
    exchange_rate: None = None
    fee: int
    fee_details: list[FeeDetail]
    net: int
    reporting_category: str
    source: str
    status: Literal["available", "pending"]
    type: Literal["adjustment", "charge", "payment", "payment_refund", "refund", "refund_failure"]
