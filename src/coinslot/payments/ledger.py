"""The ledger: where the truth about every payment is kept, and the contract that a store of it fulfils.

A `Payment` is one row. It is inserted once, in state `settling`, and from then on only replaced, each time by
compare-and-set on its `revision`. Two keys are unique and never expire: the challenge and the proof.

A *lease* keeps concurrent work on one challenge out. It is short, it is renewed while somebody works, and it
lapses if they die. Losing one costs a wait; it never decides whether money moved. The row does.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

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


class Payment(Struct, frozen=True, kw_only=True):
    """One payment, as the ledger keeps it. Times are Unix seconds; amounts are base units.

    `fingerprint` is SHA-256(challenge id ‖ canonical payload); `route` is what was
    bought (`GET /paid`); `receipt` is the receipt's header value once
    settled; `attempts` counts deliveries begun.
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


class Ledger(Protocol):
    """A store of payments. Those that come with Coinslot are in `coinslot.storage`.

    Calls may come from any number of tasks and event loops, and from several processes where the store can be
    shared. Each is atomic, and sees every write that had returned before it was made.

    Any may raise `LedgerError` when the store cannot answer. A write that ended so, or whose caller was
    cancelled, may still have been done: `find` tells.

    What `insert` and `replace` returned for is durable: it survives a crash of the process and, where the
    store has a disk, of the machine. A lease need only survive the processes that it keeps out.
    """

    async def open(self) -> None:
        """Connect and migrate. Called before anything else; calling it again does nothing.

        Raises `ConfigurationError` for a store that this release cannot use.
        """
        ...

    async def close(self) -> None:
        """Finish what was asked for and let go. `open` may follow."""
        ...

    async def find(self, challenge_id: str) -> Payment | None:
        """The payment for this challenge."""
        ...

    async def insert(self, payment: Payment) -> None:
        """Write down a new payment. Raises `AlreadyClaimed` if its challenge or its proof has one.

        Of any number of payments for the same challenge, or with the same proof, one is written. A payment
        that clashes on both is `AlreadyClaimed` by `"challenge"`.
        """
        ...

    async def replace(self, before: Payment, after: Payment) -> bool:
        """Compare-and-set: write `after` if the payment is still at `before.revision`, else return False.

        `after` has the same challenge and proof, and a revision of one more; `ValueError` if it does not. Of
        any number of replacements of one revision, one is written.
        """
        ...

    async def lease(self, challenge_id: str, owner: str, seconds: float) -> bool:
        """Take the lease, or renew it if `owner` holds it; False while somebody else does.

        It lapses `seconds` from now by the wall clock, whatever was left of it before. A lapsed lease is
        anybody's.
        """
        ...

    async def release(self, challenge_id: str, owner: str) -> None:
        """Give the lease back. Does nothing if `owner` does not hold it."""
        ...
