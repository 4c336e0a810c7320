"""Connections to PostgreSQL, of one event loop: how a script is run, within a time, on one that works.

What was asked is done also if its caller goes away: half of a conversation would cost the connection. After
anything but a caller's own fault the connection is dropped, and all others of the pool are replaced before
they are used again: a server that was restarted, or cut off, has lost them too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeAlias, TypeVar, cast

import asyncpg  # type: ignore[import-untyped]  # it has no stubs

from coinslot.errors import CoinslotError
from coinslot.storage.postgres_errors import FAULTS, OWN_FAULTS, explain, not_a_url
from coinslot.storage.postgres_schema import SCHEMA
from coinslot.storage.postgres_text import from_postgres, numbered, to_postgres
from coinslot.storage.script import Result, Script, Statement
from coinslot.storage.sql_ledger import Need

T = TypeVar("T")
Work: TypeAlias = Callable[[asyncpg.Connection], Coroutine[Any, Any, T]]

REPORT_PATIENCE: Final = 60.0
"""Seconds that a report may take: it reads many rows, and nobody's payment waits for it."""

# Of the statement, not of the moment: an index can be searched only for what stays the same meanwhile.
NOW: Final = "extract(epoch FROM statement_timestamp())::float8"

# Whatever the database or its user is set to. Where commits do not wait for the disk, they are made to.
_SETUP: Final = """
    SELECT set_config('search_path', $1, false), set_config('statement_timeout', $2, false),
           set_config('lock_timeout', $3, false),
           set_config('idle_in_transaction_session_timeout', $4, false),
           set_config('default_transaction_isolation', 'read committed', false),
           set_config('synchronous_commit', CASE current_setting('synchronous_commit')
               WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false)
"""


class PostgresPool:
    """Up to `connections` connections, each made when it is first needed.

    `patience` bounds every call, in seconds. `clock` is for tests: without it the database's is gone by.
    """

    def __init__(
        self, url: str, *, connections: int, patience: float, clock: Callable[[], float] | None
    ) -> None:
        self._url = url
        self._connections = connections
        self._patience = patience
        self._clock = clock
        self._opening = asyncio.Lock()
        self._pool: asyncpg.Pool | None = None
        self._running: set[asyncio.Task[Any]] = set()

    async def run(self, script: Script[T], first: Statement, need: Need) -> T:
        """Run a script from its first statement on. Raises `LedgerError` and what the script raises."""
        patience = REPORT_PATIENCE if need is Need.REPORT else self._patience
        return await self._shielded(
            self._bounded(lambda found: self._play(found, script, first, need), patience)
        )

    async def use(self, work: Work[T], patience: float) -> T:
        """Do something else on a connection. Raises as `run` does."""
        return await self._shielded(self._bounded(work, patience))

    async def aclose(self) -> None:
        """Finish what was asked for, and disconnect."""
        if self._running:
            await asyncio.wait(self._running, timeout=self._patience)
        if self._pool is not None:
            pool, self._pool = self._pool, None
            with suppress(*FAULTS):  # then they are cut off
                async with asyncio.timeout(self._patience):
                    await pool.close()

    async def _shielded(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _bounded(self, work: Work[T], patience: float) -> T:
        try:
            async with asyncio.timeout(patience):
                pool = await self._connected()
                return await self._on_connection(pool, work)
        except FAULTS as error:
            # Not `from error`: what it says, or what caused it, may quote a row or the URL.
            raise explain(error) from None

    async def _on_connection(self, pool: asyncpg.Pool, work: Work[T]) -> T:
        connection = await pool.acquire()
        try:
            return await work(cast("asyncpg.Connection", connection))  # a proxy, which has all that one has
        except (CoinslotError, *OWN_FAULTS):
            raise
        except BaseException:
            connection.terminate()
            await pool.expire_connections()
            raise
        finally:
            # An idle server answers at once; one that was cut off never does.
            await pool.release(connection, timeout=self._patience)

    async def _connected(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._url,
                    min_size=0,
                    max_size=self._connections,
                    timeout=self._patience,
                    connect=_connect,
                    init=self._set_up,
                    reset=_leave_alone,
                )
            return self._pool

    async def _set_up(self, connection: asyncpg.Connection) -> None:
        # The server gives up on a lock a little earlier than the caller does, and keeps the connection.
        waits = (REPORT_PATIENCE, 0.8 * self._patience, self._patience)
        await connection.execute(_SETUP, SCHEMA, *(str(int(1000 * seconds)) for seconds in waits))

    async def _play(
        self, connection: asyncpg.Connection, script: Script[T], first: Statement, need: Need
    ) -> T:
        if need is not Need.TRANSACTION:
            return await self._play_each(connection, script, first)
        await connection.execute("BEGIN")
        try:
            value = await self._play_each(connection, script, first)
        except (CoinslotError, *OWN_FAULTS):
            await connection.execute("ROLLBACK")
            raise
        await connection.execute("COMMIT")
        return value

    async def _play_each(self, connection: asyncpg.Connection, script: Script[T], first: Statement) -> T:
        statement = first
        while True:
            sql = numbered(statement.sql).replace("wall_clock()", self._now())
            values = [to_postgres(value) for value in statement.values]
            if statement.reads:
                rows = await connection.fetch(sql, *values)
                result = Result(rows=[[from_postgres(value) for value in row] for row in rows])
            else:
                status: str = await connection.execute(sql, *values)
                result = Result(changed=int(status.rpartition(" ")[2]))
            try:
                statement = script.send(result)
            except StopIteration as end:
                value: T = end.value
                return value

    def _now(self) -> str:
        return NOW if self._clock is None else f"{self._clock()!r}::float8"


async def _connect(url: str, **settings: Any) -> asyncpg.Connection:
    try:
        return await asyncpg.connect(url, **settings)
    except ValueError:
        raise not_a_url() from None


async def _leave_alone(_: asyncpg.Connection) -> None:
    """How a connection is made ready for the next script: there is nothing to undo."""
