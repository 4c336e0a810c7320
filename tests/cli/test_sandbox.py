"""`coinslot sandbox`: the command runs the sandbox, and stops it."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import httpx2

from coinslot.methods.tempo import PrivateKey
from coinslot.sandbox.hosting import listen
from coinslot.sandbox.tempo import anvil_binary
from command import Command, Terminal
from sandbox_rpc import RPC, pay, payment, raw
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


def test_the_sandboxes_run_together_until_ctrl_c(coinslot: Command, tmp_path: Path) -> None:
    """What is printed can be pasted, each of them answers, Stripe watches the chain, and Ctrl-C ends all."""
    coinslot.environment["COINSLOT_ANVIL"] = str(anvil_binary())
    ports = [option for name in ("tempo", "stripe", "link") for option in (f"--{name}-port", "0")]
    states = ["--stripe-state", str(tmp_path / "stripe.db"), "--link-state", ":memory:"]
    terminal = Terminal(coinslot, "sandbox", "up", "--link", *ports, *states)
    terminal.read_until("Ctrl-C stops")
    exports = dict(re.findall(r"(\w+)=(\S+)", terminal.seen))
    api = StripeApi(exports["STRIPE_API_BASE"], exports["STRIPE_SECRET_KEY"])
    intent = api.deposit(amount=101)
    place = intent["next_action"]["crypto_display_details"]["deposit_addresses"]["tempo"]
    rpc = RPC(exports["COINSLOT_RPC_URL"])
    key = PrivateKey.from_hex(exports["COINSLOT_PRIVATE_KEY"])
    rpc("eth_sendRawTransactionSync", raw(payment(pay(place["address"], 1_010_000)).sign(key)))
    rpc.close()
    deadline = time.monotonic() + 30
    while api.get(f"/v1/payment_intents/{intent['id']}")["status"] != "succeeded":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    api.close()
    assert httpx2.get(f"{exports['LINK_API_BASE_URL']}/userinfo", trust_env=False).status_code == 401
    terminal.type("\x03")
    assert terminal.finish() == 0
    assert terminal.seen.rstrip().endswith("Stopped.")
    assert (tmp_path / "stripe.db").exists()


def test_a_port_in_use_is_one_sentence(coinslot: Command, tmp_path: Path) -> None:
    """2, and those that had begun are stopped."""
    coinslot.environment["COINSLOT_ANVIL"] = str(anvil_binary())
    with listen(0) as taken:
        port = taken.getsockname()[1]
        state = str(tmp_path / "stripe.db")
        options = ["--tempo-port", "0", "--stripe-port", str(port), "--stripe-state", state]
        run = coinslot("sandbox", "up", *options)
    assert (run.code, run.out) == (2, b"")
    assert run.err == (
        f"coinslot: cannot listen on 127.0.0.1:{port} (Address already in use); choose another port, or 0"
        " for any\n"
    )


def test_a_stripe_sandbox_that_cannot_start_is_2(coinslot: Command, tmp_path: Path) -> None:
    """A chain that is not there, and a file that cannot be, are settings that cannot work."""
    state = str(tmp_path / "stripe.db")
    chain = coinslot("sandbox", "stripe", "--port", "0", "--state", state, "--chain", "http://127.0.0.1:9")
    assert (chain.code, "chain" in chain.err) == (2, True)
    nowhere = coinslot("sandbox", "stripe", "--port", "0", "--state", str(tmp_path / "no" / "x.db"))
    assert (nowhere.code, "x.db" in nowhere.err) == (2, True)
