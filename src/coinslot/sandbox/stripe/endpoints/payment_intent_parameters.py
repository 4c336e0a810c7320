"""What /v1/payment_intents takes."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from coinslot.sandbox.stripe.lists import ListParameters
from coinslot.sandbox.stripe.parameters import Parameters
from coinslot.sandbox.stripe.payment_parameters import AddressData, PaymentParameters


class AutomaticData(Struct, kw_only=True, frozen=True):
    """Whether the payment methods are the Dashboard's."""

    enabled: bool
    allow_redirects: Literal["always", "never"] | None = None


class TaxInput(Struct, kw_only=True, frozen=True):
    """A tax calculation."""

    calculation: str


class HookInputs(Struct, kw_only=True, frozen=True):
    """What hooks are given."""

    tax: TaxInput | None = None


class Hooks(Struct, kw_only=True, frozen=True):
    """What else is to happen when it is paid. It is kept, and nothing happens."""

    inputs: HookInputs | None = None


class TransferInput(Struct, kw_only=True, frozen=True):
    """Which connected account is paid."""

    destination: str
    amount: int | None = None


class Shipping(Struct, kw_only=True, frozen=True):
    """Where goods go."""

    address: AddressData
    name: str
    carrier: str | None = None
    phone: str | None = None
    tracking_number: str | None = None


class Create(PaymentParameters, kw_only=True, frozen=True):
    """What creating takes."""

    amount: int
    currency: str
    allowed_payment_method_types: list[str] | None = None
    application_fee_amount: int | None = None
    automatic_payment_methods: AutomaticData | None = None
    capture_method: Literal["automatic", "automatic_async", "manual"] | None = None
    confirm: bool | None = None
    confirmation_method: Literal["automatic", "manual"] | None = None
    customer: str | None = None
    description: str | None = None
    hooks: Hooks | None = None
    metadata: dict[str, str] | None = None
    on_behalf_of: str | None = None
    shipping: Shipping | None = None
    statement_descriptor: str | None = None
    statement_descriptor_suffix: str | None = None
    transfer_data: TransferInput | None = None
    transfer_group: str | None = None


class Update(Parameters, kw_only=True, frozen=True):
    """What updating takes."""

    amount: int | None = None
    customer: str | None = None
    description: str | None = None
    metadata: dict[str, str] | None = None
    receipt_email: str | None = None
    statement_descriptor: str | None = None
    statement_descriptor_suffix: str | None = None
    transfer_group: str | None = None


class Cancel(Parameters, kw_only=True, frozen=True):
    """What canceling takes."""

    cancellation_reason: Literal["abandoned", "duplicate", "fraudulent", "requested_by_customer"] | None = (
        None
    )


class Capture(Parameters, kw_only=True, frozen=True):
    """What capturing takes."""

    amount_to_capture: int | None = None
    metadata: dict[str, str] | None = None


class ListIntents(ListParameters, kw_only=True, frozen=True):
    """What listing takes."""

    customer: str | None = None


class RefundAddress(Parameters, kw_only=True, frozen=True):
    """Where a deposit is to be refunded to."""

    network: Literal["base", "solana", "tempo"]
    refund_address: str
