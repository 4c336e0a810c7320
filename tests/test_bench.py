"""The benchmark: it runs to its end, measures what it says and leaves nothing behind. Not how fast it is."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).resolve().parent.parent / "bench"

OPERATIONS = ["issue", "render", "parse", "verify", "402"]
ROUTES = ["free", "402", "paid, memory", "paid, SQLite"]

needs_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")


@pytest.fixture
def traffic(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark's module for shops and requests."""
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("traffic")


def test_one_quick_run_measures_everything(tmp_path: Path) -> None:
    """Every operation and route of every subject is in the table and the JSON; HTTP only where wrk is."""
    output = tmp_path / "bench.json"
    command = [sys.executable, str(BENCH / "run.py"), "--quick", "--output", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    report = json.loads(output.read_bytes())
    names = list(report["versions"])
    assert names[:2] == ["Coinslot", "pympp"]
    assert names[2:] == (["mppx"] if shutil.which("node") and shutil.which("npm") else [])

    rates = {(row["operation"], row["subject"]): row["per_second"] for row in report["operations"]}
    assert set(rates) == {(operation, name) for operation in OPERATIONS for name in names}
    assert min(rates.values()) > 0

    routes = {(row["route"], row["subject"]): row for row in report["routes"]}
    everywhere = {(route, name) for route in ROUTES for name in names}
    nowhere = {("paid, memory", "mppx"), ("paid, SQLite", "mppx")}
    assert set(routes) == (everywhere - nowhere if shutil.which("wrk") else set())
    for row in routes.values():
        assert len(row["per_second"]) == 1
        assert min(row["answers"], row["of_free"], *row["per_second"]) > 0

    first_cells = [line.partition("  ")[0] for line in done.stdout.splitlines()]
    assert [cell for cell in first_cells if cell in OPERATIONS][: len(OPERATIONS)] == OPERATIONS
    assert ("paid, SQLite" in first_cells) == bool(routes)


@needs_wrk
def test_an_answer_that_should_not_be_stops_it(traffic: ModuleType, tmp_path: Path) -> None:
    """Rates of errors are no rates: a payment that is refused ends the run, and so do too few of them."""
    coinslot = importlib.import_module("environments").coinslot()
    file = tmp_path / "credentials.txt"
    subprocess.run([*coinslot.command, "credentials", "3", str(file)], check=True)
    few = traffic.Credentials(file, skip=0)
    load = traffic.Load(seconds=5, payments=50)
    with traffic.running(coinslot, "memory:") as shop:
        with pytest.raises(RuntimeError, match="the credentials ran out"):
            shop.load("/paid", 200, load, few)
        file.write_text(file.read_text() * 100)
        with pytest.raises(RuntimeError, match=r"was 4\d\d, not 200"):
            shop.load("/paid", 200, load, few)


@needs_wrk
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="there is no /proc to look for processes in")
def test_an_interrupted_run_leaves_no_server(tmp_path: Path) -> None:
    """After Ctrl-C while shops are open, every process that the run started is soon gone."""
    command = [sys.executable, str(BENCH / "run.py"), "--quick", "--only", "http"]
    command += ["--output", str(tmp_path / "bench.json")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as run:
        assert run.stderr is not None
        while "opening pympp" not in run.stderr.readline():  # so Coinslot's shops are open
            assert run.poll() is None
        assert len(session(run.pid)) >= 3
        os.killpg(run.pid, signal.SIGINT)
        assert run.wait(timeout=30) == 130
    deadline = time.monotonic() + 30
    while (left := session(run.pid)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []


def session(leader: int) -> list[int]:
    """The processes in the session of this leader, whatever their groups."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found
