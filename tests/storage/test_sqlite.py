"""What is the SQLite ledger's own: its file, what can go wrong with it, and sharing it."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from coinslot.errors import AlreadyClaimed, ConfigurationError, LedgerError
from coinslot.payments.method import Recovery
from coinslot.payments.payment import Payment
from coinslot.storage import SQLiteLedger, schema
from ledgers import Clock, make_payment, settled


@contextmanager
def locked(path: Path) -> Iterator[sqlite3.Connection]:
    """Another program's write lock on the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


@pytest.fixture
async def impatient(tmp_path: Path) -> AsyncIterator[SQLiteLedger]:
    """An open ledger that waits a tenth of a second for locks."""
    made = SQLiteLedger(tmp_path / "ledger.db", patience=0.1)
    await made.open()
    yield made
    await made.close()


async def found(ledger: SQLiteLedger, payments: list[Payment]) -> list[Payment | None]:
    return list(await asyncio.gather(*(ledger.find(payment.challenge_id) for payment in payments)))


async def test_another_ledger_on_the_same_file_sees_everything(sqlite_ledger: SQLiteLedger) -> None:
    """Two instances share payments, unique keys, revisions and leases."""
    other = SQLiteLedger(sqlite_ledger.path)
    await other.open()
    payment = make_payment()
    await sqlite_ledger.insert(payment)
    assert await other.find(payment.challenge_id) == payment
    with pytest.raises(AlreadyClaimed):
        await other.insert(payment)
    assert await other.replace(payment, settled(payment))
    assert not await sqlite_ledger.replace(payment, settled(payment))
    assert await other.lease("c", "one", 1000)
    assert not await sqlite_ledger.lease("c", "two", 1000)
    await other.close()


async def test_instances_that_open_a_new_file_at_once_make_one_ledger(tmp_path: Path) -> None:
    """Eight openings race to make and migrate the file; all succeed, and all share it."""
    ledgers = [SQLiteLedger(tmp_path / "ledger.db") for _ in range(8)]
    await asyncio.gather(*(ledger.open() for ledger in ledgers))
    payment = make_payment()
    claims = await asyncio.gather(*(ledger.insert(payment) for ledger in ledgers), return_exceptions=True)
    assert sorted(type(claim).__name__ for claim in claims) == ["AlreadyClaimed"] * 7 + ["NoneType"]
    assert [await ledger.find(payment.challenge_id) for ledger in ledgers] == [payment] * 8
    await asyncio.gather(*(ledger.close() for ledger in ledgers))


async def test_event_loops_can_share_a_ledger(sqlite_ledger: SQLiteLedger) -> None:
    """Threads with loops of their own insert into one ledger, and each is answered on its own loop."""
    payments = [[make_payment() for _ in range(20)] for _ in range(4)]

    async def work(mine: list[Payment]) -> None:
        await asyncio.gather(*(sqlite_ledger.insert(payment) for payment in mine))
        assert await found(sqlite_ledger, mine) == mine

    await asyncio.gather(*(asyncio.to_thread(asyncio.run, work(mine)) for mine in payments))
    everything = list(chain(*payments))
    assert await found(sqlite_ledger, everything) == everything


async def test_a_loop_that_ended_does_not_stop_the_ledger(sqlite_ledger: SQLiteLedger) -> None:
    """A caller whose event loop is closed before its answer comes is passed over; its write is done."""
    payment = make_payment()

    async def ask_and_leave() -> None:
        write = asyncio.create_task(sqlite_ledger.insert(payment))
        await asyncio.sleep(0)
        assert not write.done()

    with locked(sqlite_ledger.path):
        await asyncio.to_thread(asyncio.run, ask_and_leave())
    await sqlite_ledger.insert(make_payment())
    assert await sqlite_ledger.find(payment.challenge_id) == payment


async def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    """The file and its log have mode 0600, whatever the umask; a file that exists keeps its mode."""
    umask = os.umask(0)
    try:
        ledger = SQLiteLedger(tmp_path / "ledger.db")
        await ledger.open()
    finally:
        os.umask(umask)
    await ledger.insert(make_payment())
    modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    assert modes == dict.fromkeys(("ledger.db", "ledger.db-wal", "ledger.db-shm"), 0o600)
    await ledger.close()
    ledger.path.chmod(0o640)
    await ledger.open()
    await ledger.close()
    assert ledger.path.stat().st_mode & 0o777 == 0o640


async def test_closing_leaves_one_file_and_no_thread(sqlite_ledger: SQLiteLedger) -> None:
    """After `close` the log is folded into the file, and the ledger's threads are gone."""
    await sqlite_ledger.insert(make_payment())
    await sqlite_ledger.close()
    assert [file.name for file in sqlite_ledger.path.parent.iterdir()] == ["ledger.db"]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("coinslot-ledger")]


