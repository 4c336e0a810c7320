"""The run: plan the cases, play many at once, tell how it goes."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from msgspec.structs import replace

from faults.acts import Result, play
from faults.buyers import Manner, Rail
from faults.cases import RAILS, STORES, Act, Case, chance_cases, dry_runs, strikes
from faults.points import Passage
from faults.stage import Books, House

AT_ONCE: Final = 12
"""Cases at a time: most of them wait for a dead shop's lease to lapse."""

THOROUGH: Final = 500
"""Kills from which on a plan leaves out no transition."""

Report = Callable[[Result], None]


async def play_all(
    house: House, cases: Iterable[Case], report: Report = lambda _: None, *, at_once: int = AT_ONCE
) -> list[Result]:
    """Play them, so many at a time. `report` hears of each when it is over."""
    places = asyncio.Semaphore(at_once)

    async def play_one(case: Case) -> Result:
        async with places:
            result = await play(house, case)
        report(result)
        return result

    return await asyncio.gather(*(play_one(case) for case in cases))


async def plan(house: House, seed: int, kills: int, report: Report = lambda _: None) -> list[Case]:
    """Cases in which so many processes are killed; all that there are, for 0.

    The points come from dry runs on this very machine, so none is forgotten when the code changes. A plan of
    `THOROUGH` kills or more has every transition on every store and rail, and all that is left to chance; a
    smaller one has some of each act.
    """
    rng = random.Random(seed)
    dry = await play_all(house, dry_runs(), report)
    deaths = [
        replace(result.case, act="kill", fault=fault, manner=rng.choice(_MANNERS[result.case.rail]))
        for result in dry
        for fault in strikes(result.trace)
    ]
    losses = [
        replace(result.case, act="lose", fault=fault)
        for result in dry
        if result.case.keyed
        for fault in strikes(result.trace, "lose")
        if not fault.point.startswith(("handler", "answer"))
    ]
    pools = [deaths, losses, chance_cases(seed), *await _second_deaths(house, report)]
    for pool in pools:
        rng.shuffle(pool)
    cases = _interleaved(pools)
    if kills >= THOROUGH:
        first = [*_essential(cases), *(case for case in cases if case.act in _BY_CHANCE)]
        rng.shuffle(first)
        cases = [*first, *(case for case in cases if case not in first)]
    return _first_kills(cases, kills) if kills else cases


async def _second_deaths(house: House, report: Report) -> list[list[Case]]:
    """What there is to die of after a first death, or in a refund: a pool for each act."""
    rehearsals = [
        Case(act=act, books=books, cached=cached, rail=rail, manner=manner)
        for act, manner in _SECOND_LIVES
        for books, cached in STORES[:3:2]  # the points are the same on either database
        for rail in (RAILS if act == "resume" else _MOVED_BY_THE_SHOP)
    ]
    results = await play_all(house, rehearsals, report)
    return [
        [
            replace(result.case, fault=fault, books=books)
            for result in results
            if result.case.act == act
            for books in _BOOKS
            for fault in strikes(_second_life(result))
        ]
        for act, _ in _SECOND_LIVES
    ]


def _essential(cases: Iterable[Case]) -> list[Case]:
    """One death before and one after each transition, on each store and rail."""
    chosen: dict[tuple[object, ...], Case] = {}
    for case in cases:
        if case.act == "kill" and case.fault is not None and case.fault.point.startswith(_TRANSITIONS):
            kind = (case.stores, case.rail, case.fault.point, case.fault.when)
            chosen.setdefault(kind, case)
    return list(chosen.values())


_BOOKS: Final[tuple[Books, ...]] = ("sqlite", "postgres")
_BY_CHANCE: Final = ("random", "load", "outage")
_MOVED_BY_THE_SHOP: Final[tuple[Rail, ...]] = ("pull", "stripe")
_TRANSITIONS: Final = (
    "ledger.insert",
    "ledger.replace",
    "ledger.keep",
    "handler",
    "tempo eth_send",
    "stripe",
)
_MANNERS: Final[dict[str, tuple[Manner, ...]]] = {
    "pull": ("returns", "returns", "crowds", "vanishes"),
    "push": ("returns", "returns", "crowds"),  # the shop would never hear of the money of those who vanish
    "stripe": ("returns", "returns", "crowds", "vanishes"),
}

_SECOND_LIVES: Final[tuple[tuple[Act, Manner], ...]] = (
    ("resume", "returns"),
    ("resend", "returns"),
    ("reconcile", "vanishes"),
    ("refund", "returns"),
)


def _second_life(result: Result) -> list[Passage]:
    """What the shop passed that went on from the first one's death, or that the act is about."""
    first = result.trace[0].pid
    if result.case.act in ("resume", "resend"):
        return [passage for passage in result.trace if passage.pid != first]
    return result.trace


def _interleaved(pools: Sequence[list[Case]]) -> list[Case]:
    """From each pool in proportion to its size."""
    placed = [
        ((index + 0.5) / len(pool), number, case)
        for number, pool in enumerate(pools)
        for index, case in enumerate(pool)
    ]
    return [case for _, _, case in sorted(placed, key=lambda each: each[:2])]


def _first_kills(cases: Iterable[Case], kills: int) -> list[Case]:
    """So many of the cases that so many processes are killed."""
    chosen = []
    for case in cases:
        if kills <= 0:
            break
        kills -= case.kills
        chosen.append(case)
    return chosen


class Progress:
    """Says now and then how far it is, and at once what does not hold."""

    def __init__(self, of: str) -> None:
        """`of` is what they are out of."""
        self._of = of
        self.results: list[Result] = []
        self._began = self._said = time.monotonic()

    def __call__(self, result: Result) -> None:
        self.results.append(result)
        for violation in result.violations:
            self._say(f"VIOLATION {result.case}\n    {violation}")
        if time.monotonic() - self._said > 15:
            self._said = time.monotonic()
            kills = sum(each.kills for each in self.results)
            self._say(
                f"{time.monotonic() - self._began:6.0f} s  {len(self.results)} {self._of}, {kills} kills"
            )

    def _say(self, text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
