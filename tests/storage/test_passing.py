"""What is over goes: leases and answers that nobody gives back do not pile up, in whatever they are kept."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from coinslot.payments.cache import Cache
from coinslot.payments.leases import Leases
from coinslot.payments.ledger import Ledger
from coinslot.storage import MemoryCache, MemoryLedger, PostgresLedger, RedisCache, SQLiteLedger
from ledgers import make_answer
from passing import Elapse
from postgres import PostgresServer
from redis_server import RedisServer

Count = Callable[[object, str], int]


@pytest.fixture
def count(request: pytest.FixtureRequest) -> Count:
    """How many rows, or entries, a store holds of what it has in a table of this name."""

    def count(store: object, table: str) -> int:
        match store:
            case MemoryLedger() | MemoryCache():
                return len(getattr(store, f"_{table}"))
            case SQLiteLedger():
                with closing(sqlite3.connect(store.path)) as connection:
                    (number,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
                    return int(number)
            case PostgresLedger():
                server: PostgresServer = request.getfixturevalue("postgres")
                url: str = request.getfixturevalue("database")
                return int(server.query(f"SELECT count(*) FROM coinslot.{table}", url))
            case RedisCache():
                redis: RedisServer = request.getfixturevalue("redis_server")
                with redis.client() as client:
                    return int(client.dbsize())
            case _:
                raise AssertionError(store)

    return count


async def test_lapsed_leases_do_not_pile_up(leases: Leases, elapse: Elapse, count: Count) -> None:
    """Of those that are never given back only what is alive stays, and a few that were not met yet."""
    for name in range(300):
        assert await leases.lease(f"c{name}", "owner", 10)
        elapse(1)
    assert count(leases, "leases") < 40


async def test_a_crowd_that_lapsed_is_cleared_by_far_fewer(
    leases: Leases, elapse: Elapse, count: Count
) -> None:
    """What a burst left behind is gone after less than as many leases again."""
    for name in range(300):
        assert await leases.lease(f"c{name}", "owner", 10)
    elapse(10)
    for name in range(160):
        assert await leases.lease(f"d{name}", "owner", 10)
    assert count(leases, "leases") <= 160


async def test_live_leases_are_not_swept(leases: Leases) -> None:
    """However many come after it, a lease that has not lapsed keeps others out."""
    assert await leases.lease("c", "one", 1000)
    for name in range(100):
        assert await leases.lease(f"d{name}", "owner", 1000)
    assert not await leases.lease("c", "two", 10)


async def test_answers_whose_time_is_over_do_not_pile_up(
    ledger: Ledger, elapse: Elapse, count: Count
) -> None:
    """Each that is kept takes more than one of them along."""
    for _ in range(100):
        answer = make_answer()
        assert await ledger.keep_answer(answer)
    elapse(1000)
    for _ in range(40):
        assert await ledger.keep_answer(make_answer(until=answer.until + 1000))
    assert count(ledger, "answers") == 40


async def test_counters_and_values_whose_time_is_over_do_not_pile_up(
    cache: Cache, elapse: Elapse, count: Count
) -> None:
    """Whatever names a stranger thinks of, there are only as many as are alive."""
    for name in range(200):
        await cache.count(f"c{name}", by=1, seconds=10)
        await cache.put(f"v{name}", b"x", seconds=10)
        elapse(1)
    assert count(cache, "counters") < 40
    assert count(cache, "values") < 40
