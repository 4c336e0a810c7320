"""The examples, run as a newcomer runs them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def free_ports() -> None:
    """The examples use the guide's ports, which somebody may be using already."""
    for port in (4242, 8545, 12111, 4280):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                pytest.skip(f"port {port} is in use")


def test_the_demo_tells_its_story() -> None:
    """`make demo` ends well: paid on the chain, by card, by deposit; a replay refused, a crash survived."""
    done = subprocess.run(
        [sys.executable, "-m", "examples.demo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"dashboard +http://127\.0\.0\.1:\d+", done.stdout)
    told = json.loads((ROOT / "build" / "demo.json").read_text())
    chain, card, deposit = told["tempo"], told["stripe_spt"], told["stripe_deposit"]
    assert (chain["status"], chain["replay_status"], chain["redelivered_status"]) == (200, 402, 200)
    assert chain["receipt"]["method"] == "tempo"
    assert chain["recipient_after"] - chain["recipient_before"] == 10_000
    fee = chain["payer_before"] - chain["payer_after"] - 10_000
    assert 0 < fee < 20_000
    for paid in (card, deposit):
        assert (paid["status"], paid["payment_intent_status"]) == (200, "succeeded")
    assert card["receipt"]["reference"].startswith("pi_")
    assert deposit["receipt"]["reference"].startswith("0x")


def test_the_served_commands_work() -> None:
    """`make serve` prints commands that work as they are: the price by curl, the payment by coinslot."""
    with subprocess.Popen(
        [sys.executable, "examples/serve.py"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            said = ""
            while "Uvicorn running" not in said:
                line = server.stdout.readline()
                assert line, said
                said += line
            curl = command(said, "curl")
            shown = subprocess.run(curl, shell=True, capture_output=True, text=True, check=True).stdout
            assert "402 Payment Required" in shown
            exports = dict(re.findall(r"export (\w+)=(\S+)", said))
            paid = subprocess.run(
                command(said, r"\S*coinslot pay"),
                shell=True,
                cwd=ROOT,
                env={**os.environ, **exports},
                capture_output=True,
                text=True,
                check=False,
            )
            assert paid.returncode == 0, paid.stderr
            assert '{"data":"..."}' in paid.stdout
            assert "payment-receipt" in paid.stdout
        finally:
            server.send_signal(signal.SIGINT)
            deadline = time.monotonic() + 20
            while server.poll() is None and time.monotonic() < deadline:
                time.sleep(0.1)
            server.kill()


def command(said: str, start: str) -> str:
    """The command in the printed guide that starts so."""
    found = re.search(rf"^  ({start}.*)$", said, re.MULTILINE)
    assert found is not None, said
    return found.group(1)
