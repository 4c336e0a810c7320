"""The connection to a ledger's file."""

from __future__ import annotations

from pathlib import Path

import pytest

from coinslot.errors import ConfigurationError, LedgerError
from coinslot.storage.sqlite_file import SQLiteFile


@pytest.mark.parametrize(("durable", "level"), [(True, 2), (False, 1)])
def test_a_connection_is_set_up_for_money(tmp_path: Path, durable: bool, level: int) -> None:
    """WAL, foreign keys, macOS's real flush, and synchronous FULL (2) or, for leases, NORMAL (1)."""
    file = SQLiteFile(tmp_path / "ledger.db", writes=True, create=True, patience=1)
    connection = file.begin(durable=durable)
    pragmas = {"journal_mode": "wal", "foreign_keys": 1, "fullfsync": 1, "synchronous": level}
    assert {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas} == pragmas
    file.drop()


def test_what_was_not_committed_is_dropped(tmp_path: Path) -> None:
    """`drop` undoes an unfinished transaction, and the next `begin` connects again."""
    file = SQLiteFile(tmp_path / "ledger.db", writes=True, create=True, patience=1)
    file.begin(durable=True).execute("INSERT INTO leases VALUES ('c', 'owner', 1.0)")
    file.drop()
    assert file.begin(durable=True).execute("SELECT count(*) FROM leases").fetchone() == (0,)
    file.drop()
    file.drop()


@pytest.mark.parametrize("name", ["a file?mode=memory", "a#file", "a%20file", "ünïcode"])
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    """No character of a path is taken for part of a URI."""
    file = SQLiteFile(tmp_path / name, writes=True, create=True, patience=1)
    file.begin(durable=True)
    file.commit()
    file.drop()
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("kind", [LedgerError, ConfigurationError])
def test_an_error_that_is_already_explained_is_told_to_each_as_their_own(
    tmp_path: Path, kind: type[Exception]
) -> None:
    """Callers that fail together get errors of their own: one object would collect their tracebacks."""
    file = SQLiteFile(tmp_path / "ledger.db", writes=True, create=True, patience=1)
    error = kind("a sentence")
    explained = file.explain(error)
    assert type(explained) is kind
    assert str(explained) == "a sentence"
    assert explained is not error
