"""Open ledgers and caches, of every kind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from coinslot.payments.cache import Cache
from coinslot.payments.leases import Leases
from coinslot.payments.ledger import Ledger
from coinslot.storage import MemoryCache, MemoryLedger, PostgresLedger, RedisCache, SQLiteLedger
from ledgers import Clock, empty
from passing import Elapse, by_clock, in_redis
from postgres import PostgresServer
from redis_server import RedisServer


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until it is moved."""
    return Clock()


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> str:
    """The URL of a database that is this module's alone."""
    return postgres.new_database()


@pytest.fixture
async def postgres_ledger(database: str, clock: Clock) -> AsyncIterator[PostgresLedger]:
    """An open and empty ledger in PostgreSQL, patient enough for a busy machine."""
    made = PostgresLedger(database, patience=30, clock=clock)
    await made.open()
    await empty(made)
    yield made
    await made.close()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    """An open ledger, of every kind in turn."""
    made: Ledger = request.getfixturevalue(f"{request.param}_ledger")
    return made


@pytest.fixture
def memory_ledger(clock: Clock) -> MemoryLedger:
    """A ledger in memory."""
    return MemoryLedger(clock=clock)


@pytest.fixture
async def sqlite_ledger(tmp_path: Path, clock: Clock) -> AsyncIterator[SQLiteLedger]:
    """An open ledger in a file, patient enough for a busy machine."""
    made = SQLiteLedger(tmp_path / "ledger.db", patience=30, clock=clock)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def memory_cache(clock: Clock) -> MemoryCache:
    """A cache in memory."""
    return MemoryCache(clock=clock)


@pytest.fixture
async def redis_cache(redis_server: RedisServer) -> AsyncIterator[RedisCache]:
    """An open and empty cache in Redis, patient enough for a busy machine."""
    redis_server.flush()
    made = RedisCache(redis_server.url, patience=30)
    await made.open()
    yield made
    await made.close()


@pytest.fixture(params=["memory", "redis"])
def cache(request: pytest.FixtureRequest) -> Cache:
    """An open cache, of every kind in turn."""
    made: Cache = request.getfixturevalue(f"{request.param}_cache")
    return made


@pytest.fixture(params=["memory_ledger", "sqlite_ledger", "postgres_ledger", "memory_cache", "redis_cache"])
def leases(request: pytest.FixtureRequest) -> Leases:
    """What keeps leases, of every kind in turn."""
    made: Leases = request.getfixturevalue(request.param)
    return made


@pytest.fixture
def elapse(request: pytest.FixtureRequest, clock: Clock) -> Elapse:
    """Lets time pass for what the test asks."""
    if "redis_cache" in request.fixturenames or "redis" in request.node.callspec.id:
        return in_redis(request.getfixturevalue("redis_server"))
    return by_clock(clock)
