from __future__ import annotations

import asyncio
import logging

import pytest
from hypothesis import given, settings, strategies as st

from coinslot.errors import LedgerError, PaymentUnavailable
from coinslot.methods import tempo
from coinslot.methods.tempo.keys import PrivateKey
from coinslot.methods.tempo.node import CHAIN_LAG
from coinslot.methods.tempo.server.fee_policy import FeeBudget, FeePayerPolicy
from coinslot.methods.tempo.server.shared_budget import Budget, Tally
from coinslot.payments.cache import Cache
from coinslot.payments.desk import Desk
from coinslot.payments.events import Events
from coinslot.payments.method import Settled
from coinslot.sandbox.tempo import ThreadedDevnet
from coinslot.storage.memory import MemoryLedger
from coinslot.storage.memory_cache import MemoryCache
from coinslot.storage.redis import RedisCache
from ledgers import NOW, Clock
from tempo_payments import new_address, paid

DOLLAR = 10**18
VALIDITY = 90 + CHAIN_LAG


class Blackboard(MemoryCache):
    """A cache in memory that can be wiped, or taken away."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock=clock)
        self.is_away = False

    def wipe(self) -> None:
        """Forget everything."""
        self.__dict__.update(vars(MemoryCache(clock=self._clock)))

    async def count(self, name: str, *, by: int, seconds: float) -> int:
        """Add to a counter."""
        await self._answer()
        return await super().count(name, by=by, seconds=seconds)

    async def get(self, name: str) -> bytes | None:
        """A value."""
        await self._answer()
        return await super().get(name)

    async def put(self, name: str, value: bytes, *, seconds: float) -> None:
        """Keep it."""
        await self._answer()
        await super().put(name, value, seconds=seconds)

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self.is_away:
            raise LedgerError("the cache cannot be reached")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> Blackboard:
    return Blackboard(clock)


def workers(cache: Blackboard | None, policy: FeePayerPolicy, clock: Clock, count: int = 2) -> list[Budget]:
    """So many workers of one fee payer."""
    made = [Budget(FeeBudget(policy, clock, name="0xpayer"), policy, clock) for _ in range(count)]
    for budget in made:
        budget.share(cache)
    return made


async def reserve(budget: Budget, key: str, fee: int = DOLLAR // 100, payer: str | None = None) -> None:
    await budget.reserve(key, payer or f"payer of {key}", fee, NOW + 25)


class TestLimits:
    """What all workers together may have at stake."""

    async def test_a_worker_knows_what_another_has_under_way(self, cache: Blackboard, clock: Clock) -> None:
        """The sum of fees is bounded, whoever promised them, and there is room as soon as one has ended."""
        one, other = workers(cache, FeePayerPolicy(max_in_flight_fee="0.10"), clock)
        await reserve(one, "a", 6 * DOLLAR // 100)
        with pytest.raises(PaymentUnavailable, match="Too many sponsored payments are under way"):
            await reserve(other, "b", 5 * DOLLAR // 100)
        await reserve(other, "c", 4 * DOLLAR // 100)
        await one.release("a")
        await reserve(other, "b", 5 * DOLLAR // 100)

    async def test_numbers_are_bounded(self, cache: Blackboard, clock: Clock) -> None:
        """In all, and of one payer."""
        policy = FeePayerPolicy(max_in_flight=3, max_in_flight_per_payer=2)
        one, other = workers(cache, policy, clock)
        await reserve(one, "a", payer="one")
        await reserve(other, "b", payer="one")
        for budget in (one, other):
            with pytest.raises(PaymentUnavailable, match="of this account are under way"):
                await reserve(budget, "c", payer="one")
        await reserve(one, "c", payer="two")
        with pytest.raises(PaymentUnavailable, match="Too many sponsored payments are under way"):
            await reserve(other, "d", payer="three")

    async def test_losses_count_for_everybody(self, cache: Blackboard, clock: Clock) -> None:
        """Those of one payer, and all together, for an hour at least."""
        policy = FeePayerPolicy(max_reverts_per_payer=2, max_lost_fee="0.04")
        one, other = workers(cache, policy, clock)
        for budget, key in ((one, "a"), (other, "b")):
            await reserve(budget, key, payer="payer")
            await budget.lose(key)
        with pytest.raises(PaymentUnavailable, match="reverted at the seller's expense") as refusal:
            await reserve(one, "c", payer="payer")
        assert refusal.value.retry_after
        await reserve(one, "c")
        await reserve(other, "d")
        with pytest.raises(PaymentUnavailable, match="not sponsored right now"):
            await reserve(one, "e")
        for budget, key in ((one, "c"), (other, "d")):
            await budget.release(key)
        clock.now += 3599
        with pytest.raises(PaymentUnavailable, match="reverted at the seller's expense"):
            await reserve(other, "f", payer="payer")
        clock.now += 1801
        await reserve(other, "f", payer="payer")

    async def test_what_a_revert_cost_is_what_is_lost(self, cache: Blackboard, clock: Clock) -> None:
        """Not the most that it could have cost."""
        (one, other) = workers(cache, FeePayerPolicy(max_lost_fee="0.05"), clock)
        await reserve(one, "a", 4 * DOLLAR // 100)
        await one.lose("a", DOLLAR // 100)
        await reserve(other, "b", 4 * DOLLAR // 100)
        with pytest.raises(PaymentUnavailable):
            await reserve(other, "c", 1)

    async def test_nothing_is_left_of_a_refused_attempt(self, cache: Blackboard, clock: Clock) -> None:
        """A payer who tries again and again takes no room."""
        one, other = workers(cache, FeePayerPolicy(max_in_flight=1), clock)
        await reserve(one, "a")
        for _ in range(50):
            with pytest.raises(PaymentUnavailable):
                await reserve(other, "b")
        assert other.own.at_stake == 0
        await one.release("a")
        await reserve(other, "b")

    async def test_many_at_once_do_not_slip_through(self, cache: Blackboard, clock: Clock) -> None:
        """Of forty that come together, as many are sponsored as there is money for."""
        policy = FeePayerPolicy(max_in_flight_fee="0.10", max_in_flight_per_payer=40)
        budgets = workers(cache, policy, clock, count=4)
        attempts = [reserve(budgets[number % 4], str(number)) for number in range(40)]
        outcomes = await asyncio.gather(*attempts, return_exceptions=True)
        assert outcomes.count(None) == 10
        assert all(isinstance(one, PaymentUnavailable) for one in outcomes if one is not None)


class TestAcrossWorkers:
    """A payment that begins in one worker and ends in another."""

    async def test_the_same_transaction_is_reserved_for_once(self, cache: Blackboard, clock: Clock) -> None:
        """Whoever presents it to another worker takes no second place, and it may end in either."""
        one, other = workers(cache, FeePayerPolicy(max_in_flight=1), clock)
        await reserve(one, "a")
        await reserve(other, "a")
        await asyncio.gather(one.release("a"), other.release("a"))
        await reserve(one, "b")
        with pytest.raises(PaymentUnavailable):
            await reserve(other, "c")

    async def test_it_may_be_reserved_again_after_its_end(self, cache: Blackboard, clock: Clock) -> None:
        """The payer presents what a node did not take once more."""
        one, other = workers(cache, FeePayerPolicy(max_in_flight=1), clock)
        for budget in (one, other, one):
            await reserve(budget, "a")
            await budget.release("a")
            clock.now += 1
        await reserve(one, "a")
        with pytest.raises(PaymentUnavailable):
            await reserve(other, "b")

    async def test_what_a_dead_worker_had_under_way_is_lost(self, cache: Blackboard, clock: Clock) -> None:
        """It is no longer under way when it cannot come any more, and counts as lost."""
        policy = FeePayerPolicy(max_in_flight=1, max_lost_fee="0.05")
        dead, alive = workers(cache, policy, clock)
        await reserve(dead, "a", 3 * DOLLAR // 100)
        clock.now += 2 * VALIDITY
        with pytest.raises(PaymentUnavailable, match="not sponsored right now"):
            await reserve(alive, "b", 3 * DOLLAR // 100)
        await reserve(alive, "b", 2 * DOLLAR // 100)

    async def test_each_fee_payer_has_its_own(self, cache: Blackboard, clock: Clock) -> None:
        """Two accounts do not use up each other's budget."""
        policy = FeePayerPolicy(max_in_flight=1)
        (mine,) = workers(cache, policy, clock, count=1)
        theirs = Budget(FeeBudget(policy, clock, name="0xother"), policy, clock)
        theirs.share(cache)
        await reserve(mine, "a")
        await reserve(theirs, "b")


