"""The sandbox as a whole: settings, restarts, threads."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from coinslot.errors import ConfigurationError
from coinslot.sandbox.link import LinkSandbox, ThreadedLinkSandbox
from link_parties import Program, decide, logged_in
from token_booth import KEY, TokenBooth


async def test_restart_loses_nothing(tmp_path: Path, booth: TokenBooth) -> None:
    """Sessions, logins, requests and their tokens are there again, and go on."""

    def sandbox(port: int) -> LinkSandbox:
        return LinkSandbox(port=port, state=tmp_path / "link.db", stripe_url=booth.url, stripe_key=KEY)

    async with sandbox(0) as before:
        program = await logged_in(before)
        login = await program.begin()
        approved, pending = await program.ask(amount=1), await program.ask(amount=2)
        await program.press(approved["approval_url"], yes=True)
        await program.call("POST", "/payment-details/csmrpd_visa", {"nickname": "Work"})
    async with sandbox(int(before.url.rpartition(":")[2])):
        assert (await program.look(approved["id"]))["shared_payment_token"]["id"] == "spt_1"
        await program.press(pending["approval_url"], yes=True)
        assert (await program.look(pending["id"]))["status"] == "approved"
        (first, *_) = (await program.call("GET", "/payment-details")).json()["payment_details"]
        assert first["nickname"] == "Work"
        await program.press(login["verification_uri_complete"], yes=True)
        assert (await program.redeem(login)).status_code == 200
        program.take(await program.refresh())
    await program.aclose()


async def test_two_yeses_draw_one_token(program: Program, booth: TokenBooth) -> None:
    """A button that is pressed twice asks Stripe under one key, and the request has one token."""
    made = await program.ask()
    for _ in range(2):
        await program.submit(f"/approve/{made['id']}", decision="approve")
    assert (await program.look(made["id"]))["shared_payment_token"]["id"] == "spt_1"
    assert len(booth.forms) == 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"stripe_url": "http://127.0.0.1:1"}, "go together"),
        ({"stripe_url": "http://127.0.0.1:1", "stripe_key": "sk_live_1"}, "test key"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, str], said: str) -> None:
    """Half of a Stripe API, and a key to real money, are found at once."""
    with pytest.raises(ConfigurationError, match=said):
        LinkSandbox(**settings)  # type: ignore[arg-type]  # the types of the other settings


async def test_what_cannot_be_had_is_said(tmp_path: Path, sandbox: LinkSandbox) -> None:
    """A port that is taken, a file that is no database, and one of another version are errors of start."""
    (tmp_path / "text.db").write_text("not a database, and long enough to be looked at " * 40)
    async with LinkSandbox(state=tmp_path / "old.db"):
        pass
    import sqlite3

    connection = sqlite3.connect(tmp_path / "old.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    port = int(sandbox.url.rpartition(":")[2])
    for broken in (
        LinkSandbox(port=port),
        LinkSandbox(state=tmp_path / "text.db"),
        LinkSandbox(state=tmp_path / "old.db"),
    ):
        with pytest.raises(ConfigurationError):
            await broken.start()


def test_thread_of_its_own() -> None:
    """Code without an event loop starts it, uses it and stops it, more than once."""
    sandbox = ThreadedLinkSandbox()
    for _ in range(2):
        with sandbox:
            with pytest.raises(ConfigurationError, match="running already"):
                sandbox.start()
            assert httpx2.get(sandbox.url, trust_env=False, verify=False).status_code == 200
        sandbox.stop()


def test_failed_start_leaves_no_thread() -> None:
    """A port that is taken is an error, and the sandbox can be started when it is free."""
    with ThreadedLinkSandbox() as first:
        port = int(first.url.rpartition(":")[2])
        second = ThreadedLinkSandbox(LinkSandbox(port=port))
        with pytest.raises(ConfigurationError):
            second.start()
    with second:
        started = httpx2.post(
            f"{second.url}/device/code", data={"client_id": "x"}, trust_env=False, verify=False
        )
        assert "Connected" in decide(started.json()["verification_uri_complete"], yes=True).text
