"""Rotating the secret: worker by worker, and no payment is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from coinslot import Paywall
from coinslot.server.asgi import ASGIApp, Receive, Scope, Send
from scrip import Mint, ScripCharge, credential
from shopping import challenge_of, problem, visit

OLD, NEW = "the old secret, thirty-two bytes long", "the new secret, thirty-two bytes long"
WORKERS = 3

STEPS: Sequence[Sequence[str]] = ([NEW, OLD], [OLD, NEW], [NEW])
"""What each worker is restarted with: first all of them learn it, then all use it, then the old one goes."""


class Fleet:
    """Workers on one ledger, which can be restarted one by one. `is_broken` makes their handlers fail."""

    def __init__(self, mint: Mint, database: str) -> None:
        self._mint = mint
        self._database = database
        self._paywalls: list[Paywall | None] = [None] * WORKERS
        self._apps: list[ASGIApp | None] = [None] * WORKERS
        self.is_broken = False

    async def restart(self, worker: int, secrets: Sequence[str]) -> None:
        """End a worker, and begin it anew with these secrets."""
        await self.stop(worker)
        paywall = Paywall([ScripCharge(self._mint)], secret_key=secrets, realm="shop", ledger=self._database)
        await paywall.open()
        self._paywalls[worker] = paywall
        self._apps[worker] = paywall.charge("0.01").asgi(self._serve)

    async def stop(self, worker: int) -> None:
        """End a worker."""
        if (paywall := self._paywalls[worker]) is not None:
            await paywall.aclose()

    async def ask(self, worker: int) -> str:
        """A credential for a price that this worker told."""
        async with visit(self._app(worker)) as http:
            return credential(challenge_of(await http.get("/x")), self._mint.issue(1))

    async def present(self, worker: int, authorization: str) -> str:
        """What this worker says to a credential: its text, or the problem."""
        async with visit(self._app(worker)) as http:
            response = await http.get("/x", headers={"Authorization": authorization})
        return response.text if response.status_code in (200, 500) else problem(response)

    def _app(self, worker: int) -> ASGIApp:
        app = self._apps[worker]
        assert app is not None
        return app

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, body = (500, b"broken") if self.is_broken else (200, b"data")
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def fleet(mint: Mint, tmp_path: Path) -> AsyncIterator[Fleet]:
    """Workers with the old secret."""
    made = Fleet(mint, f"sqlite:///{tmp_path}/coinslot.db")
    for worker in range(WORKERS):
        await made.restart(worker, [OLD])
    yield made
    for worker in range(WORKERS):
        await made.stop(worker)


async def test_no_payment_is_refused(fleet: Fleet, mint: Mint) -> None:
    """At every moment of it each worker's price is paid at each worker, before and after its restart."""
    paid = 0
    for secrets in STEPS:
        for worker in range(WORKERS):
            asked = [await fleet.ask(issuer) for issuer in range(WORKERS) for _ in range(WORKERS)]
            fleet.is_broken = True
            owed = [await fleet.ask(issuer) for issuer in range(WORKERS)]
            for number_owed, authorization in enumerate(owed):
                assert await fleet.present(number_owed, authorization) == "broken"
            fleet.is_broken = False
            await fleet.restart(worker, secrets)
            for index, authorization in enumerate(asked):
                assert await fleet.present(index % WORKERS, authorization) == "data"
            for index, authorization in enumerate(owed):
                assert await fleet.present((index + 1) % WORKERS, authorization) == "data"
            paid += len(asked) + len(owed)
    assert len(mint.spent) == mint.spend_requests == paid


async def test_the_first_step_cannot_be_left_out(fleet: Fleet) -> None:
    """A worker that issues under a secret which another does not know yet has its payers refused there."""
    await fleet.restart(0, [OLD, NEW])
    assert await fleet.present(1, await fleet.ask(0)) == "invalid-challenge"
    assert await fleet.present(0, await fleet.ask(1)) == "data"
