"""Records: what a method keeps beside its payments, in its own encoding.

An address that may be handed out, a message that still has to be sent. The ledger finds them by kind and key,
or by state in the order in which they fall due; what is in them is the method's business.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct


class Record(Struct, frozen=True, kw_only=True):
    """One row. `kind` and `key` name it; `due` is in Unix seconds. `data` is never shown by `repr`."""

    kind: str
    key: str
    state: str
    due: float
    data: bytes = b""
    revision: int = 0

    def __repr__(self) -> str:
        return f"Record(kind={self.kind!r}, key={self.key!r}, state={self.state!r}, due={self.due!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [(name, getattr(self, name)) for name in ("kind", "key", "state", "due")]


class Records(Protocol):
    """A store of records. Each call is atomic, may raise `LedgerError`, and is durable when it returns."""

    async def find_record(self, kind: str, key: str) -> Record | None:
        """The record of this name."""
        ...

    async def insert_record(self, record: Record) -> bool:
        """Write a new record; False, and nothing, if there is one of this name."""
        ...

    async def replace_record(self, before: Record, after: Record | None) -> bool:
        """Compare-and-set: write `after` if the record is still at `before.revision`, else return False.

        `after` has the same name and a revision of one more; `ValueError` if it does not. None deletes it.
        """
        ...

    async def select_records(self, kind: str, state: str, *, until: float, limit: int) -> list[Record]:
        """The records of this kind in this state that are due by `until`, the longest due first."""
        ...

    async def count_records(self, kind: str, state: str) -> int:
        """How many there are."""
        ...
