"""A ledger in an SQLite file: durable, for one machine, any number of processes.

Theory of operation. A writer thread and a reader thread each own a connection. Writes that come at once are
committed together (`sqlite_thread`); reads do not wait for the disk behind them. Nothing runs on the caller's
event loop, so any number of loops can share one ledger.

Forks. A process must not use SQLite on a file that was open when it was forked, not even through a new
connection: SQLite keeps its locks in a table of the process, the child inherits the table but not the locks,
and another process may then delete the write-ahead log under it. So every ledger closes its connections
before a fork, and opens them again when it is next used, on either side.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from coinslot.errors import AlreadyClaimed, LedgerError
from coinslot.payments.ledger import Payment
from coinslot.storage import statements
from coinslot.storage.replacement import check_replacement
from coinslot.storage.sqlite_file import SQLiteFile
from coinslot.storage.sqlite_thread import SQLiteThread, Work

T = TypeVar("T")

# Every sixteenth lease clears away up to thirty-two lapsed ones: more than came, so they do not pile up.
_SWEEP_EVERY: Final = 16
_SWEEP_LIMIT: Final = 32


class SQLiteLedger:
    """The ledger at `path`, made by `open` if it is not there.

    A call waits at most about `patience` seconds for another program's lock, and then raises `LedgerError`.
    `clock` tells the Unix time that leases lapse by; processes that share a file must agree on it.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, patience: float = 5.0, clock: Callable[[], float] = time.time
    ) -> None:
        # Made absolute now: a daemon changes its directory later.
        self.path: Final = Path(path).absolute()
        self._patience = patience
        self._clock = clock
        self._leases = itertools.count(1)
        self._opened = False
        self._lock = threading.Lock()  # held while the threads are started, stopped or given work
        self._writer: SQLiteThread | None = None
        self._reader: SQLiteThread | None = None
        with _registry:
            _ledgers.add(self)

    def __repr__(self) -> str:
        return f"SQLiteLedger({str(self.path)!r})"

    async def open(self) -> None:
        """Make or migrate the file and connect to it; a ledger that was closed can be opened again.

        Raises `ConfigurationError` for a file that is another program's or a newer release's, and on a file
        system that cannot hold a ledger.
        """
        for thread in (self._writing, self._reading):  # the writer first: it makes the file
            with self._lock:
                connected = thread().submit(_nothing, durable=False)
            await connected
        self._opened = True

    async def close(self) -> None:
        """Commit what is queued, close the connections, end the threads."""
        await asyncio.to_thread(self._close)

    async def find(self, challenge_id: str) -> Payment | None:
        """The payment for this challenge."""

        def find(connection: sqlite3.Connection) -> Payment | None:
            row = connection.execute(statements.FIND, (challenge_id,)).fetchone()
            return None if row is None else statements.from_row(row)

        return await self._read(find)

    async def insert(self, payment: Payment) -> None:
        """Write down a new payment. Raises `AlreadyClaimed`."""
        row = statements.to_row(payment)

        def insert(connection: sqlite3.Connection) -> None:
            if connection.execute(statements.INSERT, row).rowcount == 0:
                by_challenge = connection.execute(statements.IS_CLAIMED, (payment.challenge_id,)).fetchone()
                raise AlreadyClaimed("challenge" if by_challenge else "proof")

        await self._write(insert, durable=True)

    async def replace(self, before: Payment, after: Payment) -> bool:
        """Compare-and-set on `before.revision`."""
        check_replacement(before, after)
        parameters = statements.to_replacement(before, after)

        def replace(connection: sqlite3.Connection) -> bool:
            return connection.execute(statements.REPLACE, parameters).rowcount == 1

        return await self._write(replace, durable=True)

    async def lease(self, challenge_id: str, owner: str, seconds: float) -> bool:
        """Take or renew the lease."""

        def lease(connection: sqlite3.Connection) -> bool:
            now = self._clock()
            if next(self._leases) % _SWEEP_EVERY == 0:
                connection.execute(statements.SWEEP, (now, _SWEEP_LIMIT))
            parameters = (challenge_id, owner, now + seconds, now)
            return connection.execute(statements.LEASE, parameters).rowcount == 1

        return await self._write(lease, durable=False)

    async def release(self, challenge_id: str, owner: str) -> None:
        """Give the lease back, if `owner` has it."""

        def release(connection: sqlite3.Connection) -> None:
            connection.execute(statements.RELEASE, (challenge_id, owner))

        await self._write(release, durable=False)

    def _read(self, work: Work[T]) -> asyncio.Future[T]:
        with self._lock:
            self._check_open()
            return self._reading().submit(work, durable=False)

    def _write(self, work: Work[T], *, durable: bool) -> asyncio.Future[T]:
        with self._lock:
            self._check_open()
            return self._writing().submit(work, durable=durable)

    def _check_open(self) -> None:
        if not self._opened:
            raise LedgerError(f"the ledger {self.path} is not open: await its open() first")

    def _reading(self) -> SQLiteThread:
        if self._reader is None:
            self._reader = self._start("reader", writes=False)
        return self._reader

    def _writing(self) -> SQLiteThread:
        if self._writer is None:
            self._writer = self._start("writer", writes=True)
        return self._writer

    def _start(self, role: str, *, writes: bool) -> SQLiteThread:
        create = writes and not self._opened
        file = SQLiteFile(self.path, writes=writes, create=create, patience=self._patience)
        thread = SQLiteThread(file, name=f"coinslot-ledger-{role}")
        weakref.finalize(self, thread.finish)  # a ledger that nobody closed
        return thread

    def _close(self) -> None:
        with self._lock:
            self._opened = False
            self._stop()

    def _stop(self) -> None:
        # The writer is last, because the last connection to close folds the log into the file.
        for thread in (self._reader, self._writer):
            if thread is not None:
                thread.stop()
        self._reader = self._writer = None

    def _before_fork(self) -> None:
        self._lock.acquire()
        self._stop()

    def _after_fork(self) -> None:
        self._lock.release()


def _nothing(_: sqlite3.Connection) -> None:
    """Work that only proves that there is a connection."""


_ledgers: weakref.WeakSet[SQLiteLedger] = weakref.WeakSet()
_registry = threading.Lock()  # held while a ledger is added, and during a fork
_forking: list[SQLiteLedger] = []


def _before_fork() -> None:
    _registry.acquire()
    _forking.extend(_ledgers)
    for ledger in _forking:
        ledger._before_fork()


def _after_fork() -> None:
    for ledger in _forking:
        ledger._after_fork()
    _forking.clear()
    _registry.release()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
