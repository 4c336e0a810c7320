"""Shelves: records of one kind, with what is in them decoded."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from coinslot.payments.records import Record, Records

T = TypeVar("T")

EVER: Final = 1e12
"""A time after all others, in Unix seconds."""

_MOST: Final = 20_000  # records that are looked at together


class Item(Struct, Generic[T], frozen=True):
    """A record, and what is in it."""

    record: Record
    value: T

    @property
    def key(self) -> str:
        """The record's name on its shelf."""
        return self.record.key

    @property
    def state(self) -> str:
        """The record's state."""
        return self.record.state

    @property
    def due(self) -> float:
        """When somebody should look at it, in Unix seconds."""
        return self.record.due


class Shelf(Generic[T]):
    """The records of `kind`, each with a `shape` in it. Every call may raise `LedgerError`."""

    def __init__(self, records: Records, kind: str, shape: type[T]) -> None:
        self._records = records
        self._kind = kind
        self._decoder = msgspec.json.Decoder(shape)

    async def put(self, key: str, value: T, *, state: str, due: float) -> Item[T] | None:
        """A new one; None, and nothing, if there is one of this name."""
        record = Record(kind=self._kind, key=key, state=state, due=due, data=msgspec.json.encode(value))
        return Item(record, value) if await self._records.insert_record(record) else None

    async def find(self, key: str) -> Item[T] | None:
        """The one of this name."""
        record = await self._records.find_record(self._kind, key)
        return None if record is None else self._item(record)

    async def select(self, *states: str, until: float = EVER, limit: int = _MOST) -> list[Item[T]]:
        """Those in these states that are due, at most `limit` in each, the longest due first."""
        found: list[Item[T]] = []
        for state in states:
            records = await self._records.select_records(self._kind, state, until=until, limit=limit)
            found += map(self._item, records)
        return found

    async def change(
        self, item: Item[T], *, value: T | None = None, state: str | None = None, due: float | None = None
    ) -> Item[T] | None:
        """Write it down as it is now; None, and nothing, if somebody else has changed it since."""
        before = item.record
        after = replace(
            before,
            state=before.state if state is None else state,
            due=before.due if due is None else due,
            data=before.data if value is None else msgspec.json.encode(value),
            revision=before.revision + 1,
        )
        if not await self._records.replace_record(before, after):
            return None
        return Item(after, item.value if value is None else value)

    async def remove(self, item: Item[T]) -> bool:
        """Forget it; False, and nothing, if somebody else has changed it since."""
        return await self._records.replace_record(item.record, None)

    async def count(self, state: str) -> int:
        """How many are in this state."""
        return await self._records.count_records(self._kind, state)

    def _item(self, record: Record) -> Item[T]:
        return Item(record, self._decoder.decode(record.data))
