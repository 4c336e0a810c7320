"""What a ledger keeps, as rows of an SQL database.

Amounts are decimal text, because a base unit with 18 decimals soon exceeds 64 bits. A flag is 0 or 1, and
headers are one value in MessagePack.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Final, Generic, TypeAlias, TypeVar

import msgspec

from coinslot.errors import LedgerError
from coinslot.payments.answers import Answer
from coinslot.payments.method import Recovery
from coinslot.payments.payment import Payment
from coinslot.payments.records import Record
from coinslot.payments.refunds import Refund

Value: TypeAlias = str | bytes | int | float | None
S = TypeVar("S", bound=msgspec.Struct)

_HEADERS: Final = msgspec.msgpack.Decoder(tuple[tuple[bytes, bytes], ...])

# The columns whose values differ from the members of the same name, there and back.
_TO_VALUE: Final[dict[str, Callable[[Any], Value]]] = {
    "amount": str,
    "state": str,
    "disputed": int,
    "recovery": attrgetter("data"),
    "headers": msgspec.msgpack.encode,
}
_TO_MEMBER: Final[dict[str, Callable[[Any], object]]] = {
    "amount": lambda value: int(str(value)),
    "disputed": lambda value: bool(msgspec.convert(value, int)),
    # A refund that an older release wrote has none.
    "recovery": lambda value: Recovery() if value is None else Recovery(msgspec.convert(value, bytes)),
    "headers": lambda value: _HEADERS.decode(msgspec.convert(value, bytes)),
}


class Rows(Generic[S]):
    """How values of one kind are written into rows. `columns` are the members that are columns, all of them.

    `names` is them as SQL has them, and `marks` as many question marks.
    """

    def __init__(self, kind: type[S], columns: Sequence[str]) -> None:
        self.columns: Final = tuple(columns)
        self.names: Final = ", ".join(columns)
        self.marks: Final = ", ".join("?" * len(columns))
        self._kind = kind

    def to_row(self, item: S, columns: Sequence[str] = ()) -> tuple[Value, ...]:
        """The values of all columns, or of those that are named."""
        return tuple(_to_value(item, column) for column in columns or self.columns)

    def from_row(self, row: Sequence[object]) -> S:
        """What is in a row of all columns. Raises `LedgerError` if no release so far has written it."""
        members = dict(zip(self.columns, row, strict=True))
        try:
            for column, convert in _TO_MEMBER.items():
                if column in members:
                    members[column] = convert(members[column])
            return msgspec.convert(members, self._kind)
        except ValueError as error:  # msgspec.ValidationError is one
            raise LedgerError(
                f"a {self._kind.__name__.lower()} in the ledger cannot be read: "
                "it is damaged, or was written by a newer release"
            ) from error


def _to_value(item: msgspec.Struct, column: str) -> Value:
    value: Value = getattr(item, column)
    convert = _TO_VALUE.get(column)
    return value if convert is None else convert(value)


PAYMENTS: Final = Rows(
    Payment,
    (
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
        "disputed",
        "revision",
    ),
)
REFUNDS: Final = Rows(
    Refund,
    (
        "id",
        "challenge_id",
        "amount",
        "state",
        "key",
        "created_at",
        "updated_at",
        "reference",
        "reason",
        "recovery",
        "revision",
    ),
)
ANSWERS: Final = Rows(Answer, ("challenge_id", "key", "status", "headers", "body", "until"))
RECORDS: Final = Rows(Record, ("kind", "key", "state", "due", "data", "revision"))
