"""The states of a payment and the moves between them.

Theory of operation. A payment comes into being when a verified proof is written down, in `settling`, before
the world is asked to move money. From there on the row is the truth, and whoever finds it later (the next
request, after a crash) goes on from what it says:

    settling ──────────────▶ settled ────────▶ delivered
       │  ╲                 ▲   │
       │   ╲               ╱    └────────────▶ undelivered     paid, and given up on handing over
       ▼    ▼             ╱
    failed ◀── unknown ───                                     sent, or perhaps sent, and no answer

    unapplied                                                  money that came, and pays for nothing

    settling     written down; the world is being asked, or the asker died
    unknown      no answer: a look-up decides
    settled      the money is here; the resource has not been handed over
    delivered    the last byte of the resource was accepted. Final
    undelivered  paid, and handing over failed too often or too long ago. Final until refunded
    failed       no money moved, and by this proof none ever will. Final, unless the world says otherwise:
                 `failed → settled` is a fault of somebody's, and is told to the operator
    unapplied    money that came too late, or is not what was asked: a row from the beginning, final, there to
                 be refunded

Every move is a compare-and-set on the row's revision, so two workers can never both make one. Requests, the
reconciler, webhooks and the command line make their moves through `advance`, and there is no other way.

Refunds have rows of their own (`refunds`). A refund closes delivery: a settled payment is first moved to
undelivered. A dispute is a flag, in any state.
"""

from __future__ import annotations

from typing import Final, TypedDict, Unpack

from msgspec.structs import replace

from coinslot.payments.method import Recovery
from coinslot.payments.payment import Payment, State

MOVES: Final[dict[State, frozenset[State]]] = {
    State.SETTLING: frozenset({State.SETTLED, State.UNKNOWN, State.FAILED}),
    State.UNKNOWN: frozenset({State.UNKNOWN, State.SETTLED, State.FAILED}),
    State.SETTLED: frozenset({State.SETTLED, State.DELIVERED, State.UNDELIVERED}),
    State.DELIVERED: frozenset(),
    State.UNDELIVERED: frozenset(),
    State.FAILED: frozenset({State.SETTLED}),
    State.UNAPPLIED: frozenset(),
}

NOT_SETTLED: Final = frozenset({State.SETTLING, State.UNKNOWN, State.FAILED})
"""From these a payment is settled once its money is found."""

# In these the outcome is known, so what was kept to find it out is dropped.
DECIDED: Final = frozenset({State.SETTLED, State.DELIVERED, State.UNDELIVERED, State.FAILED, State.UNAPPLIED})


class Changes(TypedDict, total=False):
    """The members of a payment that a move may set."""

    reference: str
    payer: str | None
    receipt: str | None
    reason: str | None
    settled_at: float | None
    delivered_at: float | None
    attempts: int


def advance(payment: Payment, to: State, **changes: Unpack[Changes]) -> Payment:
    """The payment after a move, ready for `Ledger.replace`.

    Raises `ValueError` for a move that the table does not have: that is a bug, not a condition.
    """
    if to not in MOVES[payment.state]:
        raise ValueError(f"a payment does not move from {payment.state} to {to}")
    recovery = Recovery() if to in DECIDED else payment.recovery
    return replace(payment, state=to, revision=payment.revision + 1, recovery=recovery, **changes)


def flag_dispute(payment: Payment, *, disputed: bool) -> Payment:
    """The payment with its flag set or cleared, in whatever state, ready for `Ledger.replace`."""
    return replace(payment, disputed=disputed, revision=payment.revision + 1)
