"""How fast the stores are when they hold much, beside when they hold little.

    python bench/held.py [--held 1000000] [--only memory|sqlite|postgres|redis] [--output build/held.json]

Of each kind there are two stores: one with a thousand payments and as many live leases, one with a million.
They are measured in turns, so that whatever else the machine does slows both. A rate that does not depend on
how much is held has a ratio near 1. In the end the million leases lapse, and those that come later clear them
away.

    insert     a new payment, on the disk when it returns
    replace    its next state
    find       the payment of a challenge, of all that are held
    lease      a new lease, taken and given back
    stuck      the first hundred payments whose outcome is not known: what reconciling begins with

PostgreSQL and Redis are servers of the benchmark's own, as the tests start them, but with fsync. The table
goes to standard output, progress to standard error, and everything to a JSON file.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from held_stores import MemoryStore, PostgresStore, RedisStore, SQLiteStore, Store  # noqa: E402 - as the path has it
from report import aligned  # noqa: E402
from workload import OPERATIONS, Workload  # noqa: E402

LITTLE: Final = 1_000
ROUNDS: Final = 5
KINDS: Final[dict[str, type[Store]]] = {
    "memory": MemoryStore,
    "sqlite": SQLiteStore,
    "postgres": PostgresStore,
    "redis": RedisStore,
}


class Rate(Struct, frozen=True):
    """Calls a second of one operation, the best of some rounds, with little held and with much."""

    store: str
    operation: str
    little: float
    much: float


class Sweep(Struct, frozen=True):
    """What became of `lapsed` leases: `left` of them after `leases` more calls, in `seconds`."""

    store: str
    lapsed: int
    leases: int
    seconds: float
    left: int


class Report(Struct, frozen=True):
    """One run. `held` is how many payments, and how many leases, there were in the end."""

    held: int
    machine: dict[str, str]
    rates: list[Rate]
    sweeps: list[Sweep]

    def table(self) -> str:
        """All of it, aligned."""
        rows = [["", "", f"{LITTLE:,} held", f"{self.held:,} held", "ratio"]]
        for rate in self.rates:
            cells = [f"{rate.little:,.0f}", f"{rate.much:,.0f}", f"{rate.much / rate.little:.2f}"]
            rows.append([rate.store, rate.operation, *cells])
        sweeps = (
            f"{sweep.store}: {sweep.lapsed:,} leases lapsed; after {sweep.seconds:.0f} s and "
            f"{sweep.leases:,} more leases {sweep.left:,} are left"
            for sweep in self.sweeps
        )
        title = "Calls a second, the best of some rounds"
        return "\n".join([title, "", *aligned(rows, left=2), "", *sweeps])


def say(progress: str) -> None:
    """Tell whoever waits."""
    print(progress, file=sys.stderr, flush=True)


async def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description="How fast the stores are when they hold much.")
    parser.add_argument("--held", type=int, default=1_000_000, help="how many payments and leases")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long each round takes")
    parser.add_argument("--only", choices=list(KINDS), action="append", help="one store, or several")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "held.json", help="the JSON file")
    options = parser.parse_args(arguments)
    rates: list[Rate] = []
    sweeps: list[Sweep] = []
    for name in options.only or KINDS:
        async with running(KINDS[name]) as little, running(KINDS[name]) as much:
            rates += await compare(name, little, much, options.held, options.seconds)
            sweeps.append(await sweep(name, much, options.held))
    machine = {"python": platform.python_version(), "platform": platform.platform()}
    report = Report(options.held, machine, rates, sweeps)
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    print(report.table())


@asynccontextmanager
async def running(kind: type[Store]) -> AsyncIterator[Store]:
    """An empty store of this kind, which is gone afterwards."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="coinslot-held-"))
        yield await stack.enter_async_context(kind(Path(folder)))


async def compare(name: str, little: Store, much: Store, held: int, seconds: float) -> list[Rate]:
    """The same workload on both, in turns."""
    say(f"{name}: filling one with {LITTLE:,} payments and leases, one with {held:,}")
    await little.fill(LITTLE)
    await much.fill(held)
    workloads = Workload(little, LITTLE), Workload(much, held)
    rates: list[Rate] = []
    for operation in filter(little.has, OPERATIONS):
        say(f"{name}: {operation}")
        rounds = [[await each.measure(operation, seconds) for each in workloads] for _ in range(ROUNDS)]
        rates.append(Rate(name, operation, *map(max, zip(*rounds, strict=True))))
    return rates


async def sweep(name: str, store: Store, held: int) -> Sweep:
    """Let every lease lapse, and take others until they are gone."""
    await store.let_leases_lapse()
    say(f"{name}: {held:,} leases have lapsed")
    began = asyncio.get_running_loop().time()
    leases = 0
    left = held
    while left and leases < 2 * held:
        await asyncio.gather(*(store.leases.lease(f"after-{leases + n}", "owner", 0.0) for n in range(500)))
        leases += 500
        if leases % 10_000 == 0:
            left = await store.count_held_leases()
            say(f"{name}: {left:,} left after {leases:,} leases")
    return Sweep(name, held, leases, asyncio.get_running_loop().time() - began, left)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(130)
