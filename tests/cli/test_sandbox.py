"""`coinslot sandbox`: the command runs the sandbox, and stops it."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from coinslot.sandbox.tempo import anvil_binary
from command import Command
from stripe_api import StripeApi


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


def test_stripe_sandbox_runs_until_it_is_stopped(coinslot: Command, tmp_path: Path) -> None:
    """It says where it listens, answers there, ends with 0 on SIGTERM, and goes on where it ended."""
    state = str(tmp_path / "stripe.db")
    created = []
    for _ in range(2):
        process = coinslot.start("sandbox", "stripe", "--port", "0", "--state", state)
        assert process.stdout is not None
        try:
            first_line = process.stdout.readline().decode()
            found = re.fullmatch(r"Stripe sandbox on (http://127\.0\.0\.1:\d+)\n", first_line)
            assert found is not None
            api = StripeApi(found[1], "sk_test_coinslot_seller")
            created.append(api.charge(key="k")["id"])
            api.close()
        finally:
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (0, b"")
    assert created[0] == created[1]


def test_a_stripe_sandbox_that_cannot_start_is_2(coinslot: Command, tmp_path: Path) -> None:
    """A chain that is not there, and a file that cannot be, are settings that cannot work."""
    state = str(tmp_path / "stripe.db")
    chain = coinslot("sandbox", "stripe", "--port", "0", "--state", state, "--chain", "http://127.0.0.1:9")
    assert (chain.code, "chain" in chain.err) == (2, True)
    nowhere = coinslot("sandbox", "stripe", "--port", "0", "--state", str(tmp_path / "no" / "x.db"))
    assert (nowhere.code, "x.db" in nowhere.err) == (2, True)
