"""The report: what was played, how many died of it, and what did not hold."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec import Struct

from faults.acts import Result

_COLUMNS = (
    "act", "stores", "rail", "cases", "kills", "faults", "payments", "delivered", "waiting", "given up",
    "failed", "refunds", "violations",
)  # fmt: skip


class Row(Struct):
    """The cases of one kind, on the same stores and rail."""

    cases: int = 0
    kills: int = 0
    faults: int = 0
    payments: int = 0
    delivered: int = 0
    settled: int = 0
    undelivered: int = 0
    failed: int = 0
    refunds: int = 0
    violations: int = 0

    def add(self, result: Result) -> None:
        """Count one more."""
        self.cases += 1
        self.kills += result.kills
        self.faults += result.faults
        self.payments += sum(result.states.values())
        self.delivered += result.states.get("delivered", 0)
        self.settled += result.states.get("settled", 0)
        self.undelivered += result.states.get("undelivered", 0)
        self.failed += result.states.get("failed", 0)
        self.refunds += result.refunds
        self.violations += len(result.violations)

    @property
    def values(self) -> list[int]:
        """As columns."""
        return [getattr(self, name) for name in self.__struct_fields__]


def table(results: Iterable[Result]) -> str:
    """Aligned, with a line for each kind of case and one for all of them."""
    rows: dict[tuple[str, str, str], Row] = defaultdict(Row)
    total = Row()
    for result in results:
        case = result.case
        rows[case.act, case.stores, case.rail].add(result)
        total.add(result)
    lines: list[Sequence[object]] = [_COLUMNS]
    lines += [(*kind, *row.values) for kind, row in sorted(rows.items())]
    lines.append(("all", "", "", *total.values))
    widths = [max(len(str(line[column])) for line in lines) for column in range(len(_COLUMNS))]
    return "\n".join(
        "  ".join(
            str(cell).ljust(width) if column < 3 else str(cell).rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def to_json(results: Sequence[Result], *, seed: int, seconds: float) -> str:
    """The same for machines, with the names to play what went wrong again."""
    return json.dumps(
        {
            "seed": seed,
            "seconds": round(seconds, 1),
            "cases": len(results),
            "kills": sum(result.kills for result in results),
            "faults": sum(result.faults for result in results),
            "payments": sum(sum(result.states.values()) for result in results),
            "violations": {str(result.case): result.violations for result in results if result.violations},
            "played": [
                {
                    "case": str(result.case),
                    "kills": result.kills,
                    "faults": result.faults,
                    "seconds": round(result.seconds, 2),
                    "states": result.states,
                }
                for result in results
            ],
        },
        indent=1,
    )


def write(path: Path, text: str) -> None:
    """Into a file whose folder may not be there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")
