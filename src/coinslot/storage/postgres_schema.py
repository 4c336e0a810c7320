"""The tables in a PostgreSQL database: the same migrations as SQLite's, in a schema of their own."""

from __future__ import annotations

from typing import Final

import asyncpg  # type: ignore[import-untyped]  # it has no stubs

from coinslot.errors import ConfigurationError
from coinslot.storage.postgres_text import definition
from coinslot.storage.schema import APPLICATION_ID, MIGRATIONS

SCHEMA: Final = "coinslot"

_HAS_SCHEMA: Final = "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)"
# One statement, so that it cannot see half of what another process migrates meanwhile.
_INSPECT: Final = (
    "SELECT coalesce(bool_or(relname = 'migrations'), false), count(*) > 0 "
    "FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = $1"
)
_VERSION: Final = f"SELECT coalesce(max(number), 0) FROM {SCHEMA}.migrations"  # noqa: S608 - a constant


async def version(connection: asyncpg.Connection) -> int:
    """How many migrations a database has had; 0 for one without the schema.

    Raises `ConfigurationError` if the schema is somebody else's, or a newer release's.
    """
    ((is_ours, has_tables),) = await connection.fetch(_INSPECT, SCHEMA)
    if is_ours:
        number = int(str(await connection.fetchval(_VERSION)))
        if number > len(MIGRATIONS):
            raise ConfigurationError(
                f"the ledger was written by a newer release of Coinslot (schema {number}; this release knows "
                f"{len(MIGRATIONS)}): upgrade Coinslot, or use another database"
            )
        return number
    if has_tables:
        raise ConfigurationError(
            f"the database has a schema {SCHEMA} that is another program's: "
            "give the ledger a database of its own"
        )
    return 0


async def migrate(connection: asyncpg.Connection) -> None:
    """Bring a database up to date: all of it, or nothing. Safe while other processes do the same.

    The connection has the schema as its search path, and is in no transaction. Raises as `version` does, and
    asyncpg's errors.
    """
    if await version(connection) == len(MIGRATIONS):
        return
    async with connection.transaction():
        # Building an index on many rows takes its time, and so does waiting for somebody who does.
        await connection.execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
        await connection.execute("SELECT pg_advisory_xact_lock($1)", APPLICATION_ID)
        if not await connection.fetchval(_HAS_SCHEMA, SCHEMA):
            await connection.execute(f"CREATE SCHEMA {SCHEMA}")
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations (number INTEGER NOT NULL PRIMARY KEY)"
        )
        # Asked again behind the lock: another process may have come first.
        for number in range(await version(connection), len(MIGRATIONS)):
            for statement in MIGRATIONS[number]:
                await connection.execute(definition(statement))
            await connection.execute("INSERT INTO migrations VALUES ($1)", number + 1)
