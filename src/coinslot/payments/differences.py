"""What an audit finds: differences between the ledger and the world, by name, and how many of each."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct, field


class Kind(StrEnum):
    """What is different."""

    UNRECORDED = "unrecorded"
    """The world has money that the ledger does not know."""
    UNCONFIRMED = "unconfirmed"
    """The ledger has money that the world does not know."""
    AMOUNT = "amount"
    """Both have it, and not the same amount, or not in the same currency."""
    NOT_FAILED = "not-failed"
    """The ledger says that no money moved, and the world has it."""
    UNDECIDED = "undecided"
    """The ledger does not know whether money moved."""
    UNREFUNDED = "unrefunded"
    """Money that pays for nothing, of which a part at least has not gone back."""
    REFUND_UNRECORDED = "refund-unrecorded"
    REFUND_UNCONFIRMED = "refund-unconfirmed"
    REFUND_AMOUNT = "refund-amount"
    REFUND_NOT_FAILED = "refund-not-failed"
    REFUND_UNDECIDED = "refund-undecided"
    NOT_AUDITED = "not-audited"
    """The world could not be asked: about a method, or a stretch of time."""


class Difference(Struct, frozen=True, kw_only=True):
    """One difference. `detail` is a sentence for people; what does not apply is None.

    `method` is the payment method's name. `recorded` are the base units of `currency` that the ledger has,
    `received` those that the world has (for a refund: had sent back). `reference` is the world's name for the
    payment or the refund, `at` is Unix seconds.
    """

    kind: Kind
    method: str
    detail: str
    reference: str | None = None
    currency: str | None = None
    recorded: int | None = None
    received: int | None = None
    challenge_id: str | None = None
    refund_id: str | None = None
    payer: str | None = None
    at: float | None = None


class Sums(Struct, kw_only=True):
    """Base units of one currency by one method, in the time that was asked about.

    `recorded` is the money of payments that the ledger has from that time, `received` what the world says
    came in it. At its two ends they may differ though every payment is accounted for, as a payment is
    written down a moment before or after its money moves.
    """

    recorded: int = 0
    received: int = 0
    refunds_recorded: int = 0
    refunds_received: int = 0


class Summary(Struct, kw_only=True):
    """How an audit went: rows and movements that were compared, differences by kind, sums.

    `sums` are by method and currency. It is complete once the audit's last difference is out.
    """

    payments: int = 0
    movements: int = 0
    differences: dict[Kind, int] = field(default_factory=dict)
    sums: dict[tuple[str, str], Sums] = field(default_factory=dict)

    def add(self, difference: Difference) -> Difference:
        """Count a difference."""
        self.differences[difference.kind] = self.differences.get(difference.kind, 0) + 1
        return difference

    def sums_of(self, method: str, currency: str) -> Sums:
        """The sums of one currency by one method."""
        return self.sums.setdefault((method, currency), Sums())
