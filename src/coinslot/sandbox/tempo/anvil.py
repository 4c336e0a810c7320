"""The anvil process: started, watched, stopped, and never left behind.

    us ──stdin──► sh, which becomes anvil when it reads a line
     └───stdin──► sh, the guard: when its input ends without a word, we are gone, and it kills anvil

Even a SIGKILL closes our ends of the pipes. (Linux has PR_SET_PDEATHSIG for this. It goes by the thread that
started the process, though, and macOS does not have it.)
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import deque
from pathlib import Path
from typing import Final

from coinslot.errors import CoinslotError
from coinslot.sandbox.tempo.accounts import ACCOUNT_COUNT

HARDFORKS: Final = ("Genesis", "T0", "T1", "T1A", "T1B", "T1C", "T2", "T3", "T4")
"""The hardforks that the node has, oldest first."""

_START_TIMEOUT: Final = 20.0
_STOP_TIMEOUT: Final = 3.0

_KEPT_BLOCKS: Final = 3_600
"""Blocks whose transactions and receipts can be asked for; an idle hour.

The node takes longer for each block the more transactions it keeps. Old states `--prune-history` drops.
"""

# The node waits for a line, so that its guard is there before it runs.
_NODE_SCRIPT: Final = 'read _ && exec "$0" "$@" </dev/null'
_GUARD_SCRIPT: Final = 'read _ || kill -9 "$0" 2>/dev/null'

_LISTENING: Final = re.compile(r"Listening on (\S+)")
_NOISE: Final = re.compile(r"\x1b\[[0-9;]*m")


class DevnetError(CoinslotError):
    """The sandbox's node did not start, or stopped."""


class Anvil:
    """A running anvil. Make one with `start`."""

    def __init__(self, process: asyncio.subprocess.Process, guard: asyncio.subprocess.Process) -> None:
        self._process = process
        self._guard = guard
        self._said: deque[str] = deque(maxlen=40)
        self._listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._has_listened = False
        self._watch = asyncio.create_task(self._follow())

    @classmethod
    async def start(cls, binary: Path, *, chain_id: int, hardfork: str) -> Anvil:
        """Start the node on a port of its own choice. Raises `DevnetError` if it does not come up."""
        command = [
            str(binary),
            *("--network", "tempo", "--hardfork", hardfork, "--chain-id", str(chain_id)),
            # Blocks for each transaction at once, and one a second: simulations run at the last block's time.
            *("--block-time", "1", "--mixed-mining"),
            *("--host", "127.0.0.1", "--port", "0", "--accounts", str(ACCOUNT_COUNT)),
            *("--prune-history", "--transaction-block-keeper", str(_KEPT_BLOCKS)),
        ]
        process = await _spawn(_NODE_SCRIPT, *command, piped=True)
        guard = await _spawn(_GUARD_SCRIPT, str(process.pid))
        anvil = cls(process, guard)
        _write(process, b"go\n")
        try:
            await asyncio.wait_for(asyncio.shield(anvil._listening), _START_TIMEOUT)
        except TimeoutError:
            anvil._listening.cancel()
            await anvil.stop()
            raise DevnetError(f"the node did not start within {_START_TIMEOUT:.0f} s") from None
        except BaseException:
            await anvil.stop()
            raise
        return anvil

    @property
    def url(self) -> str:
        """Where it listens."""
        return self._listening.result()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def why_stopped(self) -> str | None:
        """Why it is no longer there; None while it is."""
        status = self._process.returncode
        if status is None:
            return None
        how = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
        return f"{how}: {reason}" if (reason := self._last_words()) else how

    async def wait(self) -> str:
        """Wait until it has stopped; returns why."""
        await asyncio.shield(self._watch)
        return self.why_stopped() or "it stopped"

    async def stop(self) -> None:
        """Stop it, and its guard. Stopping again does nothing."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            try:
                await asyncio.wait_for(asyncio.shield(self._watch), _STOP_TIMEOUT)
            except TimeoutError:
                self._process.kill()
        await self._watch
        if self._guard.returncode is None:
            _write(self._guard, b"done\n")
            await self._guard.wait()

    async def _follow(self) -> None:
        """Read what it says, until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            text = _NOISE.sub("", line.decode(errors="replace")).rstrip()
            if not self._listening.done() and (found := _LISTENING.search(text)):
                self._listening.set_result(f"http://{found[1]}")
                self._has_listened = True
            if text:
                self._said.append(text)
        await self._process.wait()
        if not self._listening.done():
            self._listening.set_exception(DevnetError(f"the node did not start: {self.why_stopped()}"))

    def _last_words(self) -> str | None:
        """The line that says why, if there was one; of a program that never listened, the last."""
        told = [line for line in self._said if line.startswith(("Error:", "error:", "Message:"))]
        if not told and not self._has_listened:
            told = list(self._said)
        return told[-1] if told else None


async def _spawn(script: str, *arguments: str, piped: bool = False) -> asyncio.subprocess.Process:
    """Run a shell script whose input we hold, in a session of its own: Ctrl-C is for us."""
    return await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        script,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE if piped else asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.STDOUT if piped else asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )


def _write(process: asyncio.subprocess.Process, line: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(line)
    process.stdin.close()
