"""What PaymentIntents are paid with, as requests write it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from coinslot.sandbox.stripe.parameters import Parameters


class AddressData(Struct, kw_only=True, frozen=True):
    """A postal address."""

    city: str | None = None
    country: str | None = None
    line1: str | None = None
    line2: str | None = None
    postal_code: str | None = None
    state: str | None = None


class BillingData(Struct, kw_only=True, frozen=True):
    """Whose payment method it is."""

    address: AddressData | None = None
    email: str | None = None
    name: str | None = None
    phone: str | None = None
    tax_id: str | None = None


class CardData(Struct, kw_only=True, frozen=True):
    """A test card: its number, or a token for it."""

    number: str | None = None
    exp_month: int | None = None
    exp_year: int | None = None
    cvc: str | None = None
    token: str | None = None


class PaymentMethodData(Struct, kw_only=True, frozen=True):
    """A payment method that does not exist yet, or a shared payment token."""

    type: Literal["card", "crypto", "link"] | None = None
    shared_payment_granted_token: str | None = None
    billing_details: BillingData | None = None
    card: CardData | None = None
    allow_redisplay: Literal["always", "limited", "unspecified"] | None = None
    metadata: dict[str, str] | None = None


class DepositOptions(Struct, kw_only=True, frozen=True):
    """Where a deposit may be made, and whether the customer has a permanent address for it."""

    networks: list[Literal["base", "ethereum", "polygon", "solana", "tempo"]] | None = None
    static_address: bool | None = None


class VerificationOptions(Struct, kw_only=True, frozen=True):
    """Which transfer is to be recorded."""

    network: Literal["base", "ethereum", "polygon", "solana", "tempo"]
    transaction_hash: str


class AmountReconciliation(Struct, kw_only=True, frozen=True):
    """What becomes of another amount. Partial funding is not emulated."""

    type: Literal["exact"] | None = None


class CryptoOptions(Struct, kw_only=True, frozen=True):
    """How crypto pays."""

    mode: Literal["default", "deposit", "transaction_verification"] | None = None
    deposit_options: DepositOptions | None = None
    transaction_verification_options: VerificationOptions | None = None
    amount_reconciliation: AmountReconciliation | None = None
    setup_future_usage: Literal["none"] | None = None


class CardOptions(Struct, kw_only=True, frozen=True):
    """How a card pays."""

    capture_method: Literal["manual"] | None = None
    request_three_d_secure: Literal["any", "automatic", "challenge"] | None = None


class MethodOptions(Struct, kw_only=True, frozen=True):
    """The same, for each type."""

    card: CardOptions | None = None
    crypto: CryptoOptions | None = None


class PaymentParameters(Parameters, kw_only=True, frozen=True):
    """What both creating and confirming a PaymentIntent take."""

    payment_method: str | None = None
    payment_method_data: PaymentMethodData | None = None
    payment_method_options: MethodOptions | None = None
    payment_method_types: list[str] | None = None
    shared_payment_granted_token: str | None = None
    return_url: str | None = None
    error_on_requires_action: bool | None = None
    off_session: bool | None = None
    use_stripe_sdk: bool | None = None
    receipt_email: str | None = None
    setup_future_usage: Literal["off_session", "on_session"] | None = None
