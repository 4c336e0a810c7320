"""What is the memory cache's own: its bounds."""

from __future__ import annotations

from coinslot.storage import MemoryCache
from ledgers import Clock


async def test_counters_and_values_have_a_bound(clock: Clock) -> None:
    """Beyond it a new one takes the place of another that is alive; the newest are there."""
    cache = MemoryCache(3, clock=clock)
    for number in range(50):
        assert await cache.count(f"c{number}", by=1, seconds=1000) == 1
        await cache.put(f"v{number}", b"x", seconds=1000)
        assert await cache.get(f"v{number}") == b"x"
        assert await cache.count(f"c{number}", by=0, seconds=1000) == 1
    assert len(cache) == 6
