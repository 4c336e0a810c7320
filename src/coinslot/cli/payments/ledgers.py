"""The ledger that a command reads. It is there already, and reading does not change it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, TypeVar

from coinslot.cli.output import CommandError, Exit
from coinslot.errors import ConfigurationError
from coinslot.payments.ledger import Ledger
from coinslot.storage import open_ledger, schema
from coinslot.storage.memory import MemoryLedger
from coinslot.storage.sqlite import SQLiteLedger

DEFAULT: Final = "coinslot.db"
"""The file that a Paywall keeps its payments in unless it is told otherwise."""

_PATIENCE: Final = 5

T = TypeVar("T")


def read_ledger(url: str | None, work: Callable[[Ledger], Awaitable[T]]) -> T:
    """What `work` makes of the ledger at `url`, or of the one in this directory.

    Raises `CommandError` if there is none, `ConfigurationError` for a URL that names none, and `LedgerError`.
    """
    if url is None and not Path(DEFAULT).is_file():
        raise CommandError(
            f"there is no {DEFAULT} here: name the ledger with --ledger or COINSLOT_LEDGER", Exit.NO_PAYMENT
        )
    url = url or f"sqlite:///{DEFAULT}"
    ledger = open_ledger(url)
    check_presence(ledger)

    async def run() -> T:
        if url.lower().startswith("postgres"):
            await _check_database(url)
        await ledger.open()
        try:
            return await work(ledger)
        finally:
            await ledger.close()

    return asyncio.run(run())


def check_presence(ledger: Ledger) -> None:
    """Raise `CommandError` for a ledger that opening would make, or bring up to date."""
    if isinstance(ledger, MemoryLedger):
        raise CommandError(
            "a ledger in memory is in its server's process, where no other program can read it", Exit.USAGE
        )
    if not isinstance(ledger, SQLiteLedger):
        return
    if not ledger.path.is_file():
        raise CommandError(f"there is no ledger {ledger.path}", Exit.NO_PAYMENT)
    # What else may be wrong with it, opening it says.
    with suppress(sqlite3.Error, ConfigurationError):
        with closing(sqlite3.connect(f"{ledger.path.as_uri()}?mode=ro", uri=True)) as connection:
            version = schema.version(connection)
        _check_version(version, str(ledger.path))


async def _check_database(url: str) -> None:
    import asyncpg  # type: ignore[import-untyped]  # it has no stubs

    from coinslot.storage.postgres_errors import FAULTS
    from coinslot.storage.postgres_schema import version

    with suppress(*FAULTS, ConfigurationError):  # as above
        connection = await asyncpg.connect(url, timeout=_PATIENCE)
        try:
            found = await version(connection)
        finally:
            await connection.close()
        if found == 0:
            raise CommandError("there is no ledger in this database", Exit.NO_PAYMENT)
        _check_version(found, "the database")


def _check_version(found: int, name: str) -> None:
    if found < len(schema.MIGRATIONS):
        raise CommandError(
            f"{name} has an earlier release's ledger: a server of this release brings it up to date",
            Exit.NO_PAYMENT,
        )
