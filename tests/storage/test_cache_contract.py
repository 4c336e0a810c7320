"""What `coinslot.payments.cache.Cache` promises beside leases, asked of every implementation."""

from __future__ import annotations

import asyncio

import pytest

from coinslot.errors import LedgerError
from coinslot.payments.cache import Cache
from passing import Elapse


async def test_a_counter_counts_from_nothing(cache: Cache) -> None:
    """It begins at 0, goes up and down by what it is told, and each call says where it stands."""
    assert await cache.count("c", by=0, seconds=1000) == 0
    assert await cache.count("c", by=2, seconds=1000) == 2
    assert await cache.count("c", by=40, seconds=1000) == 42
    assert await cache.count("c", by=-50, seconds=1000) == -8
    assert await cache.count("c", by=0, seconds=1000) == -8
    assert await cache.count("d", by=1, seconds=1000) == 1


async def test_a_counter_is_exact_to_64_bits(cache: Cache) -> None:
    """No float comes near it, and beyond 64 bits it is an error that changes nothing."""
    assert await cache.count("c", by=2**62, seconds=1000) == 2**62
    assert await cache.count("c", by=2**62 - 1, seconds=1000) == 2**63 - 1
    with pytest.raises(LedgerError):
        await cache.count("c", by=1, seconds=1000)
    assert await cache.count("c", by=0, seconds=1000) == 2**63 - 1


async def test_many_add_to_a_counter_at_once(cache: Cache) -> None:
    """Of a hundred additions none is lost, and each one saw another sum."""
    answers = await asyncio.gather(*(cache.count("c", by=1, seconds=1000) for _ in range(100)))
    assert sorted(answers) == list(range(1, 101))


async def test_a_counter_ends_at_its_time(cache: Cache, elapse: Elapse) -> None:
    """It is gone so long after the first addition; later ones, and reading it, do not keep it."""
    assert await cache.count("c", by=1, seconds=1000) == 1
    elapse(600)
    assert await cache.count("c", by=1, seconds=1000) == 2
    elapse(350)
    assert await cache.count("c", by=0, seconds=1000) == 2
    elapse(50)
    assert await cache.count("c", by=0, seconds=1000) == 0
    assert await cache.count("c", by=5, seconds=1000) == 5


async def test_a_value_is_found_as_it_was_put(cache: Cache) -> None:
    """Any bytes, none of them too; the last one put is the one that is found."""
    assert await cache.get("v") is None
    for value in (b"\x00\xff", b"", b"x" * 100_000):
        await cache.put("v", value, seconds=1000)
        assert await cache.get("v") == value
    assert await cache.get("w") is None


async def test_a_value_ends_at_its_time(cache: Cache, elapse: Elapse) -> None:
    """It is found until then; putting it again counts from anew."""
    await cache.put("v", b"first", seconds=1000)
    elapse(950)
    assert await cache.get("v") == b"first"
    await cache.put("v", b"second", seconds=1000)
    elapse(950)
    assert await cache.get("v") == b"second"
    elapse(50)
    assert await cache.get("v") is None


async def test_names_of_different_things_do_not_meet(cache: Cache) -> None:
    """A lease, a counter and a value of one name are three things."""
    assert await cache.lease("x", "one", 1000)
    assert await cache.count("x", by=3, seconds=1000) == 3
    await cache.put("x", b"value", seconds=1000)
    assert not await cache.lease("x", "two", 1000)
    assert await cache.count("x", by=0, seconds=1000) == 3
    assert await cache.get("x") == b"value"


async def test_event_loops_can_share_a_cache(cache: Cache) -> None:
    """Threads with loops of their own count together; each loop disconnects when it ends."""

    async def work() -> None:
        await asyncio.gather(*(cache.count("c", by=1, seconds=1000) for _ in range(25)))

    await asyncio.gather(*(asyncio.to_thread(asyncio.run, work()) for _ in range(4)))
    assert await cache.count("c", by=0, seconds=1000) == 100


async def test_a_cache_can_be_opened_again(cache: Cache) -> None:
    """Opening twice and closing twice is no error."""
    await asyncio.gather(cache.open(), cache.open())
    await cache.close()
    await cache.close()
    await cache.open()
    assert await cache.count("c", by=1, seconds=1000) == 1
