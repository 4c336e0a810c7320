"""`python -m faults`: 600 deaths, `KILLS=50` for fewer, `KILLS=0` for all; `python -m faults NAME …`: again.

`SEED` chooses what is left to chance, which cases are played and in which order.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from faults.cases import Case
from faults.report import table, to_json, write
from faults.run import Progress, plan, play_all
from faults.stage import House

REPORT = Path("build/faults.json")


async def main(names: list[str]) -> int:
    """Play, print the report, and return the exit status."""
    seed, kills = int(os.environ.get("SEED", "1")), int(os.environ.get("KILLS", "600"))
    began = time.monotonic()
    with House() as house:
        if names:
            cases = [Case.parse(name) for name in names]
        else:
            cases = await plan(house, seed, kills, Progress("rehearsals"))
        print(f"{len(cases)} cases, {sum(case.kills for case in cases)} kills, seed {seed}", flush=True)
        progress = Progress(f"of {len(cases)} cases")
        results = await play_all(house, cases, progress)
    seconds = time.monotonic() - began
    bad = [result for result in results if result.violations]
    print(table(results))
    write(REPORT, to_json(results, seed=seed, seconds=seconds))
    print(f"{seconds:.0f} s; {REPORT}")
    for result in bad:
        print(f'\npython -m faults "{result.case}"\n    ' + "\n    ".join(result.violations))
        if names:
            print(result.log)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
