from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from coinslot.sandbox.hosting import listen
from coinslot.sandbox.tempo import ACCOUNTS
from coinslot.sandbox.tempo.accounts import SPONSOR
from sandbox_rpc import RPC, pay, payment, raw

PROGRAM = """
import sys
from coinslot.errors import CoinslotError
from coinslot.sandbox.tempo import serve
try:
    serve(port=int(sys.argv[1]), echo=lambda line: print(line, flush=True))
except CoinslotError as error:
    sys.exit(str(error))
"""


@contextmanager
def serving(port: int = 0) -> Iterator[subprocess.Popen[str]]:
    """The sandbox in the foreground of a process of its own."""
    command = [sys.executable, "-c", PROGRAM, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def url_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    found = re.search(r"http://\S+", process.stdout.readline())
    assert found is not None
    return found[0]


def node_of(process: subprocess.Popen[str]) -> int:
    listing = subprocess.run(
        ["ps", "-o", "pid=,comm=", "--ppid", str(process.pid)], capture_output=True, text=True, check=True
    )
    (pid,) = (int(line.split()[0]) for line in listing.stdout.splitlines() if "anvil" in line)
    return pid


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_cleanly_when_asked(number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM end it with status 0, no traceback, and no node left."""
    with serving() as process:
        rpc = RPC(url_of(process))
        assert rpc("eth_chainId") == "0xa5bf"
        rpc.close()
        node = node_of(process)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    assert out.endswith("Stopped.\n")
    with pytest.raises(ProcessLookupError):
        os.kill(node, 0)


def test_it_says_who_has_money() -> None:
    """It prints the accounts with their keys, and whose money the fee payer service spends."""
    with serving() as process:
        assert process.stdout is not None
        said = "".join(iter(process.stdout.readline, "Ctrl-C stops it.\n"))
    assert all(f"{key.address}  {key.to_hex()}" in said for key in ACCOUNTS)
    assert SPONSOR.address in said


def test_it_stops_at_once_with_callers_waiting() -> None:
    """A call that waits for the node is answered with an error when it is stopped, and holds nothing up."""
    with serving() as process, ThreadPoolExecutor(1) as pool:
        rpc = RPC(url_of(process))
        waiting = payment(pay("0x" + "11" * 20), nonce_key=7, nonce=3).sign(ACCOUNTS[0])
        answer = pool.submit(rpc.error, "eth_sendRawTransactionSync", raw(waiting), 60_000)
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        assert "has stopped" in answer.result(timeout=20)["message"]
        _, err = process.communicate(timeout=20)
        rpc.close()
    assert (process.returncode, err) == (0, "")


def test_it_fails_when_the_node_dies() -> None:
    """A dead node ends it, with the reason and a status that is not 0."""
    with serving() as process:
        url_of(process)
        os.kill(node_of(process), signal.SIGKILL)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert err == "the node stopped: killed by signal 9\n"


def test_it_fails_in_a_sentence_when_the_port_is_taken() -> None:
    """A taken port ends it with one line."""
    with listen(0) as taken, serving(taken.getsockname()[1]) as process:
        _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert re.fullmatch(r"cannot listen on 127\.0\.0\.1:\d+ \(Address already in use\); choose .*\n", err)
