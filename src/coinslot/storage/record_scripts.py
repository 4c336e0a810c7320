"""Records, in SQL."""

from __future__ import annotations

from typing import Final

from coinslot.payments.records import Record
from coinslot.storage.replacement import check_record
from coinslot.storage.rows import RECORDS
from coinslot.storage.script import Script, ask, change

_NAMED: Final = "WHERE kind = ? AND key = ?"
_SELECT: Final = f"SELECT {RECORDS.names} FROM records"  # noqa: S608 - constants, as in all that follow
_FIND: Final = f"{_SELECT} {_NAMED}"
_INSERT: Final = f"INSERT INTO records ({RECORDS.names}) VALUES ({RECORDS.marks}) ON CONFLICT DO NOTHING"  # noqa: S608
_REPLACE: Final = f"UPDATE records SET state = ?, due = ?, data = ?, revision = ? {_NAMED} AND revision = ?"  # noqa: S608
_DELETE: Final = f"DELETE FROM records {_NAMED} AND revision = ?"  # noqa: S608
_DUE: Final = f"{_SELECT} WHERE kind = ? AND state = ? AND due <= ? ORDER BY due, key LIMIT ?"
_COUNT: Final = "SELECT count(*) FROM records WHERE kind = ? AND state = ?"


def find_record(kind: str, key: str) -> Script[Record | None]:
    """`Records.find_record`."""
    rows = yield from ask(_FIND, kind, key)
    return RECORDS.from_row(rows[0]) if rows else None


def insert_record(record: Record) -> Script[bool]:
    """`Records.insert_record`."""
    return (yield from change(_INSERT, *RECORDS.to_row(record))) == 1


def replace_record(before: Record, after: Record | None) -> Script[bool]:
    """`Records.replace_record`."""
    check_record(before, after)
    place = (before.kind, before.key, before.revision)
    if after is None:
        return (yield from change(_DELETE, *place)) == 1
    values = RECORDS.to_row(after, ("state", "due", "data", "revision"))
    return (yield from change(_REPLACE, *values, *place)) == 1


def select_records(kind: str, state: str, until: float, limit: int) -> Script[list[Record]]:
    """`Records.select_records`."""
    return [RECORDS.from_row(row) for row in (yield from ask(_DUE, kind, state, until, limit))]


def count_records(kind: str, state: str) -> Script[int]:
    """`Records.count_records`."""
    [(count,)] = yield from ask(_COUNT, kind, state)
    return int(str(count))