async def test_closing_finishes_what_was_asked_for(sqlite_ledger: SQLiteLedger) -> None:
    """Writes that were queued when the ledger was closed are done, and their callers are told so."""
    payments = [make_payment() for _ in range(20)]
    writes = [asyncio.create_task(sqlite_ledger.insert(payment)) for payment in payments]
    await asyncio.sleep(0)
    await sqlite_ledger.close()
    await asyncio.gather(*writes)
    await sqlite_ledger.open()
    assert await found(sqlite_ledger, payments) == payments


async def test_a_ledger_that_nobody_closed_ends_with_its_last_reference(tmp_path: Path) -> None:
    """A forgotten ledger does not leave its threads behind."""
    ledger = SQLiteLedger(tmp_path / "ledger.db")
    await ledger.open()
    await ledger.lease("c", "one", 10)
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("coinslot-ledger")]
    assert len(threads) == 2
    del ledger
    gc.collect()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize("closed", [True, False])
async def test_a_ledger_that_is_not_open_says_so(tmp_path: Path, closed: bool) -> None:
    """Before `open` and after `close` every call is refused, and none makes a file."""
    ledger = SQLiteLedger(tmp_path / "ledger.db")
    if closed:
        await ledger.close()
    for call in (ledger.find("c"), ledger.insert(make_payment()), ledger.release("c", "one")):
        with pytest.raises(LedgerError, match=r"not open: await its open"):
            await call
    assert not list(tmp_path.iterdir())


async def test_lapsed_leases_do_not_pile_up(sqlite_ledger: SQLiteLedger, clock: Clock) -> None:
    """Leases that are never given back are cleared away by those that come later."""
    for number in range(300):
        assert await sqlite_ledger.lease(f"c{number}", "owner", 10)
        clock.now += 1
    with closing(sqlite3.connect(sqlite_ledger.path)) as connection:
        assert connection.execute("SELECT count(*) FROM leases").fetchone() < (40,)


# What can go wrong with the file. Each error is a sentence, and none is the end of the ledger.


async def test_a_locked_file_is_waited_for(sqlite_ledger: SQLiteLedger) -> None:
    """A lock that is given back in time costs a wait and nothing else."""
    payment = make_payment()
    with locked(sqlite_ledger.path):
        write = asyncio.create_task(sqlite_ledger.insert(payment))
        await asyncio.sleep(0.05)
        assert not write.done()
        assert await sqlite_ledger.find(payment.challenge_id) is None  # reads go on meanwhile
    await write
    assert await sqlite_ledger.find(payment.challenge_id) == payment


async def test_a_new_file_that_somebody_is_making_is_waited_for(tmp_path: Path) -> None:
    """Opening goes on once the other is done, though SQLite itself refuses at once to switch to WAL then."""
    ledger = SQLiteLedger(tmp_path / "ledger.db", patience=30)
    with locked(ledger.path):
        opening = asyncio.create_task(ledger.open())
        await asyncio.sleep(0.05)
        assert not opening.done()
    await opening
    await ledger.insert(make_payment())
    await ledger.close()


async def test_a_file_that_stays_locked_is_a_ledger_error(impatient: SQLiteLedger) -> None:
    """Patience ends; what was refused was not written, and the next call works again."""
    payment = make_payment()
    with locked(impatient.path), pytest.raises(LedgerError, match="locked by another program"):
        await impatient.insert(payment)
    assert await impatient.find(payment.challenge_id) is None
    await impatient.insert(payment)


async def test_a_full_disk_is_a_ledger_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's own 'full' fails the write and keeps what was there; with room again, writing goes on."""
    real: Callable[..., sqlite3.Connection] = sqlite3.connect
    limits = ["PRAGMA max_page_count = 40"]

    def limited(path: str, **options: object) -> sqlite3.Connection:
        connection = real(path, **options)
        for limit in limits:
            connection.execute(limit)
        return connection

    monkeypatch.setattr(sqlite3, "connect", limited)
    ledger = SQLiteLedger(tmp_path / "ledger.db")
    await ledger.open()
    payments = [make_payment(recovery=Recovery(bytes(5000))) for _ in range(40)]

    async def fill() -> None:
        for payment in payments:
            await ledger.insert(payment)

    with pytest.raises(LedgerError, match=r"the disk is full, or a quota is \(SQLITE_FULL\)"):
        await fill()
    kept = [payment for payment in await found(ledger, payments) if payment]
    assert 0 < len(kept) < 40
    assert kept == payments[: len(kept)]
    limits.clear()
    await ledger.insert(payments[len(kept)])
    assert await ledger.find(payments[len(kept)].challenge_id) == payments[len(kept)]
    await ledger.close()


