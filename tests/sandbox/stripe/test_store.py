"""The state: a restart on the same file loses nothing."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from coinslot.errors import ConfigurationError
from coinslot.sandbox.stripe import SandboxError, ThreadedStripeSandbox
from stripe_api import StripeApi, until

KILLED = """
import os, sys
from coinslot.sandbox.stripe import ThreadedStripeSandbox
sys.path.insert(0, sys.argv[2])
from stripe_api import StripeApi
sandbox = ThreadedStripeSandbox(state=sys.argv[1])
sandbox.start()
api = StripeApi(sandbox.url, sandbox.account().secret_key)
print(api.charge(key="k")["id"], flush=True)
os._exit(9)
"""


def test_a_restart_loses_nothing(tmp_path: Path) -> None:
    """Objects, keys, faults, and what is to happen later: all there, and going on."""
    state = tmp_path / "stripe.db"
    with ThreadedStripeSandbox(state=state, settle_after=0.5) as sandbox:
        api = StripeApi(sandbox.url, sandbox.account().secret_key)
        paid = api.charge(key="k")
        deposit = api.deposit()["id"]
        api.simulate(deposit)
        assert api.get(f"/v1/payment_intents/{deposit}")["status"] == "processing"
        api.control("faults", {"kind": "error", "path": "/v1/refunds"})
        before = api.events()
        api.close()
    with ThreadedStripeSandbox(state=state) as sandbox:
        api = StripeApi(sandbox.url, sandbox.account().secret_key)
        assert api.events()[: len(before)] == before
        replayed = api.charge(key="k")
        assert (replayed.body, replayed.headers["idempotent-replayed"]) == (paid.body, "true")
        until(lambda: api.get(f"/v1/payment_intents/{deposit}")["status"] == "succeeded")
        assert api.post("/v1/refunds", payment_intent=paid["id"]).status == 500
        assert api.post("/v1/refunds", payment_intent=paid["id"]).status == 200
        api.close()


def test_a_killed_process_loses_nothing(tmp_path: Path) -> None:
    """What was answered is in the file, however the process ended."""
    state = tmp_path / "stripe.db"
    tests = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(state), tests], capture_output=True, text=True, check=False
    )
    assert done.returncode == 9, done.stderr
    with ThreadedStripeSandbox(state=state) as sandbox:
        api = StripeApi(sandbox.url, sandbox.account().secret_key)
        assert api.get(f"/v1/payment_intents/{done.stdout.strip()}")["status"] == "succeeded"
        assert api.charge(key="k").headers["idempotent-replayed"] == "true"
        api.close()


def test_a_state_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    """Neither a folder that is not there, nor a file of something else, nor of another version."""
    garbage, other = tmp_path / "garbage.db", tmp_path / "other.db"
    garbage.write_bytes(b"not a database" * 100)
    with sqlite3.connect(other) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    for path in (tmp_path / "nowhere" / "x.db", garbage, other):
        with pytest.raises(ConfigurationError, match=r"\.db"):
            ThreadedStripeSandbox(state=path).start()


def test_what_has_not_been_started_has_no_address() -> None:
    """And what runs is not started twice."""
    sandbox = ThreadedStripeSandbox()
    with pytest.raises(SandboxError):
        _ = sandbox.url
    with sandbox, pytest.raises(SandboxError):
        sandbox.start()


def test_a_taken_port_is_said() -> None:
    """As a mistake in the settings."""
    with ThreadedStripeSandbox() as sandbox:
        port = int(sandbox.url.rpartition(":")[2])
        with pytest.raises(ConfigurationError, match=str(port)):
            ThreadedStripeSandbox(port=port).start()


def test_a_chain_that_is_not_there_is_said() -> None:
    """Before anything is served."""
    with pytest.raises(ConfigurationError, match="chain"):
        ThreadedStripeSandbox(chain="http://127.0.0.1:9").start()
