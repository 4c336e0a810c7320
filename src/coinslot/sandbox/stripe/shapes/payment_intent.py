"""PaymentIntents: what is to be paid, how, and how far that has come."""

from __future__ import annotations

from typing import ClassVar, Literal

from msgspec import UNSET, Struct, UnsetType, field

from coinslot.protocol import JSONObject
from coinslot.sandbox.stripe.shapes.base import Lasting
from coinslot.sandbox.stripe.shapes.crypto import SupportedToken
from coinslot.sandbox.stripe.shapes.payment_method import PaymentMethod

PaymentIntentStatus = Literal[
    "requires_payment_method",
    "requires_confirmation",
    "requires_action",
    "requires_capture",
    "processing",
    "succeeded",
    "canceled",
]


class PaymentError(Struct, kw_only=True, omit_defaults=True):
    """Why the latest attempt failed."""

    type: str
    message: str
    code: str | None = None
    decline_code: str | None = None
    doc_url: str | None = None
    charge: str | None = None
    advice_code: str | None = None
    payment_method: PaymentMethod | None = None


class NetworkAddress(Struct, kw_only=True):
    """Where to send what on one network."""

    address: str
    supported_tokens: list[SupportedToken]
    refund_address: str | UnsetType = UNSET


class CryptoDisplayDetails(Struct):
    """An address for each network: an object with the networks' names, not an array."""

    deposit_addresses: dict[str, NetworkAddress]


class RedirectToUrl(Struct):
    """A page on which the payer proves who they are, and where they go after that."""

    url: str
    return_url: str | None


class NextAction(Struct, kw_only=True):
    """What is waited for: a deposit (`crypto_display_details`), or the payer's authentication."""

    type: Literal["crypto_display_details", "redirect_to_url", "use_stripe_sdk"]
    crypto_display_details: CryptoDisplayDetails | UnsetType = UNSET
    redirect_to_url: RedirectToUrl | UnsetType = UNSET
    use_stripe_sdk: JSONObject | UnsetType = UNSET


class AutomaticPaymentMethods(Struct, kw_only=True):
    """Whether the payment methods are the Dashboard's."""

    enabled: bool
    allow_redirects: Literal["always", "never"] | UnsetType = UNSET


class TransferData(Struct, kw_only=True):
    """Which connected account is paid."""

    destination: str
    amount: int | UnsetType = UNSET


class PaymentIntent(Lasting, kw_only=True):
    """A PaymentIntent."""

    KIND: ClassVar[str] = "payment_intent"
    NOUN: ClassVar[str] = "payment_intent"

    object: Literal["payment_intent"] = "payment_intent"
    amount: int
    amount_capturable: int = 0
    amount_details: JSONObject = field(default_factory=lambda: {"tip": {}})
    amount_received: int = 0
    application: None = None
    application_fee_amount: int | None = None
    automatic_payment_methods: AutomaticPaymentMethods | None = None
    canceled_at: int | None = None
    cancellation_reason: str | None = None
    capture_method: Literal["automatic", "automatic_async", "manual"] = "automatic_async"
    client_secret: str
    confirmation_method: Literal["automatic", "manual"] = "automatic"
    currency: str
    customer: str | None = None
    customer_account: None = None
    description: str | None = None
    excluded_payment_method_types: None = None
    hooks: JSONObject | UnsetType = UNSET
    last_payment_error: PaymentError | None = None
    latest_charge: str | None = None
    livemode: bool = False
    metadata: dict[str, str] = field(default_factory=dict)
    next_action: NextAction | None = None
    on_behalf_of: str | None = None
    payment_method: str | None = None
    payment_method_configuration_details: None = None
    payment_method_options: JSONObject = field(default_factory=dict)
    payment_method_types: list[str]
    processing: JSONObject | None = None
    receipt_email: str | None = None
    review: None = None
    setup_future_usage: str | None = None
    shipping: JSONObject | None = None
    source: None = None
    statement_descriptor: str | None = None
    statement_descriptor_suffix: str | None = None
    status: PaymentIntentStatus
    transfer_data: TransferData | None = None
    transfer_group: str | None = None
