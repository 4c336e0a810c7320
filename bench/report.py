"""What was measured: the table for people, the JSON for programs.

The table has the best of each series: whatever else the machine does can only make a measurement worse, and
does not treat all of them alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

OURS: Final = "Coinslot"
FREE: Final = "free"
REFUSED: Final = "402"
NONE: Final = "–"


class Operation(Struct, frozen=True):
    """One operation of one subject, without HTTP: calls a second, the best of many batches."""

    operation: str
    subject: str
    per_second: float


class Route(Struct, frozen=True):
    """One route of one subject over HTTP, with a value for each round.

    `cpu_microseconds` is the server's processor time for an answer, empty where the operating system does not
    tell. `of_free` is the best rate as a fraction of the best that the same server's free route had.
    """

    route: str
    subject: str
    answers: int
    per_second: list[float]
    of_free: float
    cpu_microseconds: list[float]


class Report(Struct, frozen=True):
    """One run. `versions` are those of the subjects, in the order of the table's columns."""

    versions: dict[str, str]
    machine: dict[str, str]
    operations: list[Operation]
    routes: list[Route]
    settings: dict[str, float]

    def table(self) -> str:
        """All of it, aligned."""
        subjects = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        parts = [f"{subjects}; {self.machine['python']} on {self.machine['processors']} processors"]
        if self.operations:
            parts += ["", *self._operations()]
        if self.routes:
            parts += ["", *self._routes(), "", *self._processor_time()]
        return "\n".join(parts)

    def _operations(self) -> list[str]:
        rates = {(found.operation, found.subject): found.per_second for found in self.operations}
        rows = [
            [name, *self._cells(name, rates, "{:,.0f}"), *self._ratios(name, rates)]
            for name in dict.fromkeys(found.operation for found in self.operations)
        ]
        title = "Without HTTP: calls a second, the best of many batches (×: ours / theirs)"
        return [title, "", *aligned([["", *self.versions, *self._others()], *rows])]

    def _routes(self) -> list[str]:
        rates = {(found.route, found.subject): max(found.per_second) for found in self.routes}
        fractions = {(found.route, found.subject): found.of_free for found in self.routes}
        rows = [
            [
                name,
                *self._cells(name, rates, "{:,.0f}"),
                *self._ratios(name, rates),
                *self._cells(name, fractions, "{:.2f}"),
            ]
            for name in self._route_names()
        ]
        header = ["", *self.versions, *self._others(), *(f"{subject}/free" for subject in self.versions)]
        title = (
            f"Over HTTP: answers a second, the best of {self.settings['rounds']:.0f} rounds; one worker, "
            f"{self.settings['connections']:.0f} connections (/free: of the same server's free route)"
        )
        return [title, "", *aligned([header, *rows])]

    def _processor_time(self) -> list[str]:
        """The steadier figure where other programs want the processors too."""
        times = {
            (found.route, found.subject): min(found.cpu_microseconds)
            for found in self.routes
            if found.cpu_microseconds
        }
        speeds = {key: 1 / time for key, time in times.items() if time > 0}
        rows = [
            [name, *self._cells(name, times, "{:,.0f}"), *self._ratios(name, speeds)]
            for name in self._route_names()
        ]
        title = "Over HTTP: the server's processor time for an answer, in microseconds (×: theirs / ours)"
        return [title, "", *aligned([["", *self.versions, *self._others()], *rows])]

    def _route_names(self) -> list[str]:
        return list(dict.fromkeys(found.route for found in self.routes))

    def _others(self) -> list[str]:
        return [f"× {name}" for name in self.versions if name != OURS]

    def _cells(self, row: str, values: Mapping[tuple[str, str], float], form: str) -> list[str]:
        found = [values.get((row, subject)) for subject in self.versions]
        return [NONE if value is None else form.format(value) for value in found]

    def _ratios(self, row: str, rates: Mapping[tuple[str, str], float]) -> list[str]:
        """How many times faster we are."""
        ours = rates.get((row, OURS))
        theirs = [rates.get((row, subject)) for subject in self.versions if subject != OURS]
        return [NONE if ours is None or rate is None else f"{ours / rate:.2f}" for rate in theirs]


def aligned(rows: Sequence[Sequence[str]], *, left: int = 1) -> list[str]:
    """The first column, or so many, to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if at < left else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
