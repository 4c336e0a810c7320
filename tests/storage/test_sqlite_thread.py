"""Group commit: what is written together, what fails together, and what does not."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from coinslot.errors import AlreadyClaimed, LedgerError
from coinslot.storage import SQLiteLedger
from ledgers import make_payment, settled


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that is run on connections made from here on, in order."""
    real: Callable[..., sqlite3.Connection] = sqlite3.connect
    traced: list[str] = []

    def connect(path: str, **options: object) -> sqlite3.Connection:
        connection = real(path, **options)
        connection.set_trace_callback(traced.append)
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect)
    return traced


@pytest.fixture
async def traced(statements: list[str], sqlite_ledger: SQLiteLedger) -> SQLiteLedger:
    """An open ledger whose statements are recorded from here on."""
    statements.clear()
    return sqlite_ledger


def synchronous(statements: list[str]) -> list[str]:
    """How each of the write transactions waited for the disk."""
    return [sql.rpartition(" ")[2] for sql in statements if sql.startswith("PRAGMA synchronous")]


async def test_writes_that_come_together_are_committed_together(
    traced: SQLiteLedger, statements: list[str]
) -> None:
    """A hundred inserts that queue up behind a lock take two commits: the one that waited, and the rest."""
    payments = [make_payment() for _ in range(100)]
    with closing(sqlite3.connect(traced.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writes = [asyncio.create_task(traced.insert(payment)) for payment in payments]
        await asyncio.sleep(0)  # all have asked
        statements.clear()
        other.execute("ROLLBACK")
        await asyncio.gather(*writes)
    assert 1 <= statements.count("COMMIT") <= 2


async def test_writes_that_come_alone_are_committed_alone(
    traced: SQLiteLedger, statements: list[str]
) -> None:
    """A write that nobody joins is not held back: one commit each."""
    for _ in range(5):
        await traced.insert(make_payment())
    assert statements.count("COMMIT") == 5


async def test_payments_wait_for_the_disk_and_leases_do_not(
    traced: SQLiteLedger, statements: list[str]
) -> None:
    """A transaction with a payment in it is committed with synchronous=FULL, one of leases alone is not."""
    payment = make_payment()
    await traced.lease("c", "one", 10)
    await traced.insert(payment)
    await traced.release("c", "one")
    await traced.replace(payment, settled(payment))
    assert synchronous(statements) == ["NORMAL", "FULL", "NORMAL", "FULL"]


async def test_a_lease_among_payments_does_not_make_them_less_durable(
    traced: SQLiteLedger, statements: list[str]
) -> None:
    """A mixed batch waits for the disk."""
    with closing(sqlite3.connect(traced.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        blocked = asyncio.create_task(traced.lease("a", "one", 10))
        while "BEGIN IMMEDIATE" not in statements[1:]:  # it waits: the others queue up
            await asyncio.sleep(0.001)
        writes = [
            asyncio.create_task(traced.lease("b", "one", 10)),
            asyncio.create_task(traced.insert(make_payment())),
            asyncio.create_task(traced.lease("c", "one", 10)),
        ]
        await asyncio.sleep(0)
        other.execute("ROLLBACK")
        await asyncio.gather(blocked, *writes)
    assert synchronous(statements) == ["NORMAL", "FULL"]


async def test_a_value_that_the_table_refuses_fails_its_own_caller_only(traced: SQLiteLedger) -> None:
    """Text that is not Unicode, a number out of range and a missing member spoil nobody else's write."""
    good = [make_payment() for _ in range(10)]
    bad = [
        make_payment(payer="\ud800"),
        make_payment(attempts=2**63),
        make_payment(reference=None),
        make_payment(reference=["not a value"]),
    ]
    mixed = [payment for pair in zip(good, bad * 3, strict=False) for payment in pair]
    answers = await asyncio.gather(*(traced.insert(payment) for payment in mixed), return_exceptions=True)
    assert answers[::2] == [None] * 10
    assert all(type(answer) is LedgerError for answer in answers[1::2])
    found = await asyncio.gather(*(traced.find(payment.challenge_id) for payment in mixed))
    assert [payment for payment in found if payment] == good


async def test_a_commit_that_fails_fails_everybody_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No write of a failed batch is acknowledged, nor is a claim refused for one that was never written."""
    real: Callable[..., sqlite3.Connection] = sqlite3.connect
    failing: list[str] = []

    class Failing(sqlite3.Connection):
        def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
            if sql in failing:
                raise sqlite3.OperationalError("disk I/O error")
            return super().execute(sql, parameters)

    def connect(path: str, **options: object) -> sqlite3.Connection:
        return real(path, factory=Failing, **options)

    monkeypatch.setattr(sqlite3, "connect", connect)
    ledger = SQLiteLedger(tmp_path / "ledger.db")
    await ledger.open()
    failing.append("COMMIT")
    payments = [make_payment() for _ in range(10)]
    answers = await asyncio.gather(
        *(ledger.insert(payment) for payment in payments * 2), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [LedgerError] * 20
    failing.clear()
    assert [await ledger.find(payment.challenge_id) for payment in payments] == [None] * 10
    answers = await asyncio.gather(
        *(ledger.insert(payment) for payment in payments * 2), return_exceptions=True
    )
    assert answers[:10] == [None] * 10
    assert [type(answer) for answer in answers[10:]] == [AlreadyClaimed] * 10
    await ledger.close()


async def test_a_bug_does_not_leave_callers_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even an error that nobody foresaw reaches the caller as a ledger error, and the thread goes on."""

    def broken() -> float:
        raise ZeroDivisionError

    ledger = SQLiteLedger(tmp_path / "ledger.db", clock=broken)
    await ledger.open()
    with pytest.raises(LedgerError, match=r"does not work \(SQLITE_ERROR\)"):
        await ledger.lease("c", "one", 10)
    await ledger.insert(make_payment())
    await ledger.close()
