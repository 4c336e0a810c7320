"""Deposit addresses behind a paywall: what a payer sees, and what becomes of their money."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeAlias

import httpx2
import pytest
from fastapi import FastAPI

from coinslot import Paywall, Receipt, Wallet
from coinslot.methods import stripe, tempo
from coinslot.methods.tempo.keys import PrivateKey
from coinslot.methods.tempo.node import Node
from coinslot.methods.tempo.rpc import Rpc
from coinslot.payments.payment import State
from coinslot.sandbox.stripe import ThreadedStripeSandbox
from coinslot.sandbox.tempo import ThreadedDevnet
from deposit_shop import World, recipient
from faulty_node import FaultyNode
from faulty_stripe import FaultyStripe
from peer_programs import Peer
from serving import serving
from shopping import challenge_of, problem, visit
from tempo_payments import credential, pays, pushed, unsigned

Open: TypeAlias = Callable[..., Any]


@pytest.fixture
async def open_shop(world: World, tmp_path: Path) -> AsyncIterator[Open]:
    """Opens workers of one shop: a paywall, its app, and a client of it."""
    stack = AsyncExitStack()

    async def open_shop(
        *, served_at: str | None = None, **settings: Any
    ) -> tuple[Paywall, FastAPI, httpx2.AsyncClient]:
        recipients = stripe.deposits(
            **{"secret_key": world.keys.secret_key, "api_base": world.way, "pool": 3, **settings}
        )
        paywall = Paywall(
            [tempo.charge(recipient=recipients, rpc_url=served_at or world.node.url)],
            secret_key="a secret of at least thirty-two bytes",
            realm="127.0.0.1",
            ledger=f"sqlite:///{tmp_path / 'shop.db'}",
        )
        app = FastAPI()

        @app.get("/paid")
        @paywall.charge("0.01")
        async def paid() -> str:
            return "the goods"

        @app.get("/weighed")
        @paywall.charge(lambda request: request.header("x-price") or "0.02")
        async def weighed() -> str:
            return "by weight"

        paywall.attach(app)
        if served_at is None:  # or else the server opens it
            await stack.enter_async_context(paywall)
        return paywall, app, await stack.enter_async_context(visit(app))

    async with stack:
        yield open_shop


async def eventually(happens: Callable[[], Any]) -> Any:
    """What it gives, once it gives something."""
    for _ in range(200):
        if found := await happens():
            return found
        await asyncio.sleep(0.05)
    pytest.fail("it did not happen")


async def test_the_guides_walk(open_shop: Open, world: World, payer: PrivateKey) -> None:
    """402 → a deposit address → paid on the chain → 200 with a receipt; the PaymentIntent succeeds."""
    paywall, _, http = await open_shop()
    challenge = challenge_of(await http.get("/paid"))
    intent = await world.intent_at(recipient(challenge))
    assert (intent["amount"], intent["status"]) == (1, "requires_action")
    signed = credential(challenge, unsigned(challenge).sign(payer))
    served = await http.get("/paid", headers={"Authorization": signed.to_header()})
    assert (served.status_code, served.text) == (200, '"the goods"')
    receipt = Receipt.parse(served.headers["payment-receipt"])
    payment = await paywall.ledger.find(challenge.id)
    assert payment is not None
    assert payment.recipient == recipient(challenge)
    assert receipt.reference == payment.reference
    (paid,) = await eventually(lambda: world.intents("succeeded"))
    assert paid["id"] == intent["id"]


async def test_another_worker_takes_the_payment(open_shop: Open, world: World, payer: PrivateKey) -> None:
    """That drew no such address: that the challenge is ours, its id proves."""
    _, _, one = await open_shop()
    _, _, other = await open_shop()
    challenge = challenge_of(await one.get("/paid"))
    signed = credential(challenge, unsigned(challenge).sign(payer))
    served = await other.get("/paid", headers={"Authorization": signed.to_header()})
    assert served.status_code == 200


async def test_two_workers_share_the_pool(open_shop: Open, world: World, way: FaultyStripe) -> None:
    """Unpaid requests to both, many: no PaymentIntent beyond the pool, and no address of its own twice."""
    _, _, one = await open_shop()
    _, _, other = await open_shop()
    await eventually(lambda: _asked(way, "POST /v1/payment_intents", 3))
    drawn: list[str] = []
    for http in (one, other) * 150:
        drawn.append(recipient(challenge_of(await http.get("/paid"))))
    own = {address for address in drawn if await world.intent_at(address) is not None}
    assert all(drawn.count(address) == 1 for address in own)
    assert len(own) <= 3
    assert len(set(drawn) - own) == 1
    assert len(await world.intents()) == 3


async def _asked(way: FaultyStripe, what: str, times: int) -> bool:
    return way.asked.count(what) >= times


async def test_the_reusable_address_is_recorded(open_shop: Open, world: World, payer: PrivateKey) -> None:
    """A price that a callable makes: the payment is there at once, and Stripe hears of it afterwards."""
    paywall, _, http = await open_shop()
    challenge = challenge_of(await http.get("/weighed"))
    assert await world.intent_at(recipient(challenge)) is None
    signed = credential(challenge, unsigned(challenge).sign(payer))
    served = await http.get("/weighed", headers={"Authorization": signed.to_header()})
    assert served.status_code == 200
    paywall.office.wake()
    (recorded,) = await eventually(lambda: world.intents("succeeded"))
    assert recorded["amount"] == 2
    assert recorded["metadata"]["mpp_challenge_id"] == challenge.id


@pytest.mark.parametrize("url", ["/paid", "/weighed"])
async def test_stripe_sends_back_what_it_has(
    open_shop: Open, world: World, payer: PrivateKey, url: str
) -> None:
    """A refund is Stripe's, of the very PaymentIntent that has the money."""
    paywall, _, http = await open_shop()
    challenge = challenge_of(await http.get(url))
    signed = credential(challenge, unsigned(challenge).sign(payer))
    assert (await http.get(url, headers={"Authorization": signed.to_header()})).status_code == 200
    paywall.office.wake()
    (intent,) = await eventually(lambda: world.intents("succeeded"))
    await paywall.refund(challenge.id)
    listed = await world.stripe.ask("GET", "/v1/refunds", world.keys)
    assert [each["payment_intent"] for each in listed["data"]] == [intent["id"]]


