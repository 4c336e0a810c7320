"""The sandbox's state: one SQLite file, written by one thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias

from coinslot.errors import ConfigurationError

Clock: TypeAlias = Callable[[], float]
"""The time, in seconds since 1970."""

_VERSION: Final = 1

_SCHEMA: Final = """
CREATE TABLE devices (
    device_hash TEXT PRIMARY KEY,
    user_code   TEXT NOT NULL UNIQUE,
    client_id   TEXT NOT NULL,
    label       TEXT NOT NULL,
    scope       TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('pending', 'allowed', 'denied', 'used')),
    expires_at  REAL NOT NULL,
    polled_at   REAL
) STRICT;
CREATE TABLE grants (
    id         INTEGER PRIMARY KEY,
    client_id  TEXT NOT NULL,
    label      TEXT NOT NULL,
    scope      TEXT NOT NULL,
    revoked_at REAL
) STRICT;
CREATE TABLE tokens (
    token_hash TEXT PRIMARY KEY,
    grant_id   INTEGER NOT NULL REFERENCES grants (id),
    kind       TEXT NOT NULL CHECK (kind IN ('access', 'refresh')),
    expires_at REAL
) STRICT;
CREATE TABLE nicknames (
    payment_method TEXT PRIMARY KEY,
    nickname       TEXT NOT NULL
) STRICT;
CREATE TABLE spend_requests (
    id              TEXT PRIMARY KEY,
    status          TEXT NOT NULL,
    terms           TEXT NOT NULL,
    idempotency_key TEXT UNIQUE,
    created_at      REAL NOT NULL,
    updated_at      REAL NOT NULL,
    expires_at      REAL NOT NULL,
    decide_by       REAL,
    action          TEXT,
    token           TEXT,
    failure         TEXT
) STRICT;
"""


class Database:
    """The connection. Everything runs on the thread that opened it, one transaction after the other."""

    def __init__(self, path: str | Path) -> None:
        """Open `path`, or make it; `":memory:"` keeps nothing. Raises `ConfigurationError`."""
        try:
            self._connection = sqlite3.connect(path, isolation_level=None)
        except sqlite3.Error as error:
            raise ConfigurationError(f"{path} cannot keep the sandbox's state: {error}") from error
        try:
            found = self._prepare()
        except sqlite3.Error as error:
            self._connection.close()
            raise ConfigurationError(f"{path} cannot keep the sandbox's state: {error}") from error
        if found != _VERSION:
            self._connection.close()
            raise ConfigurationError(f"{path} was made by another version of the sandbox: name another file")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything in the block, or nothing of it."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _prepare(self) -> int:
        """Have the tables there; the version that they are of."""
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA foreign_keys = ON")
        (found,) = self._connection.execute("PRAGMA user_version").fetchone()
        if found == 0:
            self._connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
            return _VERSION
        return int(found)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
