"""Whose objects they are: accounts, their public profiles, their customers and balances."""

from __future__ import annotations

from typing import ClassVar, Literal

from msgspec import Struct, field

from coinslot.protocol import JSONObject
from coinslot.sandbox.stripe.shapes.base import Lasting, Resource
from coinslot.sandbox.stripe.shapes.payment_method import Address


class Account(Lasting, kw_only=True):
    """A Stripe account, as far as anybody asks for it."""

    KIND: ClassVar[str] = "account"
    NOUN: ClassVar[str] = "account"

    object: Literal["account"] = "account"
    business_type: str | None = "company"
    capabilities: dict[str, str] = field(
        default_factory=lambda: {"card_payments": "active", "crypto_payments": "active"}
    )
    charges_enabled: bool = True
    country: str = "US"
    default_currency: str = "usd"
    details_submitted: bool = True
    email: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    payouts_enabled: bool = True
    settings: JSONObject = field(default_factory=dict)
    type: str = "standard"


class BusinessProfile(Resource, kw_only=True):
    """How a business is known on the Stripe network. Its id is what an MPP challenge calls `networkId`."""

    KIND: ClassVar[str] = "v2.network.business_profile"
    NOUN: ClassVar[str] = "business profile"

    object: Literal["v2.network.business_profile"] = "v2.network.business_profile"
    branding: JSONObject | None = None
    description: str | None = None
    display_name: str
    livemode: bool = False
    url: str | None = None
    username: str


class Customer(Lasting, kw_only=True):
    """Somebody who pays, as the seller keeps them."""

    KIND: ClassVar[str] = "customer"
    NOUN: ClassVar[str] = "customer"

    object: Literal["customer"] = "customer"
    address: Address | None = None
    balance: int = 0
    currency: str | None = None
    default_source: None = None
    delinquent: bool = False
    description: str | None = None
    email: str | None = None
    livemode: bool = False
    metadata: dict[str, str] = field(default_factory=dict)
    name: str | None = None
    phone: str | None = None
    preferred_locales: list[str] = field(default_factory=list)
    shipping: None = None
    tax_exempt: str = "none"
    test_clock: None = None


class Funds(Struct):
    """Money in one currency, in its minor units, and what it came from."""

    amount: int
    currency: str
    source_types: dict[str, int]


class Balance(Struct, kw_only=True):
    """What an account has, now and soon."""

    available: list[Funds]
    livemode: bool = False
    object: Literal["balance"] = "balance"
    pending: list[Funds]
