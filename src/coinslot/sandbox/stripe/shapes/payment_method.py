"""Payment methods: cards, Link, and crypto."""

from __future__ import annotations

from typing import ClassVar, Literal

from msgspec import UNSET, Struct, UnsetType, field

from coinslot.protocol import JSONObject
from coinslot.sandbox.stripe.shapes.base import Lasting


class Address(Struct, kw_only=True, frozen=True):
    """A postal address."""

    city: str | None = None
    country: str | None = None
    line1: str | None = None
    line2: str | None = None
    postal_code: str | None = None
    state: str | None = None


class BillingDetails(Struct, kw_only=True, frozen=True):
    """Whose payment method it is."""

    address: Address = Address()
    email: str | None = None
    name: str | None = None
    phone: str | None = None
    tax_id: str | None = None


class Checks(Struct, kw_only=True, frozen=True):
    """What the bank checked."""

    address_line1_check: str | None = None
    address_postal_code_check: str | None = None
    cvc_check: str | None = "pass"


class Networks(Struct, kw_only=True, frozen=True):
    """The networks that the card can be charged on."""

    available: list[str]
    preferred: str | None = None


class ThreeDSecureUsage(Struct, frozen=True):
    """Whether the card takes part in 3D Secure."""

    supported: bool = True


class Card(Struct, kw_only=True):
    """What may be known of a card."""

    brand: str
    checks: Checks = Checks()
    country: str | None = "US"
    display_brand: str | None = None
    exp_month: int
    exp_year: int
    fingerprint: str
    funding: str = "credit"
    generated_from: None = None
    last4: str
    networks: Networks
    regulated_status: str | None = "unregulated"
    three_d_secure_usage: ThreeDSecureUsage | None = ThreeDSecureUsage()
    wallet: None = None


class PaymentMethod(Lasting, kw_only=True):
    """A payment method. The member that its `type` names describes it."""

    KIND: ClassVar[str] = "payment_method"
    NOUN: ClassVar[str] = "PaymentMethod"

    object: Literal["payment_method"] = "payment_method"
    allow_redisplay: str = "unspecified"
    billing_details: BillingDetails = BillingDetails()
    customer: str | None = None
    customer_account: None = None
    livemode: bool = False
    metadata: dict[str, str] = field(default_factory=dict)
    type: Literal["card", "crypto", "link"]
    card: Card | UnsetType = UNSET
    crypto: JSONObject | UnsetType = UNSET
    link: JSONObject | UnsetType = UNSET
