"""What is measured over HTTP: which routes of which shops, in which order, how often."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from environments import BUILD, Subject
from msgspec import Struct
from report import FREE, REFUSED, Route
from traffic import SPARE_CREDENTIALS, Credentials, Load, Measurement, Shop, running


class Stall(Struct, frozen=True):
    """A running shop, and what can be measured at it.

    Each of a subject's ledgers has a shop of its own. The first one stands for its free route and its 402,
    in which no ledger takes part; every one has its free route measured, since its paid route is compared
    with that.
    """

    subject: Subject
    shop: Shop
    ledger: str | None
    is_first: bool
    credentials: Path

    def measure(self, round_number: int, load: Load) -> dict[str, Measurement]:
        """Every route once, `free` among them."""
        measured = {FREE: self.shop.load("/free", 200, load)}
        if self.is_first:
            measured[REFUSED] = self.shop.load("/paid", 402, load)
        if self.ledger is not None:
            unspent = Credentials(self.credentials, skip=round_number * _credentials_a_round(load))
            measured[f"paid, {self.ledger}"] = self.shop.load("/paid", 200, load, unspent)
        return measured


def measure_routes(
    subjects: Sequence[Subject], rounds: int, load: Load, say: Callable[[str], None]
) -> list[Route]:
    """All subjects in turn, and that several times over: what else the machine does meets all of them."""
    series: dict[tuple[Stall, str], list[Measurement]] = {}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=BUILD)))
        stalls: list[Stall] = []
        for subject in subjects:
            say(f"Over HTTP: opening {subject.name}")
            stalls += _open(subject, rounds, load, folder, stack)
        for number in range(rounds):
            for stall in stalls:
                for route, measurement in stall.measure(number, load).items():
                    rate = f"{stall.subject.name} {route} {measurement.per_second:,.0f}/s"
                    say(f"Round {number + 1} of {rounds}: {rate}")
                    series.setdefault((stall, route), []).append(measurement)
    return [
        _route(stall.subject.name, route, measurements, series[stall, FREE])
        for (stall, route), measurements in series.items()
        if route != FREE or stall.is_first
    ]


def _open(
    subject: Subject, rounds: int, load: Load, folder: Path, stack: contextlib.ExitStack
) -> list[Stall]:
    """The subject's shops, each warm, and seen to be open and to ask for money."""
    credentials = folder / f"{subject.name}.txt"
    if subject.ledgers:
        count = str(rounds * _credentials_a_round(load))
        command = [*subject.command, "credentials", count, str(credentials)]
        subprocess.run(command, check=True, process_group=0)
    stalls: list[Stall] = []
    kinds: tuple[str | None, ...] = subject.ledgers or (None,)
    for ledger in kinds:
        url = f"sqlite:///{folder / subject.name}.db" if ledger == "SQLite" else "memory:"
        shop = stack.enter_context(running(subject, url))
        for path, status in (("/free", 200), ("/paid", 402)):
            shop.check(path, status)
            shop.load(path, status, Load(seconds=load.seconds / 4, payments=0))  # to warm up
        stalls.append(Stall(subject, shop, ledger, is_first=not stalls, credentials=credentials))
    return stalls


def _credentials_a_round(load: Load) -> int:
    return load.payments + SPARE_CREDENTIALS


def _route(
    subject: str, route: str, measurements: Sequence[Measurement], free: Sequence[Measurement]
) -> Route:
    rates = [measurement.per_second for measurement in measurements]
    times = [measurement.cpu_microseconds for measurement in measurements]
    return Route(
        route=route,
        subject=subject,
        answers=sum(measurement.answers for measurement in measurements),
        per_second=rates,
        of_free=max(rates) / max(measurement.per_second for measurement in free),
        cpu_microseconds=[time for time in times if time is not None],
    )
