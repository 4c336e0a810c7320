"""Several processes on one ledger, processes that are killed, and processes that fork."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import chain
from pathlib import Path

import pytest

from coinslot.storage import PostgresLedger, SQLiteLedger
from ledgers import Clock, make_payment
from postgres import PostgresServer

TESTS = Path(__file__).parents[1]

PRELUDE = """
import asyncio, json, os, random, subprocess, sys, time
from msgspec.structs import replace
from ledgers import make_payment, settled
from coinslot.errors import AlreadyClaimed
from coinslot.storage import PostgresLedger, SQLiteLedger
is_file = not sys.argv[1].startswith("postgresql:")
ledger = (SQLiteLedger if is_file else PostgresLedger)(sys.argv[1], patience=60)
"""


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A path or a URL where there is no ledger yet, of every kind that processes can share."""
    if request.param == "sqlite":
        return str(tmp_path / "ledger.db")
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


def ledger_at(place: str) -> SQLiteLedger | PostgresLedger:
    """The ledger there."""
    kind = PostgresLedger if place.startswith("postgresql:") else SQLiteLedger
    return kind(place, patience=60)


def start(program: str, place: str | Path) -> subprocess.Popen[bytes]:
    """A Python process that runs the program on the ledger at that path or URL."""
    paths = [str(TESTS), *filter(None, sys.path)]
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + program, str(place)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )


def finish(process: subprocess.Popen[bytes]) -> bytes:
    """What the process wrote, once it ended well."""
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return output


def check_integrity(path: str | Path) -> None:
    if str(path).startswith("postgresql:"):
        return  # a server sees to that by itself
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


async def test_processes_share_unique_keys_and_revisions(place: str) -> None:
    """Three processes want the same payments and add to the same one: each is won once, no step is lost."""
    program = """
async def claim(number):
    try:
        await ledger.insert(make_payment(challenge_id=f"c{number}", proof_key=f"p{number}"))
    except AlreadyClaimed:
        return None
    return number

async def step():
    stepped = False
    while not stepped:
        before = await ledger.find("shared")
        after = replace(before, attempts=before.attempts + 1, revision=before.revision + 1)
        stepped = await ledger.replace(before, after)

async def main():
    await ledger.open()
    try:
        await ledger.insert(make_payment(challenge_id="shared", proof_key="shared"))
    except AlreadyClaimed:
        pass
    numbers = random.sample(range(150), 150)
    won = await asyncio.gather(*map(claim, numbers), *(step() for _ in range(10)))
    await ledger.close()
    print(json.dumps([number for number in won if number is not None]))

asyncio.run(main())
"""
    processes = [start(program, place) for _ in range(3)]
    won = [json.loads(finish(process)) for process in processes]
    assert sorted(chain(*won)) == list(range(150))
    ledger = ledger_at(place)
    await ledger.open()
    shared = await ledger.find("shared")
    await ledger.close()
    assert shared is not None
    assert (shared.attempts, shared.revision) == (30, 30)
    check_integrity(place)


@pytest.mark.parametrize("lines", [1, 40, 400])
async def test_what_was_acknowledged_survives_a_kill(place: str, lines: int) -> None:
    """A process that is killed in the midst of its writes leaves every one that it was told of."""
    program = """
async def pay(worker):
    for number in range(100_000):
        payment = make_payment(challenge_id=f"{worker}-{number}", proof_key=f"{worker}-{number}")
        await ledger.insert(payment)
        os.write(1, f"0 {payment.challenge_id}\\n".encode())
        assert await ledger.replace(payment, settled(payment))
        os.write(1, f"1 {payment.challenge_id}\\n".encode())

async def main():
    await ledger.open()
    await asyncio.gather(*(pay(worker) for worker in range(20)))

asyncio.run(main())
"""
    process = start(program, place)
    assert process.stdout is not None
    told = [process.stdout.readline() for _ in range(lines)]
    process.send_signal(signal.SIGKILL)
    told += process.stdout.read().splitlines(keepends=True)
    process.wait()
    process.stdout.close()
    ledger = ledger_at(place)
    await ledger.open()
    for line in told:
        if line.endswith(b"\n"):  # the kill may cut the last one short
            revision, challenge_id = line.decode().split()
            payment = await ledger.find(challenge_id)
            assert payment is not None
            assert payment.revision >= int(revision)
    assert len(told) >= lines
    await ledger.insert(make_payment())
    await ledger.close()
    check_integrity(place)


