"""The tables, as a list of numbered migrations, and the code that brings a file up to date.

A file carries the number of its last migration in `PRAGMA user_version`, and a mark that says whose it is in
`PRAGMA application_id`. Both change in the same transaction as the tables. A migration that was released is
never edited: the next change is the next entry.

The statements are PostgreSQL's as well, but for two words (`postgres_schema`).
"""

from __future__ import annotations

import sqlite3
from typing import Final

from coinslot.errors import ConfigurationError

APPLICATION_ID: Final = 0x436F696E  # "Coin"

# `unapplied` and the whole of `refunds` are for money that comes or goes back outside of a sale.
MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """
        CREATE TABLE payments (
            challenge_id TEXT NOT NULL PRIMARY KEY,
            proof_key    TEXT NOT NULL UNIQUE,
            fingerprint  BLOB NOT NULL,
            method       TEXT NOT NULL,
            intent       TEXT NOT NULL,
            route        TEXT NOT NULL,
            state        TEXT NOT NULL CHECK (state IN (
                'settling', 'unknown', 'settled', 'delivered', 'undelivered', 'failed', 'unapplied')),
            amount       TEXT NOT NULL,
            currency     TEXT NOT NULL,
            reference    TEXT NOT NULL,
            created_at   DOUBLE PRECISION NOT NULL,
            expires_at   DOUBLE PRECISION NOT NULL,
            recipient    TEXT,
            payer        TEXT,
            external_id  TEXT,
            recovery     BLOB NOT NULL,
            receipt      TEXT,
            reason       TEXT,
            settled_at   DOUBLE PRECISION,
            delivered_at DOUBLE PRECISION,
            attempts     INTEGER NOT NULL,
            revision     INTEGER NOT NULL,
            disputed     INTEGER NOT NULL DEFAULT 0 CHECK (disputed IN (0, 1))
        )
        """,
        "CREATE INDEX payments_by_state ON payments (state, created_at)",
        """
        CREATE TABLE leases (
            challenge_id TEXT NOT NULL PRIMARY KEY,
            owner        TEXT NOT NULL,
            until        DOUBLE PRECISION NOT NULL
        )
        """,
        "CREATE INDEX leases_by_time ON leases (until)",
        """
        CREATE TABLE refunds (
            id           TEXT NOT NULL PRIMARY KEY,
            challenge_id TEXT NOT NULL REFERENCES payments (challenge_id),
            amount       TEXT NOT NULL,
            state        TEXT NOT NULL CHECK (state IN ('requested', 'sent', 'done', 'failed', 'unknown')),
            reference    TEXT,
            key          TEXT NOT NULL UNIQUE,
            created_at   DOUBLE PRECISION NOT NULL,
            updated_at   DOUBLE PRECISION NOT NULL
        )
        """,
        "CREATE INDEX refunds_by_payment ON refunds (challenge_id)",
        "CREATE INDEX refunds_by_state ON refunds (state, created_at)",
    ),
    (
        "DROP INDEX payments_by_state",
        "CREATE INDEX payments_by_state ON payments (state, created_at, challenge_id)",
        "CREATE INDEX payments_by_time ON payments (created_at, challenge_id)",
        "CREATE INDEX payments_by_reference ON payments (reference, created_at)",
        "ALTER TABLE refunds ADD COLUMN reason TEXT",
        "ALTER TABLE refunds ADD COLUMN recovery BLOB",
        "ALTER TABLE refunds ADD COLUMN revision INTEGER NOT NULL DEFAULT 0",
        "CREATE INDEX refunds_by_reference ON refunds (reference, created_at)",
        """
        CREATE TABLE answers (
            challenge_id TEXT NOT NULL PRIMARY KEY,
            key          BLOB NOT NULL,
            status       INTEGER NOT NULL,
            headers      BLOB NOT NULL,
            body         BLOB NOT NULL,
            until        DOUBLE PRECISION NOT NULL
        )
        """,
        "CREATE INDEX answers_by_time ON answers (until)",
        """
        CREATE TABLE records (
            kind     TEXT NOT NULL,
            key      TEXT NOT NULL,
            state    TEXT NOT NULL,
            due      DOUBLE PRECISION NOT NULL,
            data     BLOB NOT NULL,
            revision INTEGER NOT NULL,
            PRIMARY KEY (kind, key)
        )
        """,
        "CREATE INDEX records_by_state ON records (kind, state, due, key)",
    ),
)


# One statement, so that it cannot see half of what another process migrates meanwhile.
_INSPECT: Final = """
    SELECT (SELECT application_id FROM pragma_application_id),
           (SELECT user_version FROM pragma_user_version),
           EXISTS (SELECT 1 FROM sqlite_master)
"""


def version(connection: sqlite3.Connection) -> int:
    """How many migrations a file has had; 0 for an empty file.

    Raises `ConfigurationError` if the file is another program's, or a newer release's.
    """
    owner: int
    number: int
    owner, number, has_tables = connection.execute(_INSPECT).fetchone()
    if owner == APPLICATION_ID:
        if number > len(MIGRATIONS):
            raise ConfigurationError(
                f"the ledger was written by a newer release of Coinslot (schema {number}; this release knows "
                f"{len(MIGRATIONS)}): upgrade Coinslot, or use another file"
            )
        return number
    if owner or number or has_tables:
        raise ConfigurationError(
            "the file is another program's database: give the ledger a file of its own, "
            'such as "sqlite:///coinslot.db"'
        )
    return 0


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a file up to date: all of it, or nothing.

    Safe while other processes do the same. The connection must be in autocommit mode (`isolation_level=None`)
    and outside of a transaction. Raises as `version` does, and `sqlite3.Error`.
    """
    if version(connection) == len(MIGRATIONS):
        return
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        # Asked again behind the lock: another process may have come first.
        for number in range(version(connection), len(MIGRATIONS)):
            for statement in MIGRATIONS[number]:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
