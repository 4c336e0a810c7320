"""Sellers who are paid at Stripe's deposit addresses, driven by hand: workers, time, and what Stripe has."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any, TypeAlias

from msgspec.structs import replace

from coinslot.methods import stripe, tempo
from coinslot.methods.tempo.keys import PrivateKey
from coinslot.methods.tempo.node import Node
from coinslot.methods.tempo.rpc import Rpc
from coinslot.methods.tempo.server.push import RECOVERY
from coinslot.payments.books import Query
from coinslot.payments.desk import Desk
from coinslot.payments.events import Events
from coinslot.payments.ledger import Ledger
from coinslot.payments.method import Offer, Price, Recovery
from coinslot.payments.payment import Payment, State
from coinslot.protocol import Challenge, format_timestamp
from coinslot.sandbox.stripe import Keys
from faulty_node import Answer, FaultyNode, Forward, Request
from stripe_payments import Clock, Stripe
from tempo_payments import REALM, pays, unsigned

INTENTS = "/v1/payment_intents"
EXPIRES_IN = 300.0
HOUR = 3600.0
OVER = 3 * 900.0 + 5400.0 + 60.0
"""Seconds after which a reservation and its grace are over, whoever has it."""

Hire: TypeAlias = Callable[..., "Seller"]


class World:
    """A Stripe, a chain and a clock, which all sellers share: the chain's clock goes with theirs."""

    def __init__(self, stripe_url: str, way: str, node: FaultyNode, keys: Keys, clock: Clock) -> None:
        self.stripe = Stripe(stripe_url)
        self.way = way
        self.node = node
        self.keys = keys
        self.clock = clock
        node.behaviours["eth_getBlockByNumber"] = self._ahead

    async def later(self, seconds: float) -> None:
        """So much time passes, for sellers and for the chain."""
        self.clock.ahead += seconds

    async def intents(self, *statuses: str) -> list[Any]:
        """The account's PaymentIntents, in these statuses if any are named."""
        listed = await self.stripe.ask("GET", f"{INTENTS}?limit=100", self.keys)
        assert not listed["has_more"]
        return [each for each in listed["data"] if not statuses or each["status"] in statuses]

    async def intent_at(self, address: str) -> Any:
        """The PaymentIntent that waits, or waited, at an address."""
        for each in await self.intents():
            details = (each["next_action"] or {}).get("crypto_display_details", {})
            if any(there["address"] == address for there in details.get("deposit_addresses", {}).values()):
                return each
        return None

    async def _ahead(self, request: Request, forward: Forward) -> Answer:
        answer = await forward()
        block = answer["result"]
        timestamp = int(block["timestamp"], 16) + int(self.clock.ahead)
        # Nobody mines while nothing happens; a chain that goes on has a block for every moment.
        if request["params"][0] == "latest":
            timestamp = max(timestamp, int(self.clock()))
        return {**answer, "result": {**block, "timestamp": hex(timestamp)}}


class Seller:
    """One worker, on a ledger that others may share."""

    def __init__(
        self, world: World, ledger: Ledger, *, refund_account: PrivateKey | None = None, **settings: Any
    ) -> None:
        usual = {"secret_key": world.keys.secret_key, "api_base": world.way, "clock": world.clock}
        self.world = world
        self.ledger = ledger
        self.events = Events()
        self.deposits = stripe.deposits(**{**usual, **settings})
        self.charge = tempo.charge(self.deposits, rpc_url=world.node.url, refund_account=refund_account)

    def sell(self, price: str = "0.01") -> Offer:
        """Have something to sell."""
        offer = self.charge.prepare(Price(amount=price))
        assert offer is not None
        return offer

    async def open(self) -> None:
        """Begin, and have done what there is to do at first."""
        self.charge.keep(self.desk)
        await self.tend()

    @property
    def desk(self) -> Desk:
        """What a method has of the ledger."""
        return Desk(
            self.ledger, self.ledger, self.events, method="tempo", intent="charge", clock=self.world.clock
        )

    async def tend(self, rounds: int = 12) -> None:
        """Let some time pass in which everything that is due is done."""
        for _ in range(rounds):
            self.world.clock.ahead += await self.charge.tend()

    async def ask(self, offer: Offer) -> Challenge | None:
        """A challenge with a recipient of its own, if there is one to be had."""
        drawn = await self.charge.draw(offer)
        if drawn is None:
            return None
        return Challenge.create(
            id=secrets.token_urlsafe(32),
            realm=REALM,
            method="tempo",
            intent="charge",
            request=drawn.request,
            expires=format_timestamp(time.time() + EXPIRES_IN),
        )

    async def asked(self, offer: Offer) -> Challenge:
        """The same, where there is one."""
        challenge = await self.ask(offer)
        assert challenge is not None
        return challenge

    async def take(self, challenge: Challenge, transaction: str, payer: str) -> Payment:
        """A payment of this challenge as the till would have written it down, and settled."""
        request = challenge.decode_request()
        now = self.world.clock()
        payment = Payment(
            challenge_id=challenge.id,
            proof_key=f"tempo:42431:{transaction}",
            fingerprint=bytes(32),
            method="tempo",
            intent="charge",
            route="GET /paid",
            state=State.SETTLING,
            amount=int(str(request["amount"])),
            currency=str(request["currency"]),
            recipient=str(request["recipient"]),
            payer=payer,
            reference=transaction,
            created_at=now,
            expires_at=now + EXPIRES_IN,
        )
        await self.ledger.insert(payment)
        await self.charge.settle(replace(payment.proof, recovery=Recovery(RECOVERY)))
        settled = replace(payment, state=State.SETTLED, settled_at=now, revision=1)
        assert await self.ledger.replace(payment, settled)
        return settled

    async def close(self) -> None:
        """End."""
        await self.charge.aclose()


class Payer:
    """Somebody with money on the chain."""

    def __init__(self, world: World, key: PrivateKey) -> None:
        self.world = world
        self.key = key

    async def pay(self, challenge: Challenge, **changes: object) -> str:
        """Pay on the chain, in `changes` not as asked: the transaction's hash."""
        good = unsigned(challenge)
        transaction = (pays(challenge, **changes)(good) if changes else good).sign(self.key)
        node = Node(Rpc(self.world.node.url))
        try:
            receipt = await node.send(transaction, 10)
            assert receipt is not None
            assert receipt.succeeded
        finally:
            await node.aclose()
        return receipt.hash


async def unapplied(ledger: Ledger) -> list[Payment]:
    """The money that pays for nothing."""
    return await ledger.select(Query(states=frozenset({State.UNAPPLIED})))


def recipient(challenge: Challenge) -> str:
    """Whom it asks to pay."""
    return str(challenge.decode_request()["recipient"])