async def test_a_killed_process_leaves_its_leases_to_lapse(tmp_path: Path, clock: Clock) -> None:
    """A lease survives the process that took it, keeps others out, and ends at its time."""
    path = tmp_path / "ledger.db"
    program = """
async def main():
    ledger = SQLiteLedger(sys.argv[1], clock=lambda: float(os.environ["NOW"]))
    await ledger.open()
    assert await ledger.lease("c", "the dead", 10)
    os.kill(os.getpid(), 9)

asyncio.run(main())
"""
    os.environ["NOW"] = str(clock.now)
    process = start(program, path)
    process.communicate()
    del os.environ["NOW"]
    assert process.returncode == -signal.SIGKILL
    ledger = SQLiteLedger(path, clock=clock)
    await ledger.open()
    assert not await ledger.lease("c", "the living", 10)
    clock.now += 10
    assert await ledger.lease("c", "the living", 10)
    await ledger.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
async def test_parent_and_child_go_on_after_a_fork(tmp_path: Path) -> None:
    """A ledger that was open when its process forked works on either side, and takes no thread along."""
    path = tmp_path / "ledger.db"
    program = """
import threading

async def insert(name):
    await asyncio.gather(*(ledger.insert(make_payment(challenge_id=f"{name}{n}", proof_key=f"{name}{n}"))
                           for n in range(20)))
    assert await ledger.find(name + "7")

async def main():
    await ledger.open()
    await insert("before")

asyncio.run(main())
pid = os.fork()
assert threading.active_count() == 1
for _ in range(5):
    asyncio.run(insert(("parent" if pid else "child") + str(_) + "."))
if pid:
    assert os.waitpid(pid, 0)[1] == 0
    asyncio.run(ledger.close())
else:
    os._exit(0)
"""
    finish(start(program, path))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM payments").fetchone() == (220,)
    check_integrity(path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
async def test_a_fork_leaves_the_parents_connections_alone(postgres: PostgresServer) -> None:
    """A child connects anew, and its end does not end what its parent is connected with."""
    program = """
async def insert(name):
    await asyncio.gather(*(ledger.insert(make_payment(challenge_id=f"{name}{n}", proof_key=f"{name}{n}"))
                           for n in range(20)))
    return (await ledger._pools.get())._pool

parents = asyncio.new_event_loop()
parents.run_until_complete(ledger.open())
pool = parents.run_until_complete(insert("before"))
connected = pool.get_size()
pid = os.fork()
if pid:
    assert os.waitpid(pid, 0)[1] == 0
    assert parents.run_until_complete(insert("parent")) is pool
    assert pool.get_size() == connected > 0
    parents.run_until_complete(ledger.close())
    parents.close()
else:
    assert asyncio.run(insert("child")) is not pool
    sys.exit()
"""
    url = postgres.new_database()
    finish(start(program, url))
    assert postgres.query("SELECT count(*) FROM coinslot.payments", url) == "60"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
async def test_a_daemon_that_forked_keeps_its_log(tmp_path: Path) -> None:
    """A child whose parent ended still holds its locks: no other program folds the log away under it."""
    path = tmp_path / "ledger.db"
    program = """
async def main(name):
    await ledger.open()
    await ledger.insert(make_payment(challenge_id=name, proof_key=name))

visit = '''
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT 1 FROM payments")
connection.close()
'''
asyncio.run(main("parent"))
parent = os.getpid()
if os.fork():
    os._exit(0)
while os.getppid() == parent:
    time.sleep(0.01)
asyncio.run(main("first"))
subprocess.run([sys.executable, "-c", visit, sys.argv[1]], check=True)
asyncio.run(main("second"))
os._exit(0)
"""
    process = start(program, path)
    process.communicate(timeout=60)  # until the child, which holds the pipe, ends too
    with closing(sqlite3.connect(path)) as connection:
        challenges = {row[0] for row in connection.execute("SELECT challenge_id FROM payments")}
    assert challenges == {"parent", "first", "second"}
