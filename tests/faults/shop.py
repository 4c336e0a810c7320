"""A shop: a Paywall behind uvicorn, on real rails, in a process that a case can end at any point."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx2
import msgspec
import uvicorn
from fastapi import FastAPI, Request, Response
from msgspec import Struct

from coinslot import Payment, Paywall
from coinslot.methods import stripe, tempo
from coinslot.payments.audit import audit
from coinslot.payments.events import PaymentSettled
from coinslot.sandbox.stripe import Keys
from coinslot.storage import open_cache, open_ledger
from faults.journal import Journal
from faults.points import Fault, Watch
from faults.watched import watch_http, watched_cache, watched_ledger

PRICE: Final = "1.00"
SECRET: Final = "a secret of at least thirty-two bytes, for shops that die"

_AUDITED: Final = 1800.0  # seconds, longer than any case takes

# What is loaded late in a process's life would be loaded in every one anew.
_DRIVERS: Final = ("asyncpg", "redis.asyncio", "uvloop", "httptools", "coinslot.storage.postgres")


class Settings(Struct, frozen=True, kw_only=True):
    """Everything about a shop. `folder` has its trace, its journal and its log.

    `seller` is the name of its account at Stripe, `modes` are Tempo's. `ahead` is by how many seconds its
    clock for Stripe is fast.
    """

    port: int
    folder: Path
    ledger: str
    cache: str | None
    rpc_url: str
    stripe_url: str
    recipient: str
    seller: str
    refund_key: str | None = None
    modes: tuple[str, ...] = ("pull",)
    redelivery_window: float = 24 * 3600.0
    ahead: float = 0.0
    fault: Fault | None = None

    @property
    def trace(self) -> Path:
        """Every passage of a point."""
        return self.folder / "trace"

    @property
    def cuts(self) -> Path:
        """What is cut off for now, if anything."""
        return self.folder / "cuts"

    @property
    def journal(self) -> Path:
        """What the handler did."""
        return self.folder / "journal"


def preload() -> None:
    """Import what a shop needs, before it is forked."""
    for name in _DRIVERS:
        __import__(name)


def serve(settings: Settings) -> None:
    """Be that shop until killed. The target of a process."""
    log = os.open(settings.folder / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(log, sys.stdout.fileno())
    os.dup2(log, sys.stderr.fileno())
    logging.basicConfig(
        level=logging.INFO, format=f"%(asctime)s {os.getpid()} %(name)s %(levelname)s %(message)s"
    )
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", settings.port))
    config = uvicorn.Config(build(settings), log_config=None, access_log=False)
    uvicorn.Server(config).run([listener])


def from_environment() -> Callable[..., Any]:
    """The app of the settings in `SHOP`, as JSON: what uvicorn's own workers load."""
    logging.basicConfig(level=logging.WARNING)
    return build(msgspec.json.decode(os.environ["SHOP"], type=Settings, dec_hook=_decode))


def encode(settings: Settings) -> str:
    """Settings for `from_environment`."""
    return msgspec.json.encode(settings, enc_hook=str).decode()


def _decode(kind: type, value: object) -> object:
    return kind(value)


def build(settings: Settings) -> Callable[..., Any]:
    """The ASGI app."""
    watch = Watch(settings.trace, settings.cuts, settings.fault)
    stripe_port = httpx2.URL(settings.stripe_url).port
    watch_http(watch, lambda url: "stripe" if url.port == stripe_port else "tempo")
    journal = Journal(settings.journal)
    paywall = Paywall(
        [
            tempo.charge(
                settings.recipient,
                rpc_url=settings.rpc_url,
                modes=settings.modes,
                refund_account=settings.refund_key,
                settle_timeout=10,
            ),
            stripe.charge(
                network_id=Keys(settings.seller).profile,
                secret_key=Keys(settings.seller).secret_key,
                payment_method_types=["card"],
                api_base=settings.stripe_url,
                settle_timeout=10,
                clock=lambda: time.time() + settings.ahead,
            ),
        ],
        secret_key=SECRET,
        realm="127.0.0.1",
        ledger=watched_ledger(open_ledger(settings.ledger), watch),
        cache=None if settings.cache is None else watched_cache(open_cache(settings.cache), watch),
        settle_timeout=12,
        redelivery_window=settings.redelivery_window,
    )

    @paywall.on(PaymentSettled)
    def note_settled(event: PaymentSettled) -> None:
        watch.passes("event settled", "after", event.payment.challenge_id)

    app = FastAPI()
    paywall.attach(app)
    _add_counter(app, paywall, journal, watch)
    _add_back_door(app, paywall, watch)
    return _watched_answers(app, watch)


def _add_counter(app: FastAPI, paywall: Paywall, journal: Journal, watch: Watch) -> None:
    """What is sold: each completion of the handler makes something that there is only one of."""

    @app.get("/paid/{item}")
    @paywall.charge(PRICE)
    async def paid(item: str, payment: Payment) -> Response:
        goods = secrets.token_hex(8)
        watch.passes("handler", "before", payment.challenge_id)
        await asyncio.sleep(0)
        journal.complete(payment.challenge_id, goods)
        watch.passes("handler", "after", payment.challenge_id)
        return Response(f"{item}:{goods}")


def _add_back_door(app: FastAPI, paywall: Paywall, watch: Watch) -> None:
    """What the seller can do, and what the case can."""

    @app.get("/alive")
    async def alive() -> int:
        return os.getpid()

    @app.post("/arm")
    async def arm(request: Request) -> None:
        watch.arm(msgspec.json.decode(await request.body(), type=Fault | None))

    @app.post("/reconcile")
    async def reconcile() -> int:
        return (await paywall.office.reconcile()).undecided

    @app.post("/audit")
    async def audited() -> list[str]:
        now = time.time()
        found = audit(paywall.ledger, paywall.methods, since=now - _AUDITED, until=now + 60)
        return [f"{each.kind}: {each.detail}" async for each in found]

    @app.post("/refund/{challenge_id}")
    async def refund(challenge_id: str, amount: int) -> str:
        return str((await paywall.refund(challenge_id, amount, key="a part of it")).state)


def _watched_answers(app: FastAPI, watch: Watch) -> Callable[..., Any]:
    """The app, with the answers to what is sold as points."""

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        status = 0

        async def send_watched(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            point = f"answer {message['type'].rpartition('.')[2]} {status}"
            watch.passes(point, "before")
            await send(message)
            watch.passes(point, "after")

        is_sold = scope["type"] == "http" and scope["path"].startswith("/paid/")
        await app(scope, receive, send_watched if is_sold else send)

    return watched


preload()