@pytest.mark.parametrize("price", ["0.015", "0.001", "0"])
async def test_a_price_that_stripe_cannot_take_is_not_offered(open_shop: Open, price: str) -> None:
    """Less than a cent, or a part of one: nobody is asked to pay what cannot be recorded."""
    _, _, http = await open_shop()
    assert problem(await http.get("/weighed", headers={"x-price": price})) == "payment-unavailable"


async def test_without_an_address_there_is_no_offer(open_shop: Open, world: World) -> None:
    """503, and no challenge that leads nowhere."""
    _, _, http = await open_shop(reusable=False, pool=1)
    challenge_of(await http.get("/paid"))
    assert problem(await http.get("/paid")) == "payment-unavailable"
    assert problem(await http.get("/weighed")) == "payment-unavailable"


async def test_stripe_is_down_from_the_beginning(
    open_shop: Open, world: World, sandbox: ThreadedStripeSandbox
) -> None:
    """The shop opens all the same, says 503, and sells when Stripe is there."""
    sandbox.stop()
    _, _, http = await open_shop(api_base=world.stripe.url)
    assert problem(await http.get("/paid")) == "payment-unavailable"
    sandbox.start()

    async def is_offered() -> bool:
        answer = await http.get("/paid")
        return bool(answer.status_code == 402)

    assert await eventually(is_offered)


async def test_a_pushed_payment_of_another_amount_is_unapplied(
    open_shop: Open, world: World, payer: PrivateKey, node: FaultyNode
) -> None:
    """Whoever shows it is told so, and it is kept for a refund."""
    paywall, _, http = await open_shop()
    challenge = challenge_of(await http.get("/paid"))
    signed = pays(challenge, amount=9_999)(unsigned(challenge)).sign(payer)
    sender = Node(Rpc(node.url))
    receipt = await sender.send(signed, 10)
    await sender.aclose()
    assert receipt is not None
    shown = await http.get("/paid", headers={"Authorization": pushed(challenge, receipt.hash).to_header()})
    assert shown.status_code == 403
    kept = await paywall.ledger.find(challenge.id)
    assert kept is not None
    assert (kept.state, kept.amount) == (State.UNAPPLIED, 9_999)


@pytest.mark.parametrize("name", ["mppx", "pympp"])
async def test_peers_pay_to_deposit_addresses(
    request: pytest.FixtureRequest,
    open_shop: Open,
    world: World,
    devnet: ThreadedDevnet,
    payer: PrivateKey,
    name: str,
) -> None:
    """Their clients see a recipient like any other."""
    peer: Peer = request.getfixturevalue(name)
    _, app, _ = await open_shop(served_at=devnet.rpc_url)
    with serving(app) as url:
        report = await asyncio.to_thread(
            peer.fetch, f"{url}/paid", payer.to_hex(), devnet.rpc_url, chain_id="42431"
        )
    assert report.status == 200
    (paid,) = await eventually(lambda: world.intents("succeeded"))
    assert paid["amount"] == 1


async def test_our_wallet_pays(
    open_shop: Open, world: World, devnet: ThreadedDevnet, payer: PrivateKey
) -> None:
    """So does ours."""
    account = tempo.account(payer, rpc_url=devnet.rpc_url)
    _, app, _ = await open_shop(served_at=devnet.rpc_url)
    with serving(app) as url:
        async with Wallet([account], max_amount="1.00") as wallet:
            answer = await wallet.aget(f"{url}/paid")
    assert answer.status_code == 200
    assert await eventually(lambda: world.intents("succeeded"))
