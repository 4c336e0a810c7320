"""Payments to put into a ledger, and a clock that is set by hand."""

from __future__ import annotations

from itertools import count
from typing import Final

from msgspec.structs import replace

from coinslot.payments.ledger import Payment, State

NOW: Final = 1_750_000_000.0

_numbers = count()

_PAYMENT: Final = Payment(
    challenge_id="challenge",
    proof_key="proof",
    fingerprint=bytes(range(32)),
    method="scrip",
    intent="charge",
    route="GET /paid",
    state=State.SETTLING,
    amount=10_000,
    currency="credits",
    reference="note 7",
    created_at=NOW,
    expires_at=NOW + 300.5,
)


class Clock:
    """Unix time, as the test says."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def make_payment(**members: object) -> Payment:
    """A payment in state settling, with a challenge and a proof of its own unless told otherwise."""
    number = next(_numbers)
    keys: dict[str, object] = {"challenge_id": f"challenge-{number}", "proof_key": f"proof-{number}"}
    return replace(_PAYMENT, **(keys | members))


def settled(payment: Payment) -> Payment:
    """The payment's next revision, settled."""
    return replace(payment, state=State.SETTLED, settled_at=NOW + 1.25, revision=payment.revision + 1)
