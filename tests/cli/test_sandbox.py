"""`coinslot sandbox`: the command runs the sandbox, and stops it."""

from __future__ import annotations

import re
import signal

from coinslot.sandbox.tempo import anvil_binary
from command import Command


def test_tempo_sandbox_runs_until_it_is_stopped(coinslot: Command) -> None:
    """It says where it listens, answers there, and ends with 0 on SIGTERM."""
    process = coinslot.start("sandbox", "tempo", "--port", "0", COINSLOT_ANVIL=str(anvil_binary()))
    assert process.stdout is not None
    try:
        first_line = process.stdout.readline().decode()
        found = re.fullmatch(r"Tempo sandbox on (http://127\.0\.0\.1:\d+)\n", first_line)
        assert found is not None
        funded = coinslot("account", "fund", "-r", found[1], COINSLOT_PRIVATE_KEY="0x" + "11" * 32)
        assert (funded.code, "pathUSD" in funded.text) == (0, True)
    finally:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, b"")


def test_settings_that_cannot_work_are_2(coinslot: Command) -> None:
    """A chain or a hardfork that there is none of is refused with those that there are."""
    chain = coinslot("sandbox", "tempo", "--chain-id", "1")
    assert (chain.code, "42431" in chain.err) == (2, True)
    hardfork = coinslot("sandbox", "tempo", "--hardfork", "T99")
    assert (hardfork.code, "T4" in hardfork.err) == (2, True)
