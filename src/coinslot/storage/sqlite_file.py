"""A ledger's SQLite file: how it is made, opened, lost, opened again, and what its errors mean.

What is settled here, because money depends on it:

- The file is made by nobody but the first `open()` of a ledger, with mode 0600. A file that goes missing
  later is an error until it is back: an empty ledger in its place would let every proof pay a second time.
- A commit counts only if the file is still at its path afterwards. SQLite itself goes on writing to a
  deleted file, and those writes are gone with the last connection.
- Payments are committed with `synchronous=FULL`: they are on the disk before anybody is told. Leases are not
  worth the wait: if a power cut takes one back, its holder is gone too.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from coinslot.errors import ConfigurationError, LedgerError
from coinslot.storage import schema

# KiB that a connection may keep in memory: the upper levels of every index of some million payments.
_CACHE: Final = 32 * 1024

# How long to pause before trying again what SQLite's own busy handler does not cover.
_PAUSE: Final = 0.01

# Closing any descriptor of a file drops the locks that this process has on it (POSIX fcntl), so nobody may
# connect between the making of the file and the closing of the descriptor that made it.
_connecting = threading.Lock()

_SENTENCES: Final = {
    sqlite3.SQLITE_BUSY: "is locked by another program, and stayed so",
    sqlite3.SQLITE_LOCKED: "is locked by another program, and stayed so",
    sqlite3.SQLITE_FULL: "cannot grow: the disk is full, or a quota is",
    sqlite3.SQLITE_READONLY: "cannot be written: check the permissions of the file and of its directory",
    sqlite3.SQLITE_PERM: "cannot be used: check the permissions of the file and of its directory",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: it is missing, or the permissions of its directory forbid it",
    sqlite3.SQLITE_NOTADB: "is not an SQLite file, or is damaged: restore it from a backup",
    sqlite3.SQLITE_CORRUPT: "is damaged: restore it from a backup",
    sqlite3.SQLITE_IOERR: "is on a disk that fails",
    sqlite3.SQLITE_CONSTRAINT: "refused a value that no payment may have",
}


class SQLiteFile:
    """One connection to a ledger's file, made anew whenever it was lost. For use by one thread.

    `create` allows the first connection to make and migrate the file. `patience` is how long to wait for
    other programs' locks, in seconds. Statements can use `wall_clock()`, which is `clock`, and
    `exact_sum(text)`, which adds up integers of any size.
    """

    def __init__(
        self,
        path: Path,
        *,
        writes: bool,
        create: bool,
        patience: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._writes = writes
        self._create = create
        self._patience = patience
        self._clock = clock
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    def begin(self, *, durable: bool) -> sqlite3.Connection:
        """Begin a transaction. With `durable`, its commit waits for the disk."""
        if self._connection is None:
            self._connection = self._connect()
        if self._writes:
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._connection.execute("BEGIN IMMEDIATE")
        else:
            self._connection.execute("BEGIN")
        return self._connection

    def commit(self) -> None:
        """Commit. Raises `LedgerError` if the file is no longer where it was."""
        assert self._connection is not None
        self._connection.execute("COMMIT")
        if self._stat() != self._identity:
            raise LedgerError(f"the ledger {self._path} was moved, deleted or replaced while in use")

    def drop(self) -> None:
        """Close the connection, undoing what was not committed. The next `begin` connects again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):  # it may be the very thing that is broken
                connection.close()

    def explain(self, error: Exception) -> Exception:
        """The error as a caller may see it: a `CoinslotError` whose message says what to do."""
        if isinstance(error, LedgerError | ConfigurationError):
            return type(error)(*error.args)
        if isinstance(error, sqlite3.Error):
            name = getattr(error, "sqlite_errorname", type(error).__name__)
            sentence = _SENTENCES.get(_code(error), "does not work")
            return LedgerError(f"the ledger {self._path} {sentence} ({name})")
        if isinstance(error, OSError):
            return LedgerError(f"the ledger {self._path} cannot be used: {error.strerror}")
        return LedgerError(f"the ledger {self._path} does not work ({type(error).__name__})")

    def _connect(self) -> sqlite3.Connection:
        deadline = time.monotonic() + self._patience
        while True:
            try:
                connection = self._open()
            except sqlite3.OperationalError as error:
                # Of two that switch a new file to WAL at once, one fails without SQLite having waited.
                if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE)
            else:
                self._create = False
                self._identity = self._stat()
                return connection

    def _open(self) -> sqlite3.Connection:
        with _connecting:
            if self._create:
                with suppress(FileExistsError):
                    os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            connection = sqlite3.connect(
                f"{self._path.as_uri()}?mode=rw", uri=True, timeout=self._patience, isolation_level=None
            )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        # Before anything is changed: it may be somebody else's file.
        if self._version(connection) != len(schema.MIGRATIONS) and not self._create:
            raise LedgerError(f"the ledger {self._path} was replaced by an empty or an older file")
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise ConfigurationError(
                f"the ledger {self._path} needs SQLite's WAL mode, which its file system does not support: "
                "put it on a local disk"
            )
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")  # macOS: through the drive's cache, too
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA cache_size = -{_CACHE}")
        connection.create_function("wall_clock", 0, self._clock)
        connection.create_aggregate("exact_sum", 1, _ExactSum)  # type: ignore[arg-type]  # typeshed has step(self, *args: Never)
        if self._create:
            schema.migrate(connection)

    def _version(self, connection: sqlite3.Connection) -> int:
        try:
            return schema.version(connection)
        except ConfigurationError as error:
            problem = f"{self._path}: {error}"
            raise (ConfigurationError(problem) if self._create else LedgerError(problem)) from None

    def _stat(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino


class _ExactSum:
    """SQLite's own `sum` ends at 64 bits."""

    def __init__(self) -> None:
        self.sum = 0

    def step(self, amount: str) -> None:
        self.sum += int(amount)

    def finalize(self) -> str:
        return str(self.sum)


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 for an error of the Python module's own."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF
