"""Stripe's objects, with the few members that matter here. Amounts are in minor units."""

from __future__ import annotations

from typing import Final

from msgspec import Struct, field

from coinslot.protocol import JSONObject

# docs.stripe.com/api/disputes/object: in any other, the bank asks for the money or has it.
_DISPUTE_IS_OVER: Final = frozenset(("won", "warning_closed", "prevented"))


class PaymentFault(Struct, frozen=True):
    """Why the last attempt to pay a PaymentIntent failed."""

    code: str | None = None
    decline_code: str | None = None


class Intent(Struct, frozen=True, kw_only=True):
    """A PaymentIntent. `transfer_data` and `application_fee_amount` say how a platform's was settled."""

    id: str
    status: str
    amount: int
    currency: str
    metadata: dict[str, str] = field(default_factory=dict)
    payment_method_types: list[str] = field(default_factory=list)
    last_payment_error: PaymentFault | None = None
    transfer_data: JSONObject | None = None
    application_fee_amount: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether it waits for somebody: for the payer, or for a first attempt to pay it."""
        unpaid = self.status == "requires_payment_method" and self.last_payment_error is None
        return unpaid or self.status in ("requires_action", "requires_confirmation")


class UsageLimits(Struct, frozen=True, kw_only=True):
    """What a token is good for: `max_amount` in minor units, `expires_at` in Unix seconds."""

    currency: str
    max_amount: int
    expires_at: int | None = None


class Captured(Struct, frozen=True):
    """What was taken already, in minor units."""

    value: int = 0


class UsageDetails(Struct, frozen=True):
    """How a token was used."""

    amount_captured: Captured | None = None


class GrantedToken(Struct, frozen=True, kw_only=True):
    """A token as the seller sees it. `deactivated_reason` is consumed, expired, resolved or revoked."""

    usage_limits: UsageLimits
    usage_details: UsageDetails | None = None
    deactivated_reason: str | None = None

    @property
    def left(self) -> int:
        """How much can still be charged, in minor units."""
        used = self.usage_details.amount_captured if self.usage_details is not None else None
        return self.usage_limits.max_amount - (used.value if used is not None else 0)


class IssuedToken(Struct, frozen=True, kw_only=True):
    """A token as its issuer sees it. `status` is active, requires_action or deactivated."""

    id: str
    status: str = "active"
    usage_details: UsageDetails | None = None
    deactivated_reason: str | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether a PaymentIntent waits for the payer to authenticate."""
        return self.status == "requires_action"

    @property
    def is_dead(self) -> bool:
        """Whether it ended without being charged."""
        captured = self.usage_details.amount_captured if self.usage_details is not None else None
        return self.deactivated_reason in ("expired", "revoked") and captured == Captured(0)

    def __repr__(self) -> str:
        return f"IssuedToken(<redacted>, status={self.status!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        # msgspec's own would show the token wherever rich prints a traceback.
        return [("status", self.status)]


class Profile(Struct, frozen=True, kw_only=True):
    """An account's public profile: `id` is the network id of challenges."""

    id: str
    livemode: bool


class Refund(Struct, frozen=True, kw_only=True):
    """A refund. `created` is in Unix seconds; `status` is pending, requires_action, succeeded, failed or
    canceled, and one that succeeded may still fail.
    """

    id: str
    amount: int
    currency: str
    created: int
    status: str | None = None
    payment_intent: str | Intent | None = None
    failure_reason: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)


class CryptoDetails(Struct, frozen=True):
    """The transfer that a deposit was paid with."""

    transaction_hash: str | None = None


class MethodDetails(Struct, frozen=True):
    """What was charged: a card, a Link wallet, or crypto."""

    type: str
    crypto: CryptoDetails | None = None


class Charge(Struct, frozen=True, kw_only=True):
    """An attempt to move money, with the metadata of its PaymentIntent. `created` is in Unix seconds."""

    id: str
    amount: int
    currency: str
    created: int
    status: str
    amount_captured: int = 0
    payment_intent: str | None = None
    payment_method_details: MethodDetails | None = None
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def transaction(self) -> str | None:
        """The hash of the transfer that it was paid with, in lower case."""
        crypto = self.payment_method_details.crypto if self.payment_method_details is not None else None
        hash_ = crypto.transaction_hash if crypto is not None else None
        return hash_.lower() if hash_ is not None else None


class ChargedIntent(Struct, frozen=True, kw_only=True):
    """A PaymentIntent with its charge."""

    id: str
    status: str
    latest_charge: Charge | None = None


class Dispute(Struct, frozen=True, kw_only=True):
    """What a payer's bank has against a charge."""

    id: str
    status: str

    @property
    def is_against_seller(self) -> bool:
        """Whether the bank wants the money back, or has taken it."""
        return self.status not in _DISPUTE_IS_OVER
