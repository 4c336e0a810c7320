from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from coinslot.methods.tempo.wire import Transaction
from coinslot.sandbox.tempo import DevnetError, ThreadedDevnet, anvil_binary
from coinslot.sandbox.tempo.anvil import Anvil
from sandbox_rpc import RPC, pay, payment, raw

OWNER = """
import sys, time
from coinslot.sandbox.tempo import ThreadedDevnet
with ThreadedDevnet() as devnet:
    print(devnet.node_pid, flush=True)
    time.sleep(60)
"""


def is_running(pid: int) -> bool:
    """Whether the process is there, and not just waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int) -> bool:
    for _ in range(200):
        if not is_running(pid):
            return True
        time.sleep(0.05)
    return False


def children() -> set[int]:
    listing = subprocess.run(
        ["ps", "-o", "pid=,comm=", "--ppid", str(os.getpid())], capture_output=True, text=True, check=False
    )
    lines = [line.split() for line in listing.stdout.splitlines()]
    return {int(pid) for pid, name in lines if name != "ps"}


async def test_it_stops_without_a_trace() -> None:
    """After `stop` neither the node nor its guard is there, and stopping again does nothing."""
    before = children()
    anvil = await Anvil.start(anvil_binary(), chain_id=42431, hardfork="T0")
    assert len(children() - before) == 2
    await anvil.stop()
    assert children() == before
    await anvil.stop()


async def test_its_death_is_noticed() -> None:
    """`wait` returns when the node is killed from outside, and says how."""
    anvil = await Anvil.start(anvil_binary(), chain_id=42431, hardfork="T0")
    assert anvil.why_stopped() is None
    os.kill(anvil.pid, signal.SIGKILL)
    assert await asyncio.wait_for(anvil.wait(), 10) == "killed by signal 9"
    await anvil.stop()


async def test_a_node_that_cannot_start_says_why() -> None:
    """A program that ends at once, or refuses its arguments, is an error with its reason."""
    with pytest.raises(DevnetError, match="did not start: exit status 1"):
        await Anvil.start(Path("/bin/false"), chain_id=42431, hardfork="T0")
    with pytest.raises(DevnetError, match="Unknown hardfork"):
        await Anvil.start(anvil_binary(), chain_id=42431, hardfork="T99")


def test_callers_are_told_that_the_node_died() -> None:
    """When the node dies the front stays, and answers every call with an error that says so."""
    with ThreadedDevnet() as devnet:
        rpc = RPC(devnet.rpc_url)
        os.kill(devnet.node_pid, signal.SIGKILL)
        error = rpc.error("eth_chainId")
        assert (error["code"], error["message"]) == (
            -32603,
            "the sandbox's node has stopped: killed by signal 9",
        )
        rpc.close()


def test_it_does_not_outlive_a_killed_owner() -> None:
    """When the process that started it is killed, without a chance to clean up, the node ends too."""
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert is_running(pid)
        owner.kill()
    assert wait_until_gone(pid)


def test_memory_stays_bounded(shop: str) -> None:
    """Hundreds of blocks with transactions leave the node small, and their receipts can still be had."""
    with ThreadedDevnet() as devnet:
        rpc = RPC(devnet.rpc_url)
        before, blocks = resident_memory(devnet.node_pid), int(rpc("eth_blockNumber"), 16)
        hashes = [
            rpc("eth_sendRawTransactionSync", raw(own_lane(devnet, shop)))["transactionHash"]
            for _ in range(400)
        ]
        assert int(rpc("eth_blockNumber"), 16) >= blocks + 300
        assert resident_memory(devnet.node_pid) - before < 30 * 1024
        assert rpc("eth_getTransactionReceipt", hashes[0])["status"] == "0x1"
        rpc.close()


def own_lane(devnet: ThreadedDevnet, shop: str) -> Transaction:
    """A payment that depends on no other."""
    lane = secrets.randbits(100) + 1
    return payment(pay(shop), nonce_key=lane, nonce=0, valid_for=None).sign(devnet.accounts[1])


def resident_memory(pid: int) -> int:
    """In KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])
