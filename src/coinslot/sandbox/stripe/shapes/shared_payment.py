"""Shared payment tokens, as the agent sees one (issued) and as the seller does (granted)."""

from __future__ import annotations

from typing import ClassVar, Literal

from msgspec import UNSET, Struct, UnsetType, field

from coinslot.protocol import JSONObject
from coinslot.sandbox.stripe.shapes.base import Lasting
from coinslot.sandbox.stripe.shapes.payment_intent import NextAction
from coinslot.sandbox.stripe.shapes.payment_method import BillingDetails, Checks, Networks

DeactivatedReason = Literal["consumed", "expired", "resolved", "revoked"]


class UsageLimits(Struct, kw_only=True):
    """What the token is good for: an amount in minor units, until a time."""

    currency: str
    expires_at: int | None = None
    max_amount: int


class AmountCaptured(Struct):
    """An amount in minor units."""

    currency: str
    value: int


class UsageDetails(Struct):
    """What has been taken with the token."""

    amount_captured: AmountCaptured


class AgentDetails(Struct):
    """Who issued it."""

    network_business_profile: str | None


class SellerDetails(Struct):
    """To whom it was issued."""

    network_business_profile: str
    external_id: str | None


class SharedCard(Struct, kw_only=True):
    """What the seller may know of the card."""

    brand: str
    checks: Checks = Checks()
    country: str | None = "US"
    display_brand: str | None = None
    exp_month: int
    exp_year: int
    fingerprint: str
    funding: str = "credit"
    last4: str
    networks: Networks
    wallet: None = None


class SharedPaymentMethod(Struct, kw_only=True):
    """What the seller may know of the payment method."""

    billing_details: BillingDetails
    type: str
    card: SharedCard | UnsetType = UNSET
    link: JSONObject | UnsetType = UNSET


class GrantedToken(Lasting, kw_only=True):
    """The seller's view."""

    KIND: ClassVar[str] = "shared_payment.granted_token"
    NOUN: ClassVar[str] = "shared_payment_token"

    object: Literal["shared_payment.granted_token"] = "shared_payment.granted_token"
    agent_details: AgentDetails | None
    deactivated_at: int | None = None
    deactivated_reason: DeactivatedReason | None = None
    livemode: bool = False
    payment_method_details: SharedPaymentMethod | None
    shared_metadata: dict[str, str] = field(default_factory=dict)
    usage_details: UsageDetails
    usage_limits: UsageLimits


class IssuedToken(Lasting, kw_only=True):
    """The agent's view."""

    KIND: ClassVar[str] = "shared_payment.issued_token"
    NOUN: ClassVar[str] = "shared_payment_token"

    object: Literal["shared_payment.issued_token"] = "shared_payment.issued_token"
    deactivated_at: int | None = None
    deactivated_reason: DeactivatedReason | None = None
    livemode: bool = False
    next_action: NextAction | None = None
    payment_method: str
    return_url: str | None = None
    seller_details: SellerDetails
    setup_future_usage: str | None = None
    shared_metadata: dict[str, str] = field(default_factory=dict)
    status: Literal["active", "deactivated", "requires_action"]
    usage_details: UsageDetails
    usage_limits: UsageLimits
    use_stripe_sdk: bool | None = None
