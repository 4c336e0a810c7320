"""What `coinslot.payments.leases.Leases` promises, asked of every ledger and every cache."""

from __future__ import annotations

import asyncio

from coinslot.payments.leases import Leases
from passing import Elapse


async def test_a_lease_keeps_others_out(leases: Leases) -> None:
    """While one holds it, nobody else gets it; another name's lease is free."""
    assert await leases.lease("c", "one", 1000)
    assert not await leases.lease("c", "two", 1000)
    assert await leases.lease("d", "two", 1000)


async def test_of_a_hundred_that_want_a_lease_one_gets_it(leases: Leases) -> None:
    """A hundred tasks at once: exactly one is let in."""
    answers = await asyncio.gather(*(leases.lease("c", f"owner {n}", 1000) for n in range(100)))
    assert answers.count(True) == 1


async def test_nobody_works_beside_the_holder_of_a_lease(leases: Leases) -> None:
    """Tasks that take the lease, work, and give it back are never two at work at once."""
    working: set[str] = set()
    done: list[str] = []

    async def work(owner: str) -> None:
        while not await leases.lease("c", owner, 1000):
            await asyncio.sleep(0.001)
        working.add(owner)
        assert working == {owner}
        await asyncio.sleep(0)
        working.remove(owner)
        done.append(owner)
        await leases.release("c", owner)

    await asyncio.gather(*(work(f"owner {n}") for n in range(10)))
    assert len(done) == 10


async def test_a_lease_lapses_at_its_time(leases: Leases, elapse: Elapse) -> None:
    """It holds until its last moment, and from then on it is anybody's."""
    assert await leases.lease("c", "one", 1000)
    elapse(975)
    assert not await leases.lease("c", "two", 1000)
    elapse(25)
    assert await leases.lease("c", "two", 1000)
    assert not await leases.lease("c", "one", 1000)


async def test_a_renewal_counts_from_when_it_was_made(leases: Leases, elapse: Elapse) -> None:
    """A renewed lease holds for its new time, which may end sooner than the old one."""
    assert await leases.lease("c", "one", 1000)
    elapse(900)
    assert await leases.lease("c", "one", 1000)
    elapse(900)
    assert not await leases.lease("c", "two", 1000)
    assert await leases.lease("c", "one", 200)
    elapse(200)
    assert await leases.lease("c", "two", 1000)


async def test_a_lapsed_lease_can_be_renewed_if_nobody_took_it(leases: Leases, elapse: Elapse) -> None:
    """Who was late, but alone, goes on."""
    assert await leases.lease("c", "one", 1000)
    elapse(10_000)
    assert await leases.lease("c", "one", 1000)
    assert not await leases.lease("c", "two", 1000)


async def test_a_released_lease_is_free(leases: Leases) -> None:
    """What was given back can be taken at once."""
    assert await leases.lease("c", "one", 1000)
    await leases.release("c", "one")
    assert await leases.lease("c", "two", 1000)


async def test_only_its_owner_can_release_a_lease(leases: Leases) -> None:
    """Somebody else's release, and the release of a lease that is not there, do nothing."""
    assert await leases.lease("c", "one", 1000)
    await leases.release("c", "two")
    await leases.release("d", "two")
    assert not await leases.lease("c", "two", 1000)


async def test_who_lost_a_lease_cannot_release_its_heir(leases: Leases, elapse: Elapse) -> None:
    """A late release by the old owner leaves the new owner's lease alone."""
    assert await leases.lease("c", "one", 1000)
    elapse(1000)
    assert await leases.lease("c", "two", 1000)
    await leases.release("c", "one")
    assert not await leases.lease("c", "three", 1000)


async def test_many_lapsed_leases_do_not_get_in_the_way(leases: Leases, elapse: Elapse) -> None:
    """Of a crowd of leases that lapsed, each can be taken anew, once."""
    names = [f"c{n}" for n in range(100)]
    assert all([await leases.lease(name, "one", 1000) for name in names])
    elapse(1000)
    assert all([await leases.lease(name, "two", 1000) for name in names])
    assert not any([await leases.lease(name, "one", 1000) for name in names])
