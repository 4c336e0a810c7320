"""A shop with a real paywall that Stripe's webhooks reach: what it sells and hears, and how it restarts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2
import msgspec
from fastapi import FastAPI
from starlette.routing import Route

from coinslot import Credential, Paywall
from coinslot.errors import RefundError
from coinslot.methods import stripe
from coinslot.payments.payment import Payment, State
from coinslot.payments.refunds import Refund, RefundState
from coinslot.sandbox.hosting import hosting, listen, url_of
from coinslot.sandbox.stripe import Keys, sign
from shopping import challenge_of, visit
from stripe_payments import INTENTS, Stripe

T = TypeVar("T")

HOOKS = "/stripe/webhooks"


class Shop:
    """A seller of one thing for 1.00 USD, with an account and a ledger of its own."""

    def __init__(self, world: Stripe, keys: Keys, folder: Path) -> None:
        self.world = world
        self.keys = keys
        self.secret = "whsec_by_hand"
        self._is_known = False
        self.served = 0
        self.heard: list[tuple[str, int]] = []  # types of events, and how they were answered
        self._ledger = f"sqlite:///{folder / 'ledger.db'}"
        self._port = 0
        self._url = ""

    @asynccontextmanager
    async def open(
        self, *, listening: bool = True, reconciling: bool = True, **settings: Any
    ) -> AsyncIterator[None]:
        """Open for business, on the port and the ledger of last time.

        Webhooks come in if it is `listening`; it looks for what is open by itself if it is `reconciling`.
        """
        usual = {
            "secret_key": self.keys.secret_key,
            "network_id": self.keys.profile,
            "api_base": self.world.url,
            "settle_timeout": 1,
        }
        self.paywall = Paywall(
            [stripe.charge(**{**usual, **settings})],
            secret_key="a secret of at least thirty-two bytes",
            realm="127.0.0.1",
            ledger=self._ledger,
        )
        async with AsyncExitStack() as stack:
            listener = stack.enter_context(listen(self._port))
            self._port = urlsplit(url_of(listener)).port or 0
            self._url = url_of(listener)
            if listening and not self._is_known:
                await self._subscribe()
            app = self._app()
            if not reconciling:  # some other worker has the turn, perhaps the one of last time
                await self.paywall.ledger.open()
                await self.paywall.ledger.lease("reconcile", "somebody else", 60)
            await stack.enter_async_context(self.paywall)
            await stack.enter_async_context(hosting(app, listener))
            self._http = await stack.enter_async_context(visit(app))
            yield

    async def order(self, card: str = "pm_card_visa") -> str:
        """The credential that pays with a new token for a card."""
        challenge = challenge_of(await self._http.get("/paid"))
        token = await self.world.token(card=card, seller=self.keys)
        return Credential(challenge=challenge, payload={"spt": token}).to_header()

    async def present(self, credential: str) -> httpx2.Response:
        """Ask for the thing with that credential."""
        return await self._http.get("/paid", headers={"Authorization": credential})

    async def sell(self, card: str = "pm_card_visa") -> Payment:
        """One sale, from the challenge to the delivered payment."""
        credential = await self.order(card)
        assert (await self.present(credential)).status_code == 200
        return await self.payment(credential)

    async def lose(self) -> str:
        """A charge that is made, and of which nobody hears as long as nobody may look: its credential."""
        credential = await self.order()
        await self.world.fault("drop", when="after")
        await self.world.fault("rate_limit", method="GET", path=f"{INTENTS}*", times=1000)
        answer = await self.present(credential)
        assert answer.status_code == 503, answer.text
        return credential

    async def refund(self, sold: Payment, amount: int | None = None) -> Refund:
        """Send money back, as an operator does: again, if a webhook is at the payment just then."""

        async def ask() -> Refund | None:
            try:
                return await self.paywall.refund(sold, amount)
            except RefundError as error:
                if "being worked on" not in str(error):
                    raise
                return None

        return await eventually(ask)

    async def payment(self, credential: str) -> Payment:
        """What the ledger has of it."""
        found = await self.paywall.ledger.find(Credential.parse(credential).challenge.id)
        assert found is not None
        return found

    async def becomes(self, credential: str, state: State) -> Payment:
        """The payment once it is in that state."""

        async def look() -> Payment | None:
            payment = await self.payment(credential)
            return payment if payment.state is state else None

        return await eventually(look)

    async def refund_becomes(self, refund: Refund, state: RefundState) -> Refund:
        """The refund once it is in that state."""

        async def look() -> Refund | None:
            (now,) = [
                each
                for each in await self.paywall.ledger.select_refunds(refund.challenge_id)
                if each.id == refund.id
            ]
            return now if now.state is state else None

        return await eventually(look)

    async def hears(self, kind: str, status: int = 200) -> None:
        """Wait until an event of that type was answered so."""

        async def look() -> bool:
            return (kind, status) in self.heard

        await eventually(look)

    async def events(self) -> list[Any]:
        """All that happened in the account, oldest first."""
        listed = await self.world.ask("GET", "/v1/events?limit=100", self.keys)
        return [*reversed(listed["data"])]

    async def end_dispute(self, intent_id: str, evidence: str) -> None:
        """The bank decides a dispute."""
        listed = await self.world.ask("GET", f"/v1/disputes?payment_intent={intent_id}", self.keys)
        form = {"evidence[uncategorized_text]": evidence}
        await self.world.ask("POST", f"/v1/disputes/{listed['data'][0]['id']}", self.keys, form)

    async def deliver(self, event: Any) -> int:
        """Deliver an event by hand, as Stripe would: how it is answered."""
        body = msgspec.json.encode(event)
        headers = {"stripe-signature": sign(self.secret, int(time.time()), body)}
        return (await self._http.post(HOOKS, content=body, headers=headers)).status_code

    async def _subscribe(self) -> None:
        form = {"url": f"{self._url}{HOOKS}", "enabled_events[0]": "*"}
        made = await self.world.ask("POST", "/v1/webhook_endpoints", self.keys, form)
        self.secret, self._is_known = made["secret"], True

    def _app(self) -> FastAPI:
        app = FastAPI()
        self.paywall.attach(app)

        @app.get("/paid")
        @self.paywall.charge("1.00")
        async def paid() -> str:
            self.served += 1
            return "the goods"

        hooks = stripe.webhooks(self.paywall, signing_secret=self.secret)
        app.routes.append(Route(HOOKS, _Heard(hooks, self.heard)))
        return app


class _Heard:
    """An ASGI app that notes what it was told, and what it said."""

    def __init__(self, hooks: stripe.StripeWebhooks, heard: list[tuple[str, int]]) -> None:
        self._hooks = hooks
        self._heard = heard

    async def __call__(
        self,
        scope: Any,
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        body = bytearray()

        async def hear() -> Any:
            message = await receive()
            body.extend(message.get("body", b""))
            return message

        async def say(message: Any) -> None:
            if message["type"] == "http.response.start":
                self._heard.append((msgspec.json.decode(bytes(body))["type"], message["status"]))
            await send(message)

        await self._hooks(scope, hear, say)


async def eventually(look: Callable[[], Awaitable[T | None]], seconds: float = 20.0) -> T:
    """What `look` finds, as soon as it finds something."""
    async with asyncio.timeout(seconds):
        while not (found := await look()):
            await asyncio.sleep(0.02)
    return found
