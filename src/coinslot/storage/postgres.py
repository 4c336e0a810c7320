"""A ledger in PostgreSQL: durable, for any number of machines.

Theory of operation. Every event loop has a pool of connections of its own (`per_loop`, `postgres_pool`). A
call is one statement, committed by itself, but for a new refund, which is a transaction that locks its
payment. The isolation level is read committed, so what is claimed is claimed by unique keys and row counts.

Leases go by the database's clock, whatever the workers' clocks say. Their commits do not wait for the disk:
if a crash of the server takes one back, its holder has to take it again.

Everything is in the schema `coinslot`, which `open` makes. What PostgreSQL's text cannot hold is escaped
(`postgres_text`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import asyncpg  # type: ignore[import-untyped]  # it has no stubs

from coinslot.errors import ConfigurationError, LedgerError
from coinslot.storage.per_loop import PerLoop
from coinslot.storage.postgres_pool import PostgresPool
from coinslot.storage.postgres_schema import migrate
from coinslot.storage.script import Dialect, Script
from coinslot.storage.sql_ledger import Need, SQLLedger

T = TypeVar("T")

_MIGRATION_PATIENCE: Final = 600.0
"""Seconds that building an index on very many rows may take."""

# `set_config` with true: until the end of the transaction, which is the statement.
_HASTY: Final = "set_config('synchronous_commit', 'off', true)"

DIALECT: Final = Dialect(
    total="sum({}::numeric)::text",
    day="trunc({})::bigint / 86400",
    hasty_from=f"FROM {_HASTY}",
    hasty_using=f"USING {_HASTY}",
    skip_locked="FOR UPDATE SKIP LOCKED",
)


class PostgresLedger(SQLLedger):
    """The ledger in the database at `url`, which is as libpq has it (`postgresql://…`).

    What the URL leaves out is taken from the environment (`PGPASSWORD`, `PGSSLMODE` …). Each event loop makes
    up to `connections` connections. A call takes at most `patience` seconds and then raises `LedgerError`;
    a report, whose rows are many, has a minute. `clock` is for tests.
    """

    def __init__(
        self,
        url: str,
        *,
        connections: int = 10,
        patience: float = 5.0,
        clock: Callable[[], float] | None = None,
    ) -> None:
        super().__init__(DIALECT)
        self._patience = patience
        self._opened = False
        self._pools = PerLoop(
            lambda: PostgresPool(url, connections=connections, patience=patience, clock=clock)
        )

    def __repr__(self) -> str:
        return "PostgresLedger()"

    async def open(self) -> None:
        """Connect, and make or migrate the tables.

        Raises `ConfigurationError` for a URL that makes no sense, a database that is not in UTF-8, and tables
        that are a newer release's.
        """
        pool = await self._pools.get()
        await pool.use(_check, self._patience)
        await pool.use(migrate, _MIGRATION_PATIENCE)
        self._opened = True

    async def close(self) -> None:
        """Finish what was asked for, and disconnect."""
        self._opened = False
        await self._pools.aclose()

    async def _run(self, script: Script[T], need: Need) -> T:
        first = next(script)
        if not self._opened:
            raise LedgerError("the PostgreSQL ledger is not open: await its open() first")
        return await (await self._pools.get()).run(script, first, need)


async def _check(connection: asyncpg.Connection) -> None:
    encoding = await connection.fetchval("SELECT current_setting('server_encoding')")
    if encoding != "UTF8":
        raise ConfigurationError(
            f"the database is in {encoding}, which cannot hold every text: make one with ENCODING 'UTF8'"
        )
