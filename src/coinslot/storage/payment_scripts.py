"""Payments, in SQL.

Each change is a single statement, so that a row count is the answer; and an upsert instead of a caught
violation, which would abort a whole PostgreSQL transaction.
"""

from __future__ import annotations

from typing import Final

from coinslot.errors import AlreadyClaimed
from coinslot.payments.payment import Payment
from coinslot.storage.replacement import check_payment
from coinslot.storage.rows import PAYMENTS
from coinslot.storage.script import Script, ask, change

_CHANGING: Final = tuple(name for name in PAYMENTS.columns if name not in ("challenge_id", "proof_key"))

_SELECT: Final = f"SELECT {PAYMENTS.names} FROM payments"  # noqa: S608 - constants, as in all that follow
_BY_CHALLENGE: Final = f"{_SELECT} WHERE challenge_id = ?"
_BY_PROOF: Final = f"{_SELECT} WHERE proof_key = ?"
_BY_REFERENCE: Final = f"{_SELECT} WHERE reference = ? ORDER BY created_at DESC, challenge_id DESC LIMIT 1"
_IS_CLAIMED: Final = "SELECT 1 FROM payments WHERE challenge_id = ?"
_INSERT: Final = f"INSERT INTO payments ({PAYMENTS.names}) VALUES ({PAYMENTS.marks}) ON CONFLICT DO NOTHING"  # noqa: S608
_REPLACE: Final = (
    f"UPDATE payments SET {', '.join(f'{column} = ?' for column in _CHANGING)} "  # noqa: S608
    "WHERE challenge_id = ? AND revision = ?"
)


def find(challenge_id: str) -> Script[Payment | None]:
    """`Ledger.find`."""
    return _first(_BY_CHALLENGE, challenge_id)


def find_by_proof(proof_key: str) -> Script[Payment | None]:
    """`Ledger.find_by_proof`."""
    return _first(_BY_PROOF, proof_key)


def find_by_reference(reference: str) -> Script[Payment | None]:
    """`Ledger.find_by_reference`."""
    return _first(_BY_REFERENCE, reference)


def insert(payment: Payment) -> Script[None]:
    """`Ledger.insert`."""
    if (yield from change(_INSERT, *PAYMENTS.to_row(payment))) == 0:
        raise AlreadyClaimed("challenge" if (yield from ask(_IS_CLAIMED, payment.challenge_id)) else "proof")


def replace(before: Payment, after: Payment) -> Script[bool]:
    """`Ledger.replace`."""
    check_payment(before, after)
    values = PAYMENTS.to_row(after, _CHANGING)
    return (yield from change(_REPLACE, *values, before.challenge_id, before.revision)) == 1


def _first(sql: str, value: str) -> Script[Payment | None]:
    rows = yield from ask(sql, value)
    return PAYMENTS.from_row(rows[0]) if rows else None
