"""What is the Redis cache's own: what can go wrong with its server."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Iterator

import pytest

from coinslot.errors import ConfigurationError, LedgerError
from coinslot.storage import RedisCache
from coinslot.storage.redis import PREFIX
from redis_server import PASSWORD, RedisServer


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """A server that may be stopped and killed: nobody else's."""
    with RedisServer() as running:
        yield running


@pytest.fixture
async def impatient(server: RedisServer) -> AsyncIterator[RedisCache]:
    """An open cache on that server, which waits half a second for it."""
    made = RedisCache(server.url, patience=0.5)
    await made.open()
    yield made
    await made.close()


async def count_until_it_works(cache: RedisCache) -> int:
    """Count, again and again."""
    while True:
        try:
            return await cache.count("until", by=1, seconds=100)
        except LedgerError:
            await asyncio.sleep(0.01)


async def test_every_key_has_a_prefix_and_an_end(redis_cache: RedisCache, redis_server: RedisServer) -> None:
    """Whatever else is in the database is left alone, and nothing stays for ever."""
    await redis_cache.lease("x", "one", 100)
    await redis_cache.count("x", by=1, seconds=100)
    await redis_cache.count("read only", by=0, seconds=100)
    await redis_cache.put("x", b"value", seconds=100)
    with redis_server.client() as client:
        keys = list(client.scan_iter())
        assert len(keys) == 3
        assert all(key.startswith(PREFIX.encode()) for key in keys)
        assert all(client.pttl(key) > 0 for key in keys)


async def test_a_cache_that_was_emptied_begins_anew(
    redis_cache: RedisCache, redis_server: RedisServer
) -> None:
    """A flush takes leases, counters and values, and nothing is an error."""
    assert await redis_cache.lease("c", "one", 1000)
    await redis_cache.put("v", b"value", seconds=100)
    redis_server.flush()
    assert await redis_cache.lease("c", "two", 1000)
    assert await redis_cache.get("v") is None


async def test_a_stopped_server_is_a_ledger_error_until_it_is_back(
    server: RedisServer, impatient: RedisCache
) -> None:
    """While it is away every call fails, and afterwards the cache goes on by itself."""
    assert await impatient.lease("c", "one", 100)
    server.kill()
    try:
        for call in (
            impatient.lease("c", "one", 100),
            impatient.release("c", "one"),
            impatient.count("c", by=1, seconds=100),
            impatient.get("v"),
            impatient.put("v", b"", seconds=100),
        ):
            with pytest.raises(LedgerError, match="cannot be reached"):
                await call
    finally:
        server.start()
    assert await count_until_it_works(impatient) == 1


async def test_a_server_that_stands_still_is_a_ledger_error_in_time(
    server: RedisServer, impatient: RedisCache
) -> None:
    """More calls than there are connections all end, and once it goes on so does the cache."""
    server.flush()
    server.pause()
    try:
        answers = await asyncio.gather(
            *(impatient.lease(str(n), "one", 100) for n in range(60)), return_exceptions=True
        )
    finally:
        server.resume()
    assert {type(answer) for answer in answers} == {LedgerError}
    assert "does not answer in time" in str(answers[0])
    assert await count_until_it_works(impatient) >= 1


async def test_answers_are_not_mixed_up_by_callers_that_go_away(redis_cache: RedisCache) -> None:
    """A caller that is cancelled in the middle leaves no answer behind that the next one would read."""
    for number in range(50):
        await redis_cache.put(f"v{number}", str(number).encode(), seconds=100)
    tasks = [asyncio.create_task(redis_cache.get(f"v{number}")) for number in range(50)]
    for step, task in enumerate(tasks):
        if step % 2:
            for _ in range(step % 7):
                await asyncio.sleep(0)
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    values = await asyncio.gather(*(redis_cache.get(f"v{number}") for number in range(50)))
    assert values == [str(number).encode() for number in range(50)]


async def test_a_server_that_is_full_is_a_ledger_error(server: RedisServer, impatient: RedisCache) -> None:
    """Where nothing may be evicted, what does not fit is refused with a sentence."""
    with server.client() as client:
        client.config_set("maxmemory", 1)
        try:
            with pytest.raises(LedgerError, match="is full: raise its maxmemory"):
                await impatient.put("v", b"x", seconds=100)
        finally:
            client.config_set("maxmemory", 0)
    await impatient.put("v", b"x", seconds=100)


@pytest.mark.parametrize(
    ("url", "kind", "sentence"),
    [
        ("redis://:hunter2@127.0.0.1:1/0", LedgerError, "cannot be reached"),
        ("redis://:hunter2@nowhere.invalid/0", LedgerError, "cannot be reached"),
        ("redis://:hunter2@[::1/0", ConfigurationError, "cannot be understood"),
        ("redis://:hunter2@127.0.0.1:hunter2/0", ConfigurationError, "cannot be understood"),
        ("redis://:hunter2@127.0.0.1/0?max_connections=hunter2", ConfigurationError, "cannot be understood"),
    ],
)
async def test_a_url_that_leads_nowhere_is_not_repeated(
    url: str, kind: type[Exception], sentence: str
) -> None:
    """The error says what is wrong, and neither it nor its traceback nor `repr` has the password."""
    cache = RedisCache(url)
    with pytest.raises(kind, match=sentence) as caught:
        await cache.open()
    assert "hunter2" not in "".join(traceback.format_exception(caught.value)) + repr(cache)
    await cache.close()


async def test_a_wrong_password_is_a_ledger_error(redis_server: RedisServer) -> None:
    """It says what is refused, and not what was tried."""
    cache = RedisCache(redis_server.url.replace(PASSWORD, "hunter3"))
    with pytest.raises(LedgerError, match="refuses the user, or the password") as caught:
        await cache.open()
    assert "hunter" not in "".join(traceback.format_exception(caught.value))
    await cache.close()
