"""A ledger in an SQLite file: durable, for one machine, any number of processes.

Theory of operation. Up to three threads each own a connection: a writer, a reader, and a reporter for what
may take long. Writes that come at once are committed together (`sqlite_thread`); reads do not wait for the
disk behind them, nor for reports. Nothing runs on the caller's event loop, so any number of loops can share
one ledger.

Forks. A process must not use SQLite on a file that was open when it was forked, not even through a new
connection: SQLite keeps its locks in a table of the process, the child inherits the table but not the locks,
and another process may then delete the write-ahead log under it. So every ledger closes its connections
before a fork, and opens them again when it is next used, on either side.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from coinslot.errors import LedgerError
from coinslot.storage.script import Dialect, Result, Script, Statement
from coinslot.storage.sql_ledger import Need, SQLLedger
from coinslot.storage.sqlite_file import SQLiteFile
from coinslot.storage.sqlite_thread import SQLiteThread

T = TypeVar("T")

# `wall_clock` and `exact_sum` are given to every connection by `SQLiteFile`.
DIALECT: Final = Dialect(total="exact_sum({})", day="CAST({} AS INTEGER) / 86400")

_ROLES: Final = {Need.FIND: "reader", Need.REPORT: "reporter"}


class SQLiteLedger(SQLLedger):
    """The ledger at `path`, made by `open` if it is not there.

    A call waits at most about `patience` seconds for another program's lock, and then raises `LedgerError`.
    `clock` tells the Unix time that leases lapse by; processes that share a file must agree on it.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, patience: float = 5.0, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(DIALECT)
        # Made absolute now: a daemon changes its directory later.
        self.path: Final = Path(path).absolute()
        self._patience = patience
        self._clock = clock
        self._opened = False
        self._lock = threading.Lock()  # held while the threads are started, stopped or given work
        self._threads: dict[str, SQLiteThread] = {}
        with _registry:
            _ledgers.add(self)

    def __repr__(self) -> str:
        return f"SQLiteLedger({str(self.path)!r})"

    async def open(self) -> None:
        """Make or migrate the file and connect to it; a ledger that was closed can be opened again.

        Raises `ConfigurationError` for a file that is another program's or a newer release's, and on a file
        system that cannot hold a ledger.
        """
        for role in ("writer", "reader"):  # the writer first: it makes the file
            with self._lock:
                connected = self._thread(role).submit(_nothing, durable=False)
            await connected
        self._opened = True

    async def close(self) -> None:
        """Commit what is queued, close the connections, end the threads."""
        await asyncio.to_thread(self._close)

    async def _run(self, script: Script[T], need: Need) -> T:
        first = next(script)

        def work(connection: sqlite3.Connection) -> T:
            return _play(script, first, connection)

        with self._lock:
            self._check_open()
            thread = self._thread(_ROLES.get(need, "writer"))
            answer = thread.submit(work, durable=need is not Need.HOLD)
        return await answer

    def _check_open(self) -> None:
        if not self._opened:
            raise LedgerError(f"the ledger {self.path} is not open: await its open() first")

    def _thread(self, role: str) -> SQLiteThread:
        thread = self._threads.get(role)
        if thread is None:
            thread = self._threads[role] = self._start(role)
        return thread

    def _start(self, role: str) -> SQLiteThread:
        writes = role == "writer"
        file = SQLiteFile(
            self.path,
            writes=writes,
            create=writes and not self._opened,
            patience=self._patience,
            clock=self._clock,
        )
        thread = SQLiteThread(file, name=f"coinslot-ledger-{role}")
        weakref.finalize(self, thread.finish)  # a ledger that nobody closed
        return thread

    def _close(self) -> None:
        with self._lock:
            self._opened = False
            self._stop()

    def _stop(self) -> None:
        # The writer is last, because the last connection to close folds the log into the file.
        for role in ("reporter", "reader", "writer"):
            if role in self._threads:
                self._threads.pop(role).stop()

    def _before_fork(self) -> None:
        self._lock.acquire()
        self._stop()

    def _after_fork(self) -> None:
        self._lock.release()


def _play(script: Script[T], first: Statement, connection: sqlite3.Connection) -> T:
    """Run a script, from its first statement on, within the connection's transaction."""
    statement = first
    while True:
        cursor = connection.execute(statement.sql, statement.values)
        result = Result(rows=cursor.fetchall()) if statement.reads else Result(changed=cursor.rowcount)
        try:
            statement = script.send(result)
        except StopIteration as end:
            value: T = end.value
            return value


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
