"""Refunds: money on its way back to a payer, as rows of their own.

    requested ──▶ sent ──▶ done
        │  ╲       │ ▲
        │   ╲      ▼ │
        └──▶ failed ◀── unknown ──▶ done

    requested  written down; nothing was asked of the world yet, or the asker died before it could say so
    sent       the world was asked and has taken it; it is not through yet
    unknown    it may have been asked, and there is no answer: a look-up decides
    done       the payer has it. Final, unless the world gives it back (`done → failed`)
    failed     it did not go, and by this row never will. Final

Together they never exceed what was paid: `RefundLedger.insert_refund` sees to that in one statement.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Protocol, TypedDict, Unpack

from msgspec import Struct
from msgspec.structs import replace

from coinslot.payments.method import Recovery


class RefundState(StrEnum):
    """Where a refund is."""

    REQUESTED = "requested"
    SENT = "sent"
    UNKNOWN = "unknown"
    DONE = "done"
    FAILED = "failed"


class Refund(Struct, frozen=True, kw_only=True):
    """One refund. `amount` is in base units, times are Unix seconds.

    `key` is unique for ever: what the world is asked under. `reference` is the world's name for it once it
    has one. `reason` says why it failed, or what is known of it.
    """

    id: str
    challenge_id: str
    amount: int
    state: RefundState
    key: str
    created_at: float
    updated_at: float
    reference: str | None = None
    reason: str | None = None
    recovery: Recovery = Recovery()
    revision: int = 0


REFUND_MOVES: Final[dict[RefundState, frozenset[RefundState]]] = {
    RefundState.REQUESTED: frozenset(RefundState),
    RefundState.SENT: frozenset(
        {RefundState.SENT, RefundState.UNKNOWN, RefundState.DONE, RefundState.FAILED}
    ),
    RefundState.UNKNOWN: frozenset(
        {RefundState.SENT, RefundState.UNKNOWN, RefundState.DONE, RefundState.FAILED}
    ),
    RefundState.DONE: frozenset({RefundState.FAILED}),
    RefundState.FAILED: frozenset(),
}

OPEN_REFUNDS: Final = frozenset({RefundState.REQUESTED, RefundState.SENT, RefundState.UNKNOWN})
"""In these the outcome is not known, and the amount counts as gone."""


class RefundChanges(TypedDict, total=False):
    """The members of a refund that a move may set."""

    reference: str | None
    reason: str | None
    recovery: Recovery


def advance_refund(refund: Refund, to: RefundState, *, at: float, **changes: Unpack[RefundChanges]) -> Refund:
    """The refund after a move, ready for `replace_refund`. Raises `ValueError` for a move there is not."""
    if to not in REFUND_MOVES[refund.state]:
        raise ValueError(f"a refund does not move from {refund.state} to {to}")
    after = replace(refund, state=to, updated_at=at, revision=refund.revision + 1, **changes)
    return after if to in OPEN_REFUNDS else replace(after, recovery=Recovery())


class RefundLedger(Protocol):
    """A store of refunds. Each call is atomic, may raise `LedgerError`, and is durable when it returns."""

    async def insert_refund(self, refund: Refund) -> bool:
        """Write down a new refund; False, and nothing, if it is more than its payment has left.

        What is left is the payment's amount less all of its refunds that have not failed. Raises
        `LedgerError` if there is no such payment, or a refund with this id or key; `ValueError` for an amount
        below 1.
        """
        ...

    async def replace_refund(self, before: Refund, after: Refund) -> bool:
        """Compare-and-set on `before.revision`. `ValueError` if `after` is not the next revision of it.

        Id, payment, key, amount and `created_at` stay.
        """
        ...

    async def find_refund(self, reference: str) -> Refund | None:
        """The refund that the world knows by this reference; the newest, should there be several."""
        ...

    async def select_refunds(self, challenge_id: str) -> list[Refund]:
        """The refunds of one payment, the first one first."""
        ...

    async def select_open_refunds(self, *, until: float, limit: int) -> list[Refund]:
        """Refunds in `OPEN_REFUNDS` that were last touched by `until`, the longest ago first."""
        ...
