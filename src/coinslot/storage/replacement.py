"""What every store checks before it writes: that the caller has no bug."""

from __future__ import annotations

from msgspec import Struct

from coinslot.payments.payment import Payment
from coinslot.payments.records import Record
from coinslot.payments.refunds import Refund


def check_payment(before: Payment, after: Payment) -> None:
    """Raise `ValueError` unless `after` is the next revision of `before`."""
    _check_same(before, after, "challenge_id", "proof_key")
    _check_next(before.revision, after.revision)


def check_new_refund(refund: Refund) -> None:
    """Raise `ValueError` for a refund of nothing, or of less: it would make room for others."""
    if refund.amount < 1:
        raise ValueError("a refund is of at least one base unit")


def check_refund(before: Refund, after: Refund) -> None:
    """Raise `ValueError` unless `after` is the next revision of `before`."""
    _check_same(before, after, "id", "challenge_id", "amount", "key", "created_at")
    _check_next(before.revision, after.revision)


def check_record(before: Record, after: Record | None) -> None:
    """Raise `ValueError` unless `after` is the next revision of `before`, or nothing."""
    if after is not None:
        _check_same(before, after, "kind", "key")
        _check_next(before.revision, after.revision)


def _check_same(before: Struct, after: Struct, *members: str) -> None:
    for member in members:
        if getattr(before, member) != getattr(after, member):
            raise ValueError(f"a {type(before).__name__.lower()} keeps its {member}")


def _check_next(before: int, after: int) -> None:
    if after != before + 1:
        raise ValueError(f"revision {before + 1} comes next, not {after}")
