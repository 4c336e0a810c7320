"""What the sandbox knows beside what it shows."""

from __future__ import annotations

from typing import ClassVar

from msgspec import field

from coinslot.protocol import JSONObject
from coinslot.sandbox.stripe.shapes.base import Lasting
from coinslot.sandbox.stripe.shapes.shared_payment import DeactivatedReason


class Owner(Lasting, kw_only=True):
    """An account of the sandbox: `id` is the account's. Its keys and its profile follow from its `name`."""

    KIND: ClassVar[str] = "sandbox.owner"
    NOUN: ClassVar[str] = "account"

    name: str


class Behaviour(Lasting, kw_only=True):
    """How a payment method behaves: `id` is its own, `outcome` a key of `cards.OUTCOMES`."""

    KIND: ClassVar[str] = "sandbox.behaviour"
    NOUN: ClassVar[str] = "PaymentMethod"

    outcome: str


class SharedToken(Lasting, kw_only=True):
    """A shared payment token, of which `IssuedToken` and `GrantedToken` are views.

    `issuer` and `seller` are accounts; they are the same for a token from the seller's own test helper.
    `captured` is in minor units. `action_for` is the PaymentIntent that waits for the payer.
    """

    KIND: ClassVar[str] = "sandbox.shared_token"
    NOUN: ClassVar[str] = "shared_payment_token"

    issuer: str
    seller: str
    payment_method: str
    currency: str
    max_amount: int
    expires_at: int | None = None
    external_id: str | None = None
    return_url: str | None = None
    setup_future_usage: str | None = None
    use_stripe_sdk: bool | None = None
    shared_metadata: dict[str, str] = field(default_factory=dict)
    captured: int = 0
    deactivated_at: int | None = None
    deactivated_reason: DeactivatedReason | None = None
    action_for: str | None = None


class Attempt(Lasting, kw_only=True):
    """The shared payment token that a PaymentIntent is being paid with: `id` is the PaymentIntent's."""

    KIND: ClassVar[str] = "sandbox.attempt"
    NOUN: ClassVar[str] = "payment_intent"

    token: str


class DepositWallet(Lasting, kw_only=True):
    """The key behind an address of ours: `id` is the network and the address in lower case.

    `payment_intent` is set where the address is one PaymentIntent's alone.
    """

    KIND: ClassVar[str] = "sandbox.wallet"
    NOUN: ClassVar[str] = "address"

    network: str
    address: str
    private_key: str
    payment_intent: str | None = None


class Deposit(Lasting, kw_only=True):
    """A transfer to an address of ours that was seen on the chain: `id` is its transaction and log.

    `amount` is in the token's base units. `payment_intent` is what it paid, or None, and `note` says why.
    """

    KIND: ClassVar[str] = "sandbox.deposit"
    NOUN: ClassVar[str] = "deposit"

    network: str
    transaction_hash: str
    token: str
    sender: str
    address: str
    amount: int
    payment_intent: str | None = None
    note: str = ""


class RecordedTransfer(Lasting, kw_only=True):
    """A transfer that a PaymentIntent has recorded: `id` is the network and the transaction's hash."""

    KIND: ClassVar[str] = "sandbox.recorded_transfer"
    NOUN: ClassVar[str] = "transaction"

    payment_intent: str


class Payout(Lasting, kw_only=True):
    """A refund's transfer that is to be sent: `id` is the refund's, `raw` the signed transaction."""

    KIND: ClassVar[str] = "sandbox.payout"
    NOUN: ClassVar[str] = "payout"

    raw: str
    transaction_hash: str


class Fault(Lasting, kw_only=True):
    """Something to go wrong on demand: see `faults`."""

    KIND: ClassVar[str] = "sandbox.fault"
    NOUN: ClassVar[str] = "fault"

    settings: JSONObject
    left: int
