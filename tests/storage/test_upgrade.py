"""A ledger that the first release wrote: it is brought up to date, and every row is kept."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from coinslot.payments.books import Query
from coinslot.payments.method import Recovery
from coinslot.payments.payment import Payment, State
from coinslot.payments.refunds import Refund, RefundState, advance_refund
from coinslot.storage import SQLiteLedger
from ledgers import NOW, Clock

# The first release's file, word for word. Never edited: such files exist.
FIRST_RELEASE: Final = """
    PRAGMA journal_mode = WAL;
    PRAGMA application_id = 1131374958;
    PRAGMA user_version = 1;
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
    );
    CREATE INDEX payments_by_state ON payments (state, created_at);
    CREATE TABLE leases (
        challenge_id TEXT NOT NULL PRIMARY KEY,
        owner        TEXT NOT NULL,
        until        DOUBLE PRECISION NOT NULL
    );
    CREATE INDEX leases_by_time ON leases (until);
    CREATE TABLE refunds (
        id           TEXT NOT NULL PRIMARY KEY,
        challenge_id TEXT NOT NULL REFERENCES payments (challenge_id),
        amount       TEXT NOT NULL,
        state        TEXT NOT NULL CHECK (state IN ('requested', 'sent', 'done', 'failed', 'unknown')),
        reference    TEXT,
        key          TEXT NOT NULL UNIQUE,
        created_at   DOUBLE PRECISION NOT NULL,
        updated_at   DOUBLE PRECISION NOT NULL
    );
    CREATE INDEX refunds_by_payment ON refunds (challenge_id);
    CREATE INDEX refunds_by_state ON refunds (state, created_at);
"""
PAYMENT: Final = """
    INSERT INTO payments (challenge_id, proof_key, fingerprint, method, intent, route, state, amount,
        currency, reference, created_at, expires_at, recipient, payer, external_id, recovery, receipt, reason,
        settled_at, delivered_at, attempts, revision)
    VALUES (?, ?, x'00ff', 'scrip', 'charge', 'GET /paid', ?, '100000000000000000000001', 'credits',
        ?, ?, ?, '0xbob', NULL, ?, x'0102', ?, NULL, ?, NULL, 2, 7)
"""
STATES: Final = ("settling", "unknown", "settled", "delivered", "undelivered", "failed", "unapplied")


def first_payment(number: int, state: str) -> Payment:
    """What the row of that number says."""
    is_settled = number % 2 == 0
    return Payment(
        challenge_id=f"challenge-{number}",
        proof_key=f"proof-{number}",
        fingerprint=b"\x00\xff",
        method="scrip",
        intent="charge",
        route="GET /paid",
        state=State(state),
        amount=10**23 + 1,
        currency="credits",
        reference=f"note {number}",
        created_at=NOW + number,
        expires_at=NOW + 300.5,
        recipient="0xbob",
        external_id=f"order {number}\0é",
        recovery=Recovery(b"\x01\x02"),
        receipt="receipt" if is_settled else None,
        settled_at=NOW + 1.25 if is_settled else None,
        attempts=2,
        revision=7,
    )


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    """A file of the first release: a payment in every state, a refund in every state, and a live lease."""
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(FIRST_RELEASE)
        for number, state in enumerate(STATES):
            row = first_payment(number, state)
            values = (row.challenge_id, row.proof_key, state, row.reference, row.created_at, row.expires_at)
            connection.execute(PAYMENT, (*values, row.external_id, row.receipt, row.settled_at))
        connection.execute("INSERT INTO leases VALUES ('challenge-0', 'somebody', ?)", (NOW + 10,))
        for number, state in enumerate(("requested", "sent", "done", "failed", "unknown")):
            refund = (f"refund-{number}", "challenge-2", str(10**22 + number), state, None, f"key-{number}")
            times = (NOW, NOW + number)
            connection.execute("INSERT INTO refunds VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*refund, *times))
        connection.commit()
    return path


async def test_every_row_of_the_first_release_is_kept(old_file: Path, clock: Clock) -> None:
    """Payments, refunds and leases read as they were written, and the unique keys are taken."""
    ledger = SQLiteLedger(old_file, clock=clock)
    await ledger.open()
    payments = [first_payment(number, state) for number, state in enumerate(STATES)]
    assert [await ledger.find(payment.challenge_id) for payment in payments] == payments
    assert await ledger.select(Query()) == payments
    assert await ledger.find_by_proof("proof-3") == payments[3]
    assert await ledger.find_by_reference("note 4") == payments[4]
    assert await ledger.select_refunds("challenge-2") == [
        Refund(
            id=f"refund-{number}",
            challenge_id="challenge-2",
            amount=10**22 + number,
            state=RefundState(state),
            key=f"key-{number}",
            created_at=NOW,
            updated_at=NOW + number,
        )
        for number, state in enumerate(("requested", "sent", "done", "failed", "unknown"))
    ]
    assert not await ledger.lease("challenge-0", "somebody else", 10)
    await ledger.close()


async def test_what_the_first_release_began_can_be_ended(old_file: Path) -> None:
    """Its refunds move on, their amounts count, and what is new can be kept beside them."""
    ledger = SQLiteLedger(old_file)
    await ledger.open()
    requested = (await ledger.select_refunds("challenge-2"))[0]
    sent = advance_refund(requested, RefundState.SENT, at=NOW, reference="re_1", recovery=Recovery(b"raw"))
    assert await ledger.replace_refund(requested, sent)
    assert await ledger.find_refund("re_1") == sent
    assert await ledger.count_records("any", "any") == 0
    [total] = await ledger.totals(Query(states=frozenset({State.SETTLED})))
    assert (total.settled, total.refunded) == (10**23 + 1, 10**22 + 2)
    assert total.refunding == 3 * 10**22 + 0 + 1 + 4
    await ledger.close()