async def test_a_deleted_file_is_a_ledger_error_until_it_is_back(sqlite_ledger: SQLiteLedger) -> None:
    """No write to a file that is gone is acknowledged, no new file is made, and a backup is taken up."""
    kept, lost = make_payment(), make_payment()
    await sqlite_ledger.insert(kept)
    await sqlite_ledger.close()
    await sqlite_ledger.open()
    backup = shutil.copy(sqlite_ledger.path, sqlite_ledger.path.with_suffix(".backup"))
    for file in sqlite_ledger.path.parent.glob("ledger.db*"):
        file.unlink()
    for attempt in (sqlite_ledger.insert(lost), sqlite_ledger.find(kept.challenge_id)):
        with pytest.raises(LedgerError, match="moved, deleted or replaced"):
            await attempt
    for attempt in (sqlite_ledger.insert(lost), sqlite_ledger.find(kept.challenge_id)):
        with pytest.raises(LedgerError, match="cannot be opened: it is missing"):
            await attempt
    assert not sqlite_ledger.path.exists()
    shutil.copy(backup, sqlite_ledger.path)
    assert await found(sqlite_ledger, [kept, lost]) == [kept, None]
    await sqlite_ledger.insert(lost)


async def test_an_empty_file_in_its_place_is_not_taken_for_a_ledger(sqlite_ledger: SQLiteLedger) -> None:
    """While it runs, a ledger never starts afresh: every proof would pay a second time."""
    payment = make_payment()
    await sqlite_ledger.insert(payment)
    for file in sqlite_ledger.path.parent.iterdir():
        file.unlink()
    sqlite_ledger.path.touch()
    with pytest.raises(LedgerError, match="moved, deleted or replaced"):
        await sqlite_ledger.insert(make_payment())
    with pytest.raises(LedgerError, match="replaced by an empty or an older file"):
        await sqlite_ledger.insert(payment)
    assert sqlite_ledger.path.stat().st_size == 0


async def test_a_damaged_file_is_a_ledger_error(sqlite_ledger: SQLiteLedger) -> None:
    """Garbage in the middle of the file is found when it is read, and says what to restore."""
    payments = [make_payment() for _ in range(50)]
    await asyncio.gather(*(sqlite_ledger.insert(payment) for payment in payments))
    await sqlite_ledger.close()
    size = sqlite_ledger.path.stat().st_size
    with sqlite_ledger.path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))
    await sqlite_ledger.open()
    with pytest.raises(LedgerError, match=r"damaged: restore it from a backup \(SQLITE_CORRUPT"):
        await sqlite_ledger.find(payments[0].challenge_id)
    with pytest.raises(LedgerError, match=r"damaged: restore it from a backup \(SQLITE_CORRUPT"):
        await sqlite_ledger.insert(make_payment())


async def test_what_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    """A file of something else is neither read as a ledger nor written to."""
    path = tmp_path / "ledger.db"
    path.write_bytes(b"Dear diary, " * 1000)
    with pytest.raises(LedgerError, match="not an SQLite file"):
        await SQLiteLedger(path).open()
    assert path.read_bytes() == b"Dear diary, " * 1000


async def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    """Not even the journal mode of somebody else's database is changed."""
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=r"ledger\.db: the file is another program's database"):
        await SQLiteLedger(path).open()
    assert path.read_bytes() == before


async def test_a_newer_releases_file_is_refused(impatient: SQLiteLedger) -> None:
    """It is a configuration error at start-up, and a ledger error when it turns up under a running ledger."""
    with closing(sqlite3.connect(impatient.path)) as connection:
        connection.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    with pytest.raises(ConfigurationError, match="newer release"):
        await SQLiteLedger(impatient.path).open()
    with locked(impatient.path), pytest.raises(LedgerError, match="locked"):
        await impatient.insert(make_payment())  # after which it connects anew
    with pytest.raises(LedgerError, match="newer release"):
        await impatient.insert(make_payment())


async def test_a_directory_that_is_not_there_is_a_ledger_error(tmp_path: Path) -> None:
    """Opening fails with a sentence, and succeeds once the directory is there."""
    ledger = SQLiteLedger(tmp_path / "not" / "ledger.db")
    with pytest.raises(LedgerError, match="cannot be used: No such file or directory"):
        await ledger.open()
    ledger.path.parent.mkdir()
    await ledger.open()
    await ledger.close()


async def test_a_file_system_without_wal_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the log cannot be shared between processes, the ledger says to use a local disk."""
    real: Callable[..., sqlite3.Connection] = sqlite3.connect

    class NoSharedMemory(sqlite3.Connection):
        def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
            return super().execute(sql.replace("= WAL", "= DELETE"), parameters)

    def connect(path: str, **options: object) -> sqlite3.Connection:
        return real(path, factory=NoSharedMemory, **options)

    monkeypatch.setattr(sqlite3, "connect", connect)
    with pytest.raises(ConfigurationError, match="local disk"):
        await SQLiteLedger(tmp_path / "ledger.db").open()
