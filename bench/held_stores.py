"""Stores to be filled: each with the quickest way in that it has, past the ledger's own."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final, Self

import asyncpg  # type: ignore[import-untyped]  # it has no stubs

from coinslot.payments.leases import Leases
from coinslot.payments.ledger import Ledger
from coinslot.payments.payment import Payment, State
from coinslot.storage import MemoryLedger, PostgresLedger, RedisCache, SQLiteLedger
from coinslot.storage.redis import PREFIX
from coinslot.storage.rows import PAYMENTS, Value
from ledgers import make_payment
from postgres import PostgresServer
from redis_server import RedisServer

LIFE: Final = 36_000.0
"""Seconds that the leases which are held would last."""


class Store(ABC):
    """One store, while it is entered. What has no `ledger` is asked for leases only."""

    ledger: Ledger
    leases: Leases

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def __aenter__(self) -> Self:
        await self.ledger.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.ledger.close()

    def has(self, operation: str) -> bool:
        """Whether it can be asked this."""
        return operation == "lease" or hasattr(self, "ledger")

    @abstractmethod
    async def fill(self, held: int) -> None:
        """Hold so many payments, and as many leases."""

    @abstractmethod
    async def let_leases_lapse(self) -> None:
        """Have all leases that are held end now."""

    @abstractmethod
    async def count_held_leases(self) -> int:
        """How many of them are still stored."""


class MemoryStore(Store):
    """In this process."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._ahead = 0.0
        self.ledger = self.leases = self._memory = MemoryLedger(
            4_000_000, clock=lambda: time.time() + self._ahead
        )

    async def fill(self, held: int) -> None:
        for number, payment in enumerate(_payments(held)):
            await self._memory.insert(payment)
            await self._memory.lease(f"held-{number}", "owner", LIFE)

    async def let_leases_lapse(self) -> None:
        self._ahead = LIFE

    async def count_held_leases(self) -> int:
        return sum(name.startswith("held-") for name in self._memory._leases)


class SQLiteStore(Store):
    """A file."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._path = folder / "ledger.db"
        self.ledger = self.leases = SQLiteLedger(self._path, patience=60)

    async def fill(self, held: int) -> None:
        insert = f"INSERT INTO payments ({PAYMENTS.names}) VALUES ({PAYMENTS.marks})"

        def write() -> None:
            with closing(sqlite3.connect(self._path)) as connection, connection:
                connection.executemany(insert, map(PAYMENTS.to_row, _payments(held)))
                connection.executemany("INSERT INTO leases VALUES (?, ?, ?)", _leases(held))
                connection.execute("ANALYZE")

        await asyncio.to_thread(write)

    async def let_leases_lapse(self) -> None:
        with closing(sqlite3.connect(self._path)) as connection, connection:
            connection.execute("UPDATE leases SET until = until - ?", (2 * LIFE,))

    async def count_held_leases(self) -> int:
        with closing(sqlite3.connect(self._path)) as connection:
            sql = "SELECT count(*) FROM leases WHERE challenge_id LIKE 'held-%'"
            return int(connection.execute(sql).fetchone()[0])


class PostgresStore(Store):
    """A server of its own, which waits for the disk."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._server = PostgresServer("fsync=on", "full_page_writes=on", "max_wal_size=4GB")
        self._server.start()
        self._url = self._server.new_database()
        self.ledger = self.leases = PostgresLedger(self._url, patience=60)

    async def __aexit__(self, *_: object) -> None:
        await self.ledger.close()
        self._server.close()

    async def fill(self, held: int) -> None:
        connection = await asyncpg.connect(self._url)
        rows = map(PAYMENTS.to_row, _payments(held))
        for table, columns, records in (
            ("payments", PAYMENTS.columns, rows),
            ("leases", ("challenge_id", "owner", "until"), _leases(held)),
        ):
            await connection.copy_records_to_table(
                table, schema_name="coinslot", columns=columns, records=records, timeout=None
            )
        await connection.execute("VACUUM ANALYZE coinslot.payments, coinslot.leases")
        await connection.execute("CHECKPOINT")
        await connection.close()

    async def let_leases_lapse(self) -> None:
        self._server.query(f"UPDATE coinslot.leases SET until = until - {2 * LIFE}", self._url)

    async def count_held_leases(self) -> int:
        sql = "SELECT count(*) FROM coinslot.leases WHERE challenge_id LIKE 'held-%'"
        return int(await asyncio.to_thread(self._server.query, sql, self._url))


class RedisStore(Store):
    """A server of its own: a cache, so it has leases and no payments."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._server = RedisServer().start()
        self.leases = self._cache = RedisCache(self._server.url, patience=60)

    async def __aenter__(self) -> Self:
        await self._cache.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._cache.close()
        self._server.close()

    async def fill(self, held: int) -> None:
        await asyncio.to_thread(self._for_each, held, LIFE)

    async def let_leases_lapse(self) -> None:
        held = await self.count_held_leases()
        await asyncio.to_thread(self._for_each, held, 0.001)

    async def count_held_leases(self) -> int:
        with self._server.client() as client:
            return sum(1 for _ in client.scan_iter(f"{PREFIX}lease:held-*", count=10_000))

    def _for_each(self, held: int, seconds: float) -> None:
        with self._server.client() as client:
            for start in range(0, held, 10_000):
                pipeline = client.pipeline(transaction=False)
                for number in range(start, min(held, start + 10_000)):
                    pipeline.set(f"{PREFIX}lease:held-{number}", "owner", px=int(seconds * 1000))
                pipeline.execute()


def _payments(held: int) -> Iterator[Payment]:
    """Delivered payments of the past days, and a hundred whose outcome is not known."""
    for number in range(held):
        state = State.UNKNOWN if number < 100 else State.DELIVERED
        yield make_payment(
            challenge_id=f"held-{number}",
            proof_key=f"scrip:held-{number}",
            reference=f"held-{number}",
            state=state,
            created_at=1_600_000_000.0 + number,
        )


def _leases(held: int) -> Iterator[tuple[Value, ...]]:
    until = time.time() + LIFE
    return ((f"held-{number}", "owner", until) for number in range(held))