class TestWithoutIt:
    """The cache may forget, and it may be away."""

    async def test_an_emptied_cache_costs_one_budget_more(self, cache: Blackboard, clock: Clock) -> None:
        """What was under way is forgotten, and its end takes nothing off from what came after."""
        one, other = workers(cache, FeePayerPolicy(max_in_flight_fee="0.10"), clock)
        await reserve(one, "a", 10 * DOLLAR // 100)
        cache.wipe()
        await reserve(other, "b", 10 * DOLLAR // 100)
        await one.release("a")
        for budget in (one, other):
            with pytest.raises(PaymentUnavailable):
                await reserve(budget, "c", 1 * DOLLAR // 100)

    async def test_while_it_is_away_each_goes_by_its_own(
        self, cache: Blackboard, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Payments go on, within what one worker may promise, and the log says so once a minute."""
        one, other = workers(cache, FeePayerPolicy(max_in_flight=1), clock)
        cache.is_away = True
        await reserve(one, "a")
        await reserve(other, "b")
        await one.release("a")
        await reserve(one, "c")
        with pytest.raises(PaymentUnavailable):
            await reserve(one, "d")
        assert [record.levelno for record in caplog.records].count(logging.WARNING) >= 1
        shared = [record for record in caplog.records if "cannot be counted" in record.message]
        assert len(shared) == 2, "each worker tells of it once"

    async def test_without_a_cache_nothing_is_shared(self, clock: Clock) -> None:
        """Each worker has a budget of its own."""
        one, other = workers(None, FeePayerPolicy(max_in_flight=1), clock)
        await reserve(one, "a")
        await reserve(other, "b")


@pytest.mark.parametrize("kind", ["memory", "redis"])
async def test_two_servers_share_one_fee_payer(
    kind: str, request: pytest.FixtureRequest, devnet: ThreadedDevnet, payer: PrivateKey
) -> None:
    """Through the desk that each has of its paywall: what one has signed for, the other counts."""
    cache: Cache = MemoryCache()
    if kind == "redis":
        cache = RedisCache(request.getfixturevalue("redis_server").url, patience=30)
    await cache.open()
    key = PrivateKey.generate()
    devnet.fund(key.address)
    servers = []
    for _ in range(2):
        sponsor = tempo.FeePayer(key, policy=FeePayerPolicy(max_in_flight=1))
        server = tempo.charge(new_address(), rpc_url=devnet.rpc_url, fee_payer=sponsor)
        ledger = MemoryLedger()
        server.keep(Desk(ledger, ledger, Events(), method="tempo", intent="charge", cache=cache))
        servers.append(server)
    one, other = servers
    under_way = await paid(one, payer)
    with pytest.raises(PaymentUnavailable, match="Too many sponsored payments"):
        await paid(other, payer)
    assert isinstance(await one.settle(under_way), Settled)
    assert isinstance(await other.settle(await paid(other, payer)), Settled)
    for server in servers:
        await server.aclose()
    await cache.close()


@given(st.lists(st.tuples(st.integers(0, 2_000), st.integers(1, 100)), max_size=30))
@settings(max_examples=50)
async def test_a_tally_forgets_neither_too_soon_nor_never(steps: list[tuple[int, int]]) -> None:
    """It has all of the last so many seconds, and nothing from long before."""
    clock = Clock()
    cache: Cache = Blackboard(clock)
    tally = Tally(cache, "name", span=100, depth=3)
    added: list[tuple[float, int]] = []
    for pause, by in steps:
        clock.now += pause
        added.append((clock.now, by))
        total = await tally.add(by, at=clock.now, now=clock.now)
        assert total >= sum(amount for at, amount in added if at > clock.now - 200)
        assert total <= sum(amount for at, amount in added if at > clock.now - 300)
