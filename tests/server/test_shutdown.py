"""Shutting down: a server that is told to stop finishes what it has begun."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2

from coinslot import Credential
from coinslot.payments.payment import Payment, State
from coinslot.storage import open_ledger
from scrip import credential
from shopping import challenge_of

SHOP = Path(__file__).parent.parent / "patient_shop.py"
NOTE = "the payer's note"


class Process:
    """The shop's process, and a client of it."""

    def __init__(self, popen: subprocess.Popen[str], http: httpx2.AsyncClient) -> None:
        self.popen = popen
        self.http = http

    async def stop(self) -> None:
        """SIGTERM; over when it takes no more requests."""
        self.popen.send_signal(signal.SIGTERM)
        async with httpx2.AsyncClient(base_url=self.http.base_url) as http:
            with contextlib.suppress(httpx2.TransportError):
                while True:
                    await http.get("/elsewhere", headers={"Connection": "close"})

    async def end(self) -> None:
        """It ends by itself, as a process does that was told to."""
        assert await asyncio.to_thread(self.popen.wait, 30) in (0, -signal.SIGTERM)


@contextlib.asynccontextmanager
async def serving(directory: Path, *, seconds: int = 30) -> AsyncIterator[Process]:
    """The shop on its ledger, from the moment that it answers."""
    arguments = [f"sqlite:///{directory}/coinslot.db", str(directory), NOTE, str(seconds)]
    with subprocess.Popen(
        [sys.executable, str(SHOP), *arguments], stdout=subprocess.PIPE, text=True
    ) as popen:
        assert popen.stdout is not None
        port = (await asyncio.to_thread(popen.stdout.readline)).strip()
        try:
            async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
                yield Process(popen, http)
        finally:
            popen.kill()


async def until_settling(directory: Path) -> None:
    """Wait for the money to be waited for."""
    while not (directory / "settling").exists():
        await asyncio.sleep(0.01)


async def kept(directory: Path, authorization: str) -> Payment | None:
    """What the ledger has of the payment."""
    ledger = open_ledger(f"sqlite:///{directory}/coinslot.db")
    await ledger.open()
    try:
        return await ledger.find(Credential.parse(authorization).challenge.id)
    finally:
        await ledger.close()


async def test_what_is_in_flight_is_finished(tmp_path: Path) -> None:
    """A payer whose money is being taken when the server is stopped gets what they paid for."""
    async with serving(tmp_path) as shop:
        authorization = credential(challenge_of(await shop.http.get("/paid")), NOTE)
        request = asyncio.create_task(shop.http.get("/paid", headers={"Authorization": authorization}))
        await until_settling(tmp_path)
        await shop.stop()
        (tmp_path / "go").touch()
        response = await request
        assert (response.status_code, response.json()) == (200, {"data": "worth it"})
        assert "payment-receipt" in response.headers
        await shop.end()
    payment = await kept(tmp_path, authorization)
    assert payment is not None
    assert (payment.state, payment.attempts) == (State.DELIVERED, 1)


async def test_a_server_in_a_hurry_writes_down_what_came(tmp_path: Path) -> None:
    """A server that lets go of its requests still waits for the money; the next one hands out the goods."""
    async with serving(tmp_path, seconds=0) as shop:
        authorization = credential(challenge_of(await shop.http.get("/paid")), NOTE)
        headers = {"Authorization": authorization}
        request = asyncio.create_task(shop.http.get("/paid", headers=headers))
        await until_settling(tmp_path)
        await shop.stop()
        with contextlib.suppress(httpx2.TransportError):
            assert (await request).status_code == 500
        (tmp_path / "go").touch()
        await shop.end()
    payment = await kept(tmp_path, authorization)
    assert payment is not None
    assert payment.state is State.SETTLED
    async with serving(tmp_path) as shop:
        # Under another port it is another host, so the payer says which one it paid.
        host = {"Host": str(Credential.parse(authorization).challenge.decode_opaque()["host"])}
        assert (await shop.http.get("/paid", headers=headers | host)).json() == {"data": "worth it"}
