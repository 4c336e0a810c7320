"""Records in memory."""

from __future__ import annotations

import heapq
import threading
from collections import defaultdict

from coinslot.errors import LedgerError
from coinslot.payments.records import Record
from coinslot.storage.replacement import check_record


class MemoryRecords:
    """Keeps at most `capacity` records."""

    def __init__(self, capacity: int) -> None:
        self._record_capacity = capacity
        self._record_lock = threading.Lock()
        self._records: dict[tuple[str, str], Record] = {}
        self._records_by_state: defaultdict[tuple[str, str], dict[str, Record]] = defaultdict(dict)

    async def find_record(self, kind: str, key: str) -> Record | None:
        """The record of this name."""
        with self._record_lock:
            return self._records.get((kind, key))

    async def insert_record(self, record: Record) -> bool:
        """Write a new record, if there is none of this name. Raises `LedgerError` if there is no room."""
        with self._record_lock:
            if (record.kind, record.key) in self._records:
                return False
            if len(self._records) >= self._record_capacity:
                raise LedgerError(f"the memory ledger is full: it keeps {self._record_capacity} records")
            self._put_record(record)
            return True

    async def replace_record(self, before: Record, after: Record | None) -> bool:
        """Compare-and-set on `before.revision`; None deletes it."""
        check_record(before, after)
        with self._record_lock:
            current = self._records.get((before.kind, before.key))
            if current is None or current.revision != before.revision:
                return False
            del self._records[current.kind, current.key]
            del self._records_by_state[current.kind, current.state][current.key]
            if after is not None:
                self._put_record(after)
            return True

    async def select_records(self, kind: str, state: str, *, until: float, limit: int) -> list[Record]:
        """Records that are due by `until`, the longest due first."""
        with self._record_lock:
            due = [record for record in self._records_by_state[kind, state].values() if record.due <= until]
        return heapq.nsmallest(limit, due, key=lambda record: (record.due, record.key))

    async def count_records(self, kind: str, state: str) -> int:
        """How many there are."""
        with self._record_lock:
            return len(self._records_by_state[kind, state])

    def _put_record(self, record: Record) -> None:
        self._records[record.kind, record.key] = record
        self._records_by_state[record.kind, record.state][record.key] = record
