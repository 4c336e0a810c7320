"""Shops, started and stopped, and the requests that wrk sends them."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

from environments import Subject
from msgspec import Struct

CONNECTIONS: Final = 16
HOST: Final = "shop.example"  # what a credential is for, whatever the port
SCRIPT: Final = Path(__file__).resolve().parent / "wrk.lua"

# What wrk asks for beyond the answers that are counted: one a connection, and one before it begins.
SPARE_CREDENTIALS: Final = CONNECTIONS + 1


class Load(Struct, frozen=True):
    """How long one measurement takes: at most so many seconds, and at most so many paid answers."""

    seconds: float
    payments: int


class Credentials(Struct, frozen=True):
    """A file of credentials, one a line, of which the first `skip` have been spent."""

    file: Path
    skip: int


class Measurement(Struct, frozen=True):
    """Answers a second, and the processor time that the server took for each in microseconds, if known."""

    answers: int
    per_second: float
    cpu_microseconds: float | None


class Shop(Struct, frozen=True):
    """A running server."""

    port: int
    process_id: int

    def check(self, path: str, status: int) -> None:
        """Ask once. Raises `RuntimeError` if it is not answered as it should be."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            priced = (answer.getheader("www-authenticate") or "").startswith("Payment ")
        if answer.status != status or priced != (status == 402):
            raise RuntimeError(f"GET {path} was answered {answer.status}, not as {status} should be")

    def load(self, path: str, status: int, load: Load, credentials: Credentials | None = None) -> Measurement:
        """Send requests as fast as they are answered. Raises `RuntimeError` if any has another status."""
        arguments = [str(status), str(load.seconds)]
        if credentials is not None:
            arguments += [str(credentials.file), str(credentials.skip), str(load.payments)]
        patience = int(load.seconds) + 30
        wrk = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{patience}s", "-H", f"Host: {HOST}", "-s", str(SCRIPT)]
        url = f"http://127.0.0.1:{self.port}{path}"
        before = _cpu_seconds(self.process_id)
        done = subprocess.run(
            [*wrk, url, "--", *arguments], stdout=subprocess.PIPE, text=True, check=False, process_group=0
        )
        after = _cpu_seconds(self.process_id)
        said = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if not said:
            raise RuntimeError(f"GET {path}: wrk did not say what it measured")
        result = json.loads(said[0])
        if "error" in result:
            raise RuntimeError(f"GET {path}: {result['error']}")
        answers = result["answers"]
        return Measurement(
            answers=answers,
            # The first answer starts the clock, so it is not among those that were waited for.
            per_second=(answers - 1) / result["seconds"],
            cpu_microseconds=None if before is None or after is None else (after - before) / answers * 1e6,
        )


@contextlib.contextmanager
def running(subject: Subject, ledger: str) -> Iterator[Shop]:
    """A shop of this subject over the ledger at this URL, stopped at the end.

    It serves while its standard input is open, so it also ends with this process, however that ends. It is
    in a process group of its own, so that Ctrl-C reaches it through here alone.
    """
    command = [*subject.command, "serve", ledger]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0
    )
    try:
        yield Shop(port=_read_port(process, subject.name), process_id=process.pid)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _read_port(process: subprocess.Popen[str], name: str) -> int:
    """The port, which a shop prints once it can be asked."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        line = process.stdout.readline() if selector.select(timeout=60) else ""
    if not line.strip().isdigit():
        raise RuntimeError(f"the {name} shop did not start")
    return int(line)


def _cpu_seconds(process_id: int) -> float | None:
    """The processor time that a process has used, all its threads together; None where there is no /proc."""
    try:
        stat = Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # what is before may hold spaces; fields[0] is stat's third
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
