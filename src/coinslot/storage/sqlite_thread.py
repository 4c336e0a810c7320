"""One thread for one connection, with group commit.

Whatever was queued while a transaction was being committed goes into the next one together: a hundred
payments at once wait for the disk once, not a hundred times. One alone waits no longer than it must: nothing
is held back in the hope of company.

A job's own failure (a claim that is taken, a value that the table refuses) is its caller's alone: what a job
is for is one statement, and SQLite undoes a failed statement by itself. A failure of the file, or of the
commit, is every caller's in the batch.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Final, Generic, TypeVar

from coinslot.errors import CoinslotError
from coinslot.storage.sqlite_file import SQLiteFile

logger = logging.getLogger("coinslot.storage")

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

# Bounds how long the first of a batch waits for the last; a larger batch is hardly cheaper.
BATCH: Final = 256

# Raised for what one job asked, while the transaction stands.
_OWN_FAULTS: Final = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    UnicodeError,
    OverflowError,
)


class _Job(Generic[T]):
    """Something to do on the connection, and who waits for it."""

    __slots__ = ("durable", "error", "future", "loop", "result", "work")

    def __init__(self, work: Work[T], *, durable: bool) -> None:
        self.work = work
        self.durable = durable
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[T] = self.loop.create_future()
        self.result: T | None = None
        self.error: Exception | None = None

    def run(self, connection: sqlite3.Connection, file: SQLiteFile) -> None:
        try:
            self.result = self.work(connection)
        except CoinslotError as error:
            self.error = error
        except _OWN_FAULTS as error:
            self.fail(error, file)

    def fail(self, error: Exception, file: SQLiteFile) -> None:
        self.error = file.explain(error)
        self.error.__cause__ = error

    def resolve(self) -> None:
        """Tell the caller, on the caller's loop. One that was cancelled is not told; its work is done."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)  # type: ignore[arg-type]  # None only if T allows it


class SQLiteThread:
    """A daemon thread that does jobs on one connection, in the order they came, until `stop`."""

    def __init__(self, file: SQLiteFile, *, name: str) -> None:
        self._file = file
        self._queue: SimpleQueue[_Job[object] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Work[T], *, durable: bool) -> asyncio.Future[T]:
        """Queue some work. The future is resolved after its transaction was committed.

        Cancelling the future does not take the work back. `durable` makes the commit wait for the disk.
        """
        job = _Job(work, durable=durable)
        self._queue.put(job)  # type: ignore[arg-type]  # what a job returns goes to its own future only
        return job.future

    def finish(self) -> None:
        """End after what is queued now. Does not wait."""
        self._queue.put(None)

    def stop(self) -> None:
        """End after what is queued now, and wait until the connection is closed."""
        self.finish()
        self._thread.join()

    def _run(self) -> None:
        while self._round():
            pass
        self._file.drop()

    def _round(self) -> bool:
        """Do what is queued, waiting for it if need be; False after the last.

        A method of its own, so that a thread that waits holds on to nothing that belongs to a past caller.
        """
        batch, more = self._take()
        if batch:
            self._do(batch)
            _resolve(batch)
        return more

    def _take(self) -> tuple[list[_Job[object]], bool]:
        """Wait for a job, then take what else is there; and whether there may be more after that."""
        batch: list[_Job[object]] = []
        while len(batch) < BATCH and not (batch and self._queue.empty()):
            job = self._queue.get()
            if job is None:
                return batch, False
            batch.append(job)
        return batch, True

    def _do(self, batch: Sequence[_Job[object]]) -> None:
        try:
            connection = self._file.begin(durable=any(job.durable for job in batch))
            for job in batch:
                job.run(connection, self._file)
            self._file.commit()
        except Exception as error:  # the thread's edge: every caller gets it, and none waits for ever
            for job in batch:
                job.fail(error, self._file)
            logger.exception("%s (%d waiting)", batch[0].error, len(batch))
            self._file.drop()


def _resolve(batch: Sequence[_Job[object]]) -> None:
    """Wake each loop once, however many of its callers were in the batch."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Job[object]]] = {}
    for job in batch:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, jobs in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed, and nobody waits on it
            loop.call_soon_threadsafe(_resolve_each, jobs)


def _resolve_each(jobs: Sequence[_Job[object]]) -> None:
    for job in jobs:
        job.resolve()
