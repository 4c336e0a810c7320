"""The wallet at a real Paywall: both ends of the protocol, over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi import FastAPI

from coinslot import Paywall
from coinslot.client import Outcome, PaymentRecord
from coinslot.errors import PaymentUndecided
from coinslot.payments.method import Unknown
from scrip import Mint, ScripCharge, ScripWallet
from serving import serving
from stall import Buyer


@dataclass
class Counter:
    """A paywalled app. `drops` is how many of the next answers to payments are lost on their way."""

    mint: Mint = field(default_factory=Mint)
    orders: list[str] = field(default_factory=list)
    drops: int = 0
    url: str = ""

    def app(self) -> Any:
        """The ASGI app."""
        app = FastAPI()
        paywall = Paywall(
            [ScripCharge(self.mint)],
            secret_key="a secret of at least thirty-two bytes",
            realm="127.0.0.1",
            ledger="memory:",
            settle_timeout=0.3,
        )
        paywall.attach(app)

        @app.get("/paid")
        @paywall.charge("0.25")
        async def paid() -> str:
            return "the goods"

        @app.post("/orders")
        @paywall.charge("0.50")
        async def order(item: dict[str, str]) -> str:
            self.orders.append(item["name"])
            return item["name"]

        async def with_drops(scope: Any, receive: Any, send: Any) -> None:
            async def lossy_send(message: Any) -> None:
                if self.drops and message["type"] == "http.response.start" and message["status"] == 200:
                    self.drops -= 1
                    send.__self__.transport.abort()
                    raise OSError("the connection broke")
                await send(message)

            await app(scope, receive, lossy_send if scope["type"] == "http" else send)

        return with_drops


@pytest.fixture
def counter() -> Iterator[Counter]:
    """One that is open."""
    counter = Counter()
    with serving(counter.app()) as counter.url:
        yield counter


def payment_of(extensions: Any) -> PaymentRecord:
    """The payment of a response."""
    record = extensions["payment"]
    assert isinstance(record, PaymentRecord)
    return record


async def test_paying_a_paywall(buyer: Buyer, counter: Counter) -> None:
    """A GET and a POST whose body is bound are paid, once each, with receipts that name the payment."""
    scrip = ScripWallet(counter.mint)
    wallet = buyer.wallet(scrip)
    response = await buyer.get(wallet, counter.url + "/paid")
    assert response.json() == "the goods"
    receipt = payment_of(response.extensions).receipt
    assert receipt is not None
    assert receipt.reference == f"scrip-{scrip.paid[0]}"
    response = await buyer.request(wallet, "POST", counter.url + "/orders", json={"name": "tea"})
    assert response.json() == "tea"
    assert payment_of(response.extensions).challenge.digest is not None
    assert counter.orders == ["tea"]
    assert counter.mint.spent == {scrip.paid[0]: 25, scrip.paid[1]: 50}


async def test_a_lost_delivery_is_fetched_again(buyer: Buyer, counter: Counter) -> None:
    """When the goods are lost on their way, the wallet gets them for the same money."""
    scrip = ScripWallet(counter.mint)
    counter.drops = 1
    response = await buyer.get(buyer.wallet(scrip), counter.url + "/paid")
    assert response.json() == "the goods"
    assert counter.drops == 0
    assert len(scrip.paid) == len(counter.mint.spent) == counter.mint.spend_requests == 1


async def test_a_lost_answer_is_not_a_second_order(buyer: Buyer, counter: Counter) -> None:
    """The wallet's `Idempotency-Key` has the server give its answer again: there is one order."""
    counter.drops = 2
    response = await buyer.request(
        buyer.wallet(ScripWallet(counter.mint)), "POST", counter.url + "/orders", json={"name": "tea"}
    )
    assert (response.json(), counter.orders, counter.drops) == ("tea", ["tea"], 0)
    assert payment_of(response.extensions).receipt is not None


async def test_an_unknown_outcome_is_found_out_later(buyer: Buyer, counter: Counter) -> None:
    """While nobody knows whether money moved, the caller has an undecided payment, and later the goods."""
    scrip = ScripWallet(counter.mint)
    wallet = buyer.wallet(scrip, patience=0.3)
    counter.mint.after = lambda note: Unknown(reason="the mint was cut off")
    url = counter.url + "/paid"
    try:
        response = await buyer.get(wallet, url)
    except PaymentUndecided as error:
        record = error.payment
    else:
        assert response.status_code == 503
        record = payment_of(response.extensions)
    assert isinstance(record, PaymentRecord)
    assert record.outcome is Outcome.UNDECIDED
    response = await buyer.get(wallet, url, extensions={"payment": record})
    assert response.json() == "the goods"
    assert payment_of(response.extensions).outcome is Outcome.PAID
    assert len(scrip.paid) == counter.mint.spend_requests == 1


async def test_many_buyers_at_once(buyer: Buyer, counter: Counter) -> None:
    """Payments that come all at once are all paid and all delivered."""
    scrip = ScripWallet(counter.mint)
    wallet = buyer.wallet(scrip)
    responses = await asyncio.gather(*(buyer.get(wallet, counter.url + "/paid") for _ in range(12)))
    assert [response.json() for response in responses] == ["the goods"] * 12
    assert set(counter.mint.spent) == set(scrip.paid)
    assert len(scrip.paid) == 12
