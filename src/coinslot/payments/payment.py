"""A payment: one row of the ledger.

It is inserted once, in state `settling` (or `unapplied`), and from then on only replaced, each time by
compare-and-set on its `revision`. Two keys are unique and never expire: the challenge and the proof.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from coinslot.payments.method import Proof, Recovery


class State(StrEnum):
    """Where a payment is in its life. `coinslot.payments.states` has the table of moves."""

    SETTLING = "settling"
    UNKNOWN = "unknown"
    SETTLED = "settled"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    FAILED = "failed"
    UNAPPLIED = "unapplied"


class Payment(Struct, frozen=True, kw_only=True):
    """One payment, as the ledger keeps it. Times are Unix seconds; amounts are base units.

    `fingerprint` is SHA-256(challenge id ‖ canonical payload); `route` is what was bought (`GET /paid`);
    `receipt` is the receipt's header value once settled; `attempts` counts deliveries begun; `disputed` says
    that the payer's bank wants the money back.
    """

    challenge_id: str
    proof_key: str
    fingerprint: bytes
    method: str
    intent: str
    route: str
    state: State
    amount: int
    currency: str
    reference: str
    created_at: float
    expires_at: float
    recipient: str | None = None
    payer: str | None = None
    external_id: str | None = None
    recovery: Recovery = Recovery()
    receipt: str | None = None
    reason: str | None = None
    settled_at: float | None = None
    delivered_at: float | None = None
    attempts: int = 0
    disputed: bool = False
    revision: int = 0

    @property
    def proof(self) -> Proof:
        """The proof as it was written down before settlement."""
        return Proof(
            key=self.proof_key,
            reference=self.reference,
            amount=self.amount,
            currency=self.currency,
            recipient=self.recipient,
            payer=self.payer,
            recovery=self.recovery,
        )
