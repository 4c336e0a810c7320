"""A fee payer's budget where several workers share a cache: counted in one place, for all of them.

    Budget        what a method asks: this process's own budget first, then the shared one
    SharedBudget  the shared one, in counters
    Tally         a sum over the last so many seconds

Counters lapse, so each sum is kept in buckets of time, of which the last few count. What is under way counts
as lost from the beginning, and is taken off when it is on the chain: what a worker that died had under way
stays lost, as it should. If the cache is emptied, all that is under way or was lost is forgotten, which costs
at most what the policy allows once more. If it cannot be asked, each worker goes by its own budget, as it
does without one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct

from coinslot.errors import LedgerError
from coinslot.methods.tempo.node import CHAIN_LAG
from coinslot.methods.tempo.server.fee_policy import (
    LOSS_PERIOD,
    FeeBudget,
    FeePayerPolicy,
    attodollars,
    busy,
)
from coinslot.payments.cache import Cache

_PAUSE: Final = 60  # seconds, where more than a payment has to end before there is room
_UNIT: Final = 10**9  # attodollars: so that nine billion dollars fit a counter of 64 bits


class Budget:
    """What a fee payer has at stake, here and with the workers that share its cache."""

    def __init__(self, own: FeeBudget, policy: FeePayerPolicy, clock: Callable[[], float]) -> None:
        self.own = own
        self._policy = policy
        self._clock = clock
        self._shared: SharedBudget | None = None

    def share(self, cache: Cache | None) -> None:
        """Count in `cache` as well from now on, or in nothing but this process."""
        self._shared = (
            None if cache is None else SharedBudget(cache, self.own.name, self._policy, self._clock)
        )

    async def reserve(self, key: str, payer: str, fee: int, until: float) -> None:
        """Set aside so many attodollars for the transaction `key`, which is valid before `until`.

        Raises `PaymentUnavailable`, which says when to come again.
        """
        if not self.own.reserve(key, payer, fee, until) or self._shared is None:
            return
        try:
            await self._shared.reserve(key, payer, fee)
        except LedgerError as error:
            self._warn(error)
        except BaseException:
            self.own.release(key)
            raise

    async def release(self, key: str) -> None:
        """The transaction is on the chain and paid, or was never sent."""
        self.own.release(key)
        await self._end(key, lost=0, is_revert=False)

    async def lose(self, key: str, fee: int | None = None) -> None:
        """The transaction was reverted. `fee` are the attodollars it cost, None for the most it could."""
        self.own.lose(key, fee)
        await self._end(key, lost=fee, is_revert=True)

    async def _end(self, key: str, *, lost: int | None, is_revert: bool) -> None:
        if self._shared is None:
            return
        try:
            await self._shared.end(key, lost=lost, is_revert=is_revert)
        except LedgerError as error:
            self._warn(error)

    def _warn(self, error: LedgerError) -> None:
        self.own.warn(f"the fee payer's shared budget cannot be counted, so each worker has its own: {error}")


class Tally:
    """A sum over at least the last `depth - 1` spans of `span` seconds, and at most `depth`."""

    def __init__(self, cache: Cache, name: str, *, span: float, depth: int) -> None:
        self._cache = cache
        self._name = name
        self._span = span
        self._depth = depth

    async def add(self, by: int, *, at: float, now: float) -> int:
        """Add to what was counted at a time; the sum as it is now."""
        bucket, latest = int(at // self._span), int(now // self._span)
        counted = range(latest - self._depth + 1, latest + 1)
        sums = await asyncio.gather(
            *(self._count(one, by if one == bucket else 0) for one in sorted({bucket, *counted}))
        )
        return sum(sums)

    async def _count(self, bucket: int, by: int) -> int:
        lasts = self._span * (self._depth + 1)
        return await self._cache.count(f"{self._name}:{bucket}", by=by, seconds=lasts)


class _Held(Struct, frozen=True):
    """What was set aside for one transaction, as the cache keeps it. `units` are of 10⁹ attodollars."""

    at: float
    payer: str
    units: int


class SharedBudget:
    """The budget of the fee payer called `name`. Its calls may raise `LedgerError`."""

    def __init__(self, cache: Cache, name: str, policy: FeePayerPolicy, clock: Callable[[], float]) -> None:
        self._cache = cache
        self._name = f"fees:{name}"
        self._policy = policy
        self._clock = clock
        self._validity = float(policy.max_validity + CHAIN_LAG)
        self._fee_limit = attodollars("max_in_flight_fee", policy.max_in_flight_fee) // _UNIT
        self._loss_limit = attodollars("max_lost_fee", policy.max_lost_fee) // _UNIT

    async def reserve(self, key: str, payer: str, fee: int) -> None:
        """Set aside so many attodollars, unless another worker has for the same transaction.

        Raises `PaymentUnavailable`, and then nothing is set aside.
        """
        if await self._held(key) is not None:
            return
        held = _Held(self._clock(), payer, -(-fee // _UNIT))
        at_stake, under_way, of_payer, lost = await self._add(held, sign=1)
        reverts = await self._reverts(payer).add(0, at=held.at, now=held.at)
        refusal = None
        if reverts >= self._policy.max_reverts_per_payer:
            refusal = busy(
                "Payments of this account were reverted at the seller's expense; "
                "it is not sponsored for a while.",
                retry_after=_PAUSE,
            )
        elif of_payer > self._policy.max_in_flight_per_payer:
            refusal = busy("Too many sponsored payments of this account are under way.")
        elif under_way > self._policy.max_in_flight or at_stake > self._fee_limit:
            refusal = busy("Too many sponsored payments are under way.")
        elif lost > self._loss_limit:
            refusal = busy("Payments are not sponsored right now.", retry_after=_PAUSE)
        if refusal is not None:
            await self._add(held, sign=-1)
            raise refusal
        await self._cache.put(f"{self._name}:held:{key}", msgspec.json.encode(held), seconds=LOSS_PERIOD)

    async def end(self, key: str, *, lost: int | None, is_revert: bool) -> None:
        """Take off what was set aside, and count what was lost: attodollars, None for all of it."""
        held = await self._held(key)
        if held is None:
            return
        # Of several workers that find out the end of the same transaction, one takes it off.
        ends = await self._cache.count(f"{self._name}:end:{key}:{held.at}", by=1, seconds=LOSS_PERIOD)
        if ends > 1:
            return
        await self._cache.put(f"{self._name}:held:{key}", b"", seconds=LOSS_PERIOD)
        await self._add(held, sign=-1)
        now = self._clock()
        cost = held.units if lost is None else min(-(-lost // _UNIT), held.units)
        if cost:
            await self._lost().add(cost, at=now, now=now)
        if is_revert:
            await self._reverts(held.payer).add(1, at=now, now=now)

    async def _held(self, key: str) -> _Held | None:
        data = await self._cache.get(f"{self._name}:held:{key}")
        return msgspec.json.decode(data, type=_Held) if data else None

    async def _add(self, held: _Held, *, sign: int) -> list[int]:
        """Add it to, or take it off, the four sums that it counts in: how they stand."""
        now = self._clock()
        tallies = (
            (self._under_way("fees"), held.units),
            (self._under_way("number"), 1),
            (self._under_way(held.payer), 1),
            (self._lost(), held.units),
        )
        return await asyncio.gather(*(tally.add(sign * by, at=held.at, now=now) for tally, by in tallies))

    def _under_way(self, what: str) -> Tally:
        return Tally(self._cache, f"{self._name}:under-way:{what}", span=self._validity, depth=2)

    def _lost(self) -> Tally:
        return Tally(self._cache, f"{self._name}:lost", span=LOSS_PERIOD / 2, depth=3)

    def _reverts(self, payer: str) -> Tally:
        return Tally(self._cache, f"{self._name}:reverts:{payer}", span=LOSS_PERIOD / 2, depth=3)
