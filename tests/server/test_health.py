"""Health: what a probe is told, and what it costs."""

from __future__ import annotations

import asyncio
import logging

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from coinslot import Paywall
from coinslot.errors import LedgerError
from coinslot.payments.payment import State
from coinslot.server import health
from coinslot.storage import MemoryLedger
from ledgers import make_payment
from scrip import Mint, ScripCharge
from shopping import visit

SECRET = "a secret of at least thirty-two bytes"


class CheckedScrip(ScripCharge):
    """Scrip that can tell whether its mint is up."""

    checks = 0

    async def check(self) -> None:
        """Fails in a way of its own while the mint is down."""
        self.checks += 1
        if self.mint.is_down:
            raise OSError("http://user:password@mint is down")


class FlakyLedger(MemoryLedger):
    """A ledger that can be down, or silent."""

    is_down = False
    is_silent = False

    async def lease(self, name: str, owner: str, seconds: float) -> bool:
        """As it is told to."""
        if self.is_down:
            raise LedgerError("postgresql://user:password@host does not answer")
        if self.is_silent:
            await asyncio.Event().wait()
        return await super().lease(name, owner, seconds)


def shop(mint: Mint) -> tuple[Paywall, FlakyLedger, CheckedScrip]:
    """A paywall whose parts can fail."""
    ledger, scrip = FlakyLedger(), CheckedScrip(mint)
    return Paywall([scrip], secret_key=SECRET, realm="shop", ledger=ledger), ledger, scrip


@pytest.fixture(autouse=True)
def _always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question is a new look, unless the test says otherwise."""
    monkeypatch.setattr(health, "_FRESH", -1.0)


async def test_all_is_well(mint: Mint) -> None:
    """A worker whose ledger answers is ready; without a cache there is nothing to say of one."""
    paywall, _, _ = shop(mint)
    async with paywall:
        found = await paywall.health()
        assert found == health.Health(ledger=True, cache=None, methods={"scrip/charge": True}, stuck=0)
        assert found.is_ready


async def test_a_ledger_that_is_down_or_silent(mint: Mint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the ledger no worker is ready, whether it refuses or says nothing."""
    monkeypatch.setattr(health, "_PATIENCE", 0.01)
    paywall, ledger, _ = shop(mint)
    ledger.is_down = True
    found = await paywall.health()
    assert (found.is_ready, found.stuck) == (False, None)
    ledger.is_down, ledger.is_silent = False, True
    assert not (await paywall.health()).is_ready
    ledger.is_silent = False
    assert (await paywall.health()).is_ready


async def test_a_world_that_is_down_takes_no_worker_out(mint: Mint) -> None:
    """A method's fault is told, and the worker stays ready: every other worker has the same world."""
    paywall, _, _ = shop(mint)
    mint.is_down = True
    found = await paywall.health()
    assert (found.is_ready, found.methods) == (True, {"scrip/charge": False})


async def test_stuck_payments_are_counted(mint: Mint) -> None:
    """Payments that have waited long to be found out count, up to a bound; young and decided ones do not."""
    paywall, ledger, _ = shop(mint)
    await ledger.insert(make_payment())
    await ledger.insert(make_payment(state=State.UNKNOWN))
    await ledger.insert(make_payment(state=State.DELIVERED))
    await ledger.insert(make_payment(created_at=10**10))
    assert (await paywall.health()).stuck == 2
    for _ in range(health.MOST_STUCK):
        await ledger.insert(make_payment())
    assert (await paywall.health()).stuck == health.MOST_STUCK


async def test_many_questions_are_one_look(mint: Mint, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many ask within a second, the world is looked at once; then again."""
    monkeypatch.setattr(health, "_FRESH", 1000.0)
    paywall, _, scrip = shop(mint)
    await asyncio.gather(*(paywall.health() for _ in range(50)))
    await paywall.health()
    assert scrip.checks == 1
    monkeypatch.setattr(health, "_FRESH", -1.0)
    await paywall.health()
    assert scrip.checks == 2


async def test_probes(mint: Mint) -> None:
    """`live` is 200 whatever happens, `ready` is 503 without the ledger; neither is cached."""
    paywall, ledger, _ = shop(mint)
    app = Starlette(routes=[Mount("/health", paywall.health_app())])
    async with visit(app) as http:
        ready = await http.get("/health/ready")
        assert (ready.status_code, ready.headers["cache-control"]) == (200, "no-store")
        expected = {
            "ready": True,
            "ledger": True,
            "cache": None,
            "methods": {"scrip/charge": True},
            "stuck": 0,
        }
        assert ready.json() == expected
        ledger.is_down = True
        assert (await http.get("/health/ready")).status_code == 503
        assert (await http.get("/health/live")).json() == {"live": True}
        assert (await http.head("/health/ready")).content == b""


async def test_nothing_is_given_away(mint: Mint, caplog: pytest.LogCaptureFixture) -> None:
    """What is wrong is logged when it begins and when it ends; a probe gets no text of anybody's."""
    caplog.set_level(logging.INFO)
    paywall, ledger, _ = shop(mint)
    app = paywall.health_app()
    async with visit(app) as http:
        mint.is_down = ledger.is_down = True
        for _ in range(3):
            assert "password" not in (await http.get("/ready")).text
        mint.is_down = ledger.is_down = False
        await http.get("/ready")
    told = [record.getMessage().partition(":")[0] for record in caplog.records if record.name == "coinslot"]
    assert told == [
        "the ledger does not answer",
        "scrip/charge does not answer",
        "the ledger answers again",
        "scrip/charge answers again",
    ]
    assert "mint is down" not in caplog.text


async def test_a_probe_that_goes_away(mint: Mint, monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe that is cancelled does not take the look away from others, nor from the next one."""
    monkeypatch.setattr(health, "_PATIENCE", 0.05)
    paywall, ledger, _ = shop(mint)
    ledger.is_silent = True
    stays, goes = (asyncio.create_task(paywall.health()) for _ in range(2))
    await asyncio.sleep(0)
    goes.cancel()
    assert not (await stays).is_ready
    assert goes.cancelled()
    ledger.is_silent = False
    assert (await paywall.health()).is_ready
