"""The state: one SQLite file, one thread that writes to it, one transaction for each request.

Whatever a request does is in the file, or none of it is: objects, events, what is to be delivered and done
later, and the answer that its idempotency key keeps. So a restart on the same file loses nothing.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from coinslot.errors import ConfigurationError
from coinslot.sandbox.stripe.state import Settings, State

T = TypeVar("T")

MEMORY: Final = ":memory:"
"""The path of a state that is lost at the end."""

_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE objects (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    account TEXT NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (kind, id)
) STRICT;
CREATE INDEX objects_of_account ON objects (account, kind, sequence);
CREATE TABLE idempotency (
    account TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    path TEXT NOT NULL,
    request_id TEXT NOT NULL,
    begun REAL NOT NULL,
    status INTEGER,
    body BLOB,
    PRIMARY KEY (account, key)
) STRICT;
CREATE TABLE timers (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    due REAL NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL
) STRICT;
CREATE INDEX timers_due ON timers (due);
CREATE TABLE deliveries (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    event TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    due REAL,
    attempts INTEGER NOT NULL DEFAULT 0,
    outcome TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX deliveries_due ON deliveries (due);
CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
"""


class Store:
    """The state in `path`, or in memory. `settings` say how long things take."""

    def __init__(self, path: str | Path, settings: Settings) -> None:
        self._path = str(path)
        self._settings = settings
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="coinslot-stripe-state")
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open the file, and make it if it is new. Raises `ConfigurationError` if it cannot be used."""
        await self._submit(self._open)

    async def run(self, work: Callable[[State], T]) -> T:
        """What `work` returns, done in a transaction of its own.

        It is undone if `work` raises.
        """
        return await self._submit(lambda: self._transact(work))

    async def close(self) -> None:
        """Close the file."""
        await self._submit(self._close)
        self._thread.shutdown()

    async def _submit(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _open(self) -> None:
        try:
            connection = sqlite3.connect(self._path, isolation_level=None)
            connection.execute("PRAGMA journal_mode = WAL")
            # Survives the process, and not the machine: this is no ledger, and it is asked a lot in tests.
            connection.execute("PRAGMA synchronous = NORMAL")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT")
        except sqlite3.Error as error:
            raise ConfigurationError(f"the state in {self._path} cannot be used: {error}") from error
        if version not in (0, _VERSION):
            connection.close()
            raise ConfigurationError(
                f"the state in {self._path} is of another version; delete it, or name another"
            )
        self._connection = connection

    def _transact(self, work: Callable[[State], T]) -> T:
        assert self._connection is not None, "the state is not open"
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(State(connection, self._settings))
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        return result

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
