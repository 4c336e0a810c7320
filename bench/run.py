"""How fast Coinslot is, beside pympp and mppx, in one run.

    python bench/run.py [--quick] [--only micro|http] [--output build/bench.json]

Every subject runs the same shop: a free route, and one that a stub payment method is paid at, so that what is
measured is the payment library and not a chain. Without HTTP:

    issue    a challenge, bound to its terms by its id
    render   the header value of a challenge
    parse    the challenge in a header value, as a wallet reads it
    verify   a good credential: read, recognised, checked against what the route asks; no money moves
    402      the whole answer to a request without a credential, as a value

The table goes to standard output, progress to standard error, and everything to a JSON file. Compare ratios:
the machine decides the rest.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import environments
import msgspec
from environments import BUILD, Subject
from report import Operation, Report, Route
from routes import measure_routes
from traffic import CONNECTIONS, Load

OPERATIONS = ("issue", "render", "parse", "verify", "402")


class Pace(msgspec.Struct, frozen=True):
    """How long everything takes."""

    operation_seconds: float
    rounds: int
    load: Load


THOROUGH = Pace(operation_seconds=1.0, rounds=3, load=Load(seconds=2.0, payments=4000))
QUICK = Pace(operation_seconds=0.01, rounds=1, load=Load(seconds=0.1, payments=50))


def say(progress: str) -> None:
    """Tell whoever waits."""
    print(progress, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description="How fast Coinslot is, beside pympp and mppx.")
    parser.add_argument("--quick", action="store_true", help="so few requests that the figures mean nothing")
    parser.add_argument("--only", choices=["micro", "http"], help="one half of it")
    parser.add_argument("--output", type=Path, default=BUILD / "bench.json", help="the JSON file")
    options = parser.parse_args(arguments)
    BUILD.mkdir(exist_ok=True)
    pace = QUICK if options.quick else THOROUGH
    found = [environments.coinslot(), environments.pympp(say), environments.mppx(say)]
    subjects = [subject for subject in found if subject is not None]
    report = Report(
        versions={subject.name: subject.version for subject in subjects},
        machine={
            "processors": str(os.cpu_count()),
            "python": f"{platform.python_implementation()} {platform.python_version()}",
            "platform": platform.platform(),
        },
        settings={"connections": CONNECTIONS, "rounds": pace.rounds, "seconds": pace.load.seconds},
        operations=without_http(subjects, pace) if options.only != "http" else [],
        routes=over_http(subjects, pace) if options.only != "micro" else [],
    )
    options.output.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    print(report.table())


def without_http(subjects: Sequence[Subject], pace: Pace) -> list[Operation]:
    """What each subject's own stopwatch says."""
    operations = []
    for subject in subjects:
        say(f"Without HTTP: {subject.name}")
        command = [*subject.command, "micro", str(pace.operation_seconds)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, process_group=0)
        rates = json.loads(done.stdout)
        operations += [Operation(name, subject.name, rates[name]) for name in OPERATIONS]
    return operations


def over_http(subjects: Sequence[Subject], pace: Pace) -> list[Route]:
    """What wrk finds; nothing, with a word about it, where there is no wrk."""
    if shutil.which("wrk") is None:
        say("Leaving HTTP out: wrk is not installed")
        return []
    return measure_routes(subjects, pace.rounds, pace.load, say)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
