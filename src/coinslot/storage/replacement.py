"""What every store checks before it replaces a payment."""

from __future__ import annotations

from coinslot.payments.ledger import Payment


def check_replacement(before: Payment, after: Payment) -> None:
    """Raise `ValueError` unless `after` is the next revision of `before`: the caller has a bug."""
    if (after.challenge_id, after.proof_key) != (before.challenge_id, before.proof_key):
        raise ValueError("a payment keeps its challenge and its proof")
    if after.revision != before.revision + 1:
        raise ValueError(f"revision {before.revision + 1} comes next, not {after.revision}")
