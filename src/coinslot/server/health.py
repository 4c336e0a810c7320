"""Health: whether this worker can take payments, and how many wait to be found out.

Liveness asks nobody: a worker that answers is alive. Readiness is the ledger's alone, since without it no
payment can be taken; a cache or a chain that is down is told of and takes no worker out of service.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from coinslot.errors import CoinslotError
from coinslot.payments.asking import where
from coinslot.payments.books import Query
from coinslot.payments.cache import Cache
from coinslot.payments.method import Checks, ServerMethod
from coinslot.payments.payment import State
from coinslot.payments.till import Till
from coinslot.server.asgi import Receive, Scope, Send

logger = logging.getLogger("coinslot")

STUCK_AFTER: Final = 60.0
"""Seconds beyond `settle_timeout` after which a payment that is not decided counts as stuck."""

MOST_STUCK: Final = 100
"""How many stuck payments are counted."""

_FRESH: Final = 1.0  # seconds for which a look at the world is good enough
_PATIENCE: Final = 2.0  # seconds in which each part has to answer


class Health(Struct, frozen=True, kw_only=True):
    """What a worker can do now.

    `ledger`, and `cache` if there is one, say whether they answer; `methods` has those that can tell, by
    `name/intent`. `stuck` is how many payments have waited long to be found out, at most `MOST_STUCK`; None
    if the ledger does not say.
    """

    ledger: bool
    cache: bool | None
    methods: dict[str, bool]
    stuck: int | None

    @property
    def is_ready(self) -> bool:
        """Whether payments can be taken."""
        return self.ledger


class Checkup:
    """Looks, at most once a second however often it is asked."""

    def __init__(
        self,
        till: Till,
        methods: Sequence[ServerMethod],
        cache: Cache | None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._till = till
        self._methods = [method for method in methods if isinstance(method, Checks)]
        self._cache = cache
        self._clock = clock
        self._name = f"health:{secrets.token_urlsafe(6)}"
        self._failing: set[str] = set()
        self._look: asyncio.Task[Health] | None = None
        self._looked_at = 0.0

    async def health(self) -> Health:
        """What it was a second ago, or is now."""
        now = time.monotonic()
        look = self._look
        if (
            look is None
            or (look.done() and now - self._looked_at > _FRESH)
            or look.get_loop() is not asyncio.get_running_loop()  # whose loop may have ended
        ):
            look = self._look = asyncio.create_task(self._check())
            self._looked_at = now
        return await asyncio.shield(look)

    async def _check(self) -> Health:
        names = [f"{method.name}/{method.intent}" for method in self._methods]
        ledger, cache, *methods = await asyncio.gather(
            self._ask("the ledger", self._ledger()),
            self._ask("the cache", self._cached()),
            *(self._ask(name, method.check()) for name, method in zip(names, self._methods, strict=True)),
        )
        return Health(
            ledger=ledger,
            cache=None if self._cache is None else cache,
            methods=dict(zip(names, methods, strict=True)),
            stuck=await self._count_stuck() if ledger else None,
        )

    async def _ask(self, who: str, answer: Awaitable[object]) -> bool:
        """Whether it answers in time. That it no longer does, or does again, is logged once."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await answer
        except TimeoutError:
            reason = f"no answer in {_PATIENCE:g} s"
        except CoinslotError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - what a method raises is a bad sign like any other
            reason = f"raised {where(error)}"
        else:
            if who in self._failing:
                self._failing.discard(who)
                logger.warning("%s answers again", who)
            return True
        if who not in self._failing:
            self._failing.add(who)
            logger.error("%s does not answer: %s", who, reason)
        return False

    async def _ledger(self) -> None:
        await self._till.open()
        await self._till.ledger.lease(self._name, self._name, 1.0)  # the lightest thing that is written

    async def _cached(self) -> None:
        if self._cache is not None:
            await self._cache.get(self._name)

    async def _count_stuck(self) -> int | None:
        found: list[object] = []

        async def count() -> None:
            await self._till.open()
            until = self._clock() - self._till.policy.settle_timeout - STUCK_AFTER
            undecided = Query(states=frozenset({State.SETTLING, State.UNKNOWN}), until=until)
            found.extend(await self._till.ledger.select(undecided, limit=MOST_STUCK))

        return len(found) if await self._ask("counting stuck payments", count()) else None


class HealthApp:
    """An ASGI app: `…/live` says that the worker is there, anything else whether it is ready, and why not."""

    def __init__(self, checkup: Checkup) -> None:
        self._checkup = checkup

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        if scope["type"] != "http":
            return
        status, body = 200, msgspec.json.encode({"live": True})
        if not scope["path"].rstrip("/").endswith("/live"):
            health = await self._checkup.health()
            status = 200 if health.is_ready else 503
            body = msgspec.json.encode({"ready": health.is_ready, **msgspec.structs.asdict(health)})
        headers = [
            (b"content-type", b"application/json"),
            (b"cache-control", b"no-store"),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
