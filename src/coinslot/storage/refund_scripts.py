"""Refunds, in SQL."""

from __future__ import annotations

from typing import Final

from coinslot.errors import LedgerError
from coinslot.payments.refunds import OPEN_REFUNDS, Refund, RefundState
from coinslot.storage.replacement import check_new_refund, check_refund
from coinslot.storage.rows import REFUNDS
from coinslot.storage.script import Script, ask, change

_CHANGING: Final = ("state", "updated_at", "reference", "reason", "recovery", "revision")

_OPEN: Final = ", ".join(f"'{state}'" for state in sorted(OPEN_REFUNDS))

# A write that changes nothing: of two refunds of one payment, the second one waits here for the first.
_LOCK: Final = "UPDATE payments SET revision = revision WHERE challenge_id = ?"
_PAID: Final = "SELECT amount FROM payments WHERE challenge_id = ?"
_EXISTS: Final = "SELECT 1 FROM refunds WHERE id = ? OR key = ?"
_TAKEN: Final = f"SELECT amount FROM refunds WHERE challenge_id = ? AND state <> '{RefundState.FAILED}'"  # noqa: S608 - constants, as in all that follow
_INSERT: Final = f"INSERT INTO refunds ({REFUNDS.names}) VALUES ({REFUNDS.marks}) ON CONFLICT DO NOTHING"  # noqa: S608
_REPLACE: Final = (
    f"UPDATE refunds SET {', '.join(f'{column} = ?' for column in _CHANGING)} "  # noqa: S608
    "WHERE id = ? AND revision = ?"
)
_SELECT: Final = f"SELECT {REFUNDS.names} FROM refunds"  # noqa: S608
_BY_REFERENCE: Final = f"{_SELECT} WHERE reference = ? ORDER BY created_at DESC, id DESC LIMIT 1"
_BY_PAYMENT: Final = f"{_SELECT} WHERE challenge_id = ? ORDER BY created_at, id"
_BY_STATE: Final = f"{_SELECT} WHERE state IN ({_OPEN}) AND updated_at <= ? ORDER BY updated_at, id LIMIT ?"


def insert_refund(refund: Refund) -> Script[bool]:
    """`RefundLedger.insert_refund`. Needs a transaction."""
    check_new_refund(refund)
    row = REFUNDS.to_row(refund)
    if (yield from change(_LOCK, refund.challenge_id)) == 0:
        raise LedgerError("there is no payment that this refund is of")
    if (yield from ask(_EXISTS, refund.id, refund.key)):
        raise LedgerError("there is a refund with this id or this key")
    [(paid,)] = yield from ask(_PAID, refund.challenge_id)
    taken = sum(int(str(amount)) for (amount,) in (yield from ask(_TAKEN, refund.challenge_id)))
    if taken + refund.amount > int(str(paid)):
        return False
    if (yield from change(_INSERT, *row)) == 0:
        raise LedgerError("there is a refund with this id or this key")
    return True


def replace_refund(before: Refund, after: Refund) -> Script[bool]:
    """`RefundLedger.replace_refund`."""
    check_refund(before, after)
    values = REFUNDS.to_row(after, _CHANGING)
    return (yield from change(_REPLACE, *values, before.id, before.revision)) == 1


def find_refund(reference: str) -> Script[Refund | None]:
    """`RefundLedger.find_refund`."""
    rows = yield from ask(_BY_REFERENCE, reference)
    return REFUNDS.from_row(rows[0]) if rows else None


def select_refunds(challenge_id: str) -> Script[list[Refund]]:
    """`RefundLedger.select_refunds`."""
    return [REFUNDS.from_row(row) for row in (yield from ask(_BY_PAYMENT, challenge_id))]


def select_open_refunds(until: float, limit: int) -> Script[list[Refund]]:
    """`RefundLedger.select_open_refunds`."""
    return [REFUNDS.from_row(row) for row in (yield from ask(_BY_STATE, until, limit))]
