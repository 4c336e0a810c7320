"""The ledger of a command in PostgreSQL: read like any other, and as little made by reading."""

from __future__ import annotations

import asyncio

from coinslot.storage import open_ledger
from ledgers import make_payment
from postgres import PostgresServer
from seller_books import Books


async def fill(url: str) -> None:
    """Make a ledger with one payment."""
    ledger = open_ledger(url)
    await ledger.open()
    await ledger.insert(make_payment(challenge_id="in-postgres"))
    await ledger.close()


def test_a_database_is_read_and_an_empty_one_left_alone(books: Books, postgres: PostgresServer) -> None:
    """Without a ledger in it, it is 66 however often it is asked; and no message has the password."""
    url = postgres.new_database()
    for _ in range(2):
        empty = books("list", COINSLOT_LEDGER=url)
        assert (empty.code, empty.err) == (66, "coinslot: there is no ledger in this database\n")
    asyncio.run(fill(url))
    run = books("list", COINSLOT_LEDGER=url)
    assert (run.code, "in-postgre" in run.text) == (0, True)
    gone = books("list", COINSLOT_LEDGER=url.rpartition("/")[0] + "/nothing")
    assert (gone.code, "hunter2" in gone.err) == (1, False)
