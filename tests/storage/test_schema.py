"""Migrations."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from coinslot.errors import ConfigurationError
from coinslot.payments.payment import State
from coinslot.storage import schema


def connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to an empty file."""
    with closing(connect(tmp_path / "ledger.db")) as made:
        yield made


@pytest.fixture
def migrated(connection: sqlite3.Connection) -> sqlite3.Connection:
    """A connection to a file that is up to date, with foreign keys on as the ledger has them."""
    schema.migrate(connection)
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def definitions(connection: sqlite3.Connection) -> list[str]:
    return [sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master ORDER BY name")]


def insert(connection: sqlite3.Connection, **members: object) -> None:
    """A row of `payments` with what must be there, and the given members."""
    row: dict[str, object] = dict.fromkeys(
        ("proof_key", "fingerprint", "method", "intent", "route", "amount", "currency", "reference"), "x"
    )
    row |= {"challenge_id": "c", "state": "settled", "created_at": 1.0, "expires_at": 2.0}
    row |= {"recovery": b"", "attempts": 0, "revision": 0} | members
    names = ", ".join(row)
    connection.execute(
        f"INSERT INTO payments ({names}) VALUES ({', '.join('?' * len(row))})", [*row.values()]
    )


def test_an_empty_file_gets_every_table(migrated: sqlite3.Connection) -> None:
    """After migration the file has its tables and says which migration was the last."""
    names = {name for (name,) in migrated.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert names == {"payments", "leases", "refunds", "answers", "records"}
    assert schema.version(migrated) == len(schema.MIGRATIONS)


def test_a_migrated_file_is_left_alone(migrated: sqlite3.Connection) -> None:
    """Migrating twice changes nothing."""
    before = definitions(migrated)
    insert(migrated)
    schema.migrate(migrated)
    assert definitions(migrated) == before
    assert migrated.execute("SELECT count(*) FROM payments").fetchone() == (1,)


def test_an_old_file_gets_only_what_is_new(
    migrated: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later release's migration is applied to a file with payments in it, which stay."""
    insert(migrated)
    later = (*schema.MIGRATIONS, ("ALTER TABLE payments ADD COLUMN note TEXT",))
    monkeypatch.setattr(schema, "MIGRATIONS", later)
    schema.migrate(migrated)
    assert schema.version(migrated) == len(later)
    assert migrated.execute("SELECT challenge_id, note FROM payments").fetchall() == [("c", None)]


def test_a_migration_that_fails_changes_nothing(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the last statement of the last migration fails, none of them happened, and a retry succeeds."""
    good = schema.MIGRATIONS
    monkeypatch.setattr(schema, "MIGRATIONS", (*good, ("CREATE TABLE extra (x TEXT)", "CREATE NONSENSE")))
    with pytest.raises(sqlite3.OperationalError):
        schema.migrate(connection)
    assert definitions(connection) == []
    assert schema.version(connection) == 0
    monkeypatch.setattr(schema, "MIGRATIONS", good)
    schema.migrate(connection)
    assert schema.version(connection) == len(good)


def test_a_file_of_a_newer_release_is_refused(migrated: sqlite3.Connection) -> None:
    """A schema that this release does not know is not touched, and the error says to upgrade."""
    migrated.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    with pytest.raises(ConfigurationError, match=r"newer release of Coinslot.*upgrade"):
        schema.migrate(migrated)


@pytest.mark.parametrize(
    "statement", ["CREATE TABLE theirs (x)", "PRAGMA user_version = 7", "PRAGMA application_id = 7"]
)
def test_another_programs_file_is_refused(connection: sqlite3.Connection, statement: str) -> None:
    """A database that somebody else uses is not taken over."""
    connection.execute(statement)
    before = definitions(connection)
    with pytest.raises(ConfigurationError, match="another program"):
        schema.migrate(connection)
    assert definitions(connection) == before


def test_many_can_migrate_one_file_at_once(tmp_path: Path) -> None:
    """Threads with a connection each, started together on an empty file, all find it migrated once."""
    path = tmp_path / "ledger.db"
    start = threading.Barrier(8)
    versions: list[int] = []

    def migrate() -> None:
        with closing(connect(path)) as connection:
            connection.execute("PRAGMA busy_timeout = 10000")
            start.wait()
            schema.migrate(connection)
            versions.append(schema.version(connection))

    threads = [threading.Thread(target=migrate) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert versions == [len(schema.MIGRATIONS)] * 8


def test_the_table_takes_every_state_and_no_other(migrated: sqlite3.Connection) -> None:
    """The CHECK on `payments.state` knows all the states of the code."""
    for number, state in enumerate(State):
        insert(migrated, challenge_id=f"c{number}", proof_key=f"p{number}", state=str(state))
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        insert(migrated, challenge_id="d", proof_key="q", state="paid")


@pytest.mark.parametrize("keys", [{"proof_key": "other"}, {"challenge_id": "other"}])
def test_challenges_and_proofs_are_unique(migrated: sqlite3.Connection, keys: dict[str, object]) -> None:
    """The database itself refuses a second payment for a challenge, or with a proof."""
    insert(migrated)
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        insert(migrated, **keys)


def test_a_refund_belongs_to_a_payment_and_has_a_key_of_its_own(migrated: sqlite3.Connection) -> None:
    """Refunds of nothing, with a state that does not exist, or with a used key are refused."""
    refund = (
        "INSERT INTO refunds (id, challenge_id, amount, state, key, created_at, updated_at) "
        "VALUES (?, ?, '5', ?, ?, 1.0, 1.0)"
    )
    insert(migrated)
    migrated.execute(refund, ("r1", "c", "requested", "k1"))
    for bad, reason in (
        (("r2", "nobody", "requested", "k2"), "FOREIGN KEY"),
        (("r2", "c", "lost", "k2"), "CHECK"),
        (("r2", "c", "requested", "k1"), "UNIQUE"),
    ):
        with pytest.raises(sqlite3.IntegrityError, match=reason):
            migrated.execute(refund, bad)


def test_payments_are_found_by_state_without_a_scan(migrated: sqlite3.Connection) -> None:
    """The index that recovery and reports go by is used."""
    query = (
        "EXPLAIN QUERY PLAN SELECT * FROM payments WHERE state = 'unknown' ORDER BY created_at, challenge_id"
    )
    plan = " ".join(str(row) for row in migrated.execute(query))
    assert "payments_by_state" in plan
    assert "TEMP B-TREE" not in plan
