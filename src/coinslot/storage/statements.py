"""The SQL of the ledger, and a payment as a row.

Written so that SQLite and PostgreSQL both understand it: upserts instead of caught violations (a violation
would abort a whole PostgreSQL transaction), and each change a single statement, so that a row count is the
answer. Amounts are decimal text, because a base unit with 18 decimals soon exceeds 64 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from coinslot.errors import LedgerError
from coinslot.payments.ledger import Payment
from coinslot.payments.method import Recovery

Value: TypeAlias = str | bytes | int | float | None

COLUMNS: Final = (
    "challenge_id",
    "proof_key",
    "fingerprint",
    "method",
    "intent",
    "route",
    "state",
    "amount",
    "currency",
    "reference",
    "created_at",
    "expires_at",
    "recipient",
    "payer",
    "external_id",
    "recovery",
    "receipt",
    "reason",
    "settled_at",
    "delivered_at",
    "attempts",
    "revision",
)

_KEYS: Final = ("challenge_id", "proof_key")
_CHANGING: Final = tuple(column for column in COLUMNS if column not in _KEYS)

FIND: Final = f"SELECT {', '.join(COLUMNS)} FROM payments WHERE challenge_id = ?"  # noqa: S608 - constants
IS_CLAIMED: Final = "SELECT 1 FROM payments WHERE challenge_id = ?"
INSERT: Final = (
    f"INSERT INTO payments ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))}) "  # noqa: S608 - constants
    "ON CONFLICT DO NOTHING"
)
REPLACE: Final = (
    f"UPDATE payments SET {', '.join(f'{column} = ?' for column in _CHANGING)} "  # noqa: S608 - constants
    "WHERE challenge_id = ? AND revision = ?"
)

# Parameters: challenge id, owner, until, now.
LEASE: Final = (
    "INSERT INTO leases (challenge_id, owner, until) VALUES (?, ?, ?) "
    "ON CONFLICT (challenge_id) DO UPDATE SET owner = excluded.owner, until = excluded.until "
    "WHERE leases.owner = excluded.owner OR leases.until <= ?"
)
RELEASE: Final = "DELETE FROM leases WHERE challenge_id = ? AND owner = ?"
# Parameters: now, how many at most.
SWEEP: Final = (
    "DELETE FROM leases WHERE challenge_id IN "
    "(SELECT challenge_id FROM leases WHERE until <= ? ORDER BY until LIMIT ?)"
)


def to_row(payment: Payment) -> tuple[Value, ...]:
    """The values of a payment, in the order of `COLUMNS`: the parameters of `INSERT`."""
    return tuple(_to_value(payment, column) for column in COLUMNS)


def to_replacement(before: Payment, after: Payment) -> tuple[Value, ...]:
    """The parameters of `REPLACE`."""
    changing = tuple(_to_value(after, column) for column in _CHANGING)
    return (*changing, before.challenge_id, before.revision)


def from_row(row: Sequence[object]) -> Payment:
    """The payment in a row of `FIND`. Raises `LedgerError` for a row that no release so far has written."""
    members = dict(zip(COLUMNS, row, strict=True))
    try:
        members["amount"] = int(str(members["amount"]))
        members["recovery"] = Recovery(msgspec.convert(members["recovery"], bytes))
        return msgspec.convert(members, Payment)
    except ValueError as error:  # msgspec.ValidationError is one
        raise LedgerError(
            "a payment in the ledger cannot be read: it is damaged, or was written by a newer release"
        ) from error


def _to_value(payment: Payment, column: str) -> Value:
    match column:
        case "amount":
            return str(payment.amount)
        case "recovery":
            return payment.recovery.data
        case "state":
            return payment.state.value
        case _:
            value: Value = getattr(payment, column)
            return value
