"""The reusable address, and the outbox that tells Stripe of payments to it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from coinslot.payments.ledger import Ledger
from coinslot.payments.payment import State
from coinslot.protocol import Challenge
from coinslot.sandbox.stripe import ThreadedStripeSandbox
from deposit_shop import HOUR, OVER, Hire, Payer, Seller, World, recipient, unapplied
from faulty_stripe import FaultyStripe

RECORD = "POST /v1/payment_intents"
KIND = "stripe-record:test:42431"


async def opened(hire: Hire, price: str = "0.25", **settings: Any) -> tuple[Seller, Challenge]:
    """A seller without a pool, and a challenge that asks to pay to the reusable address."""
    seller = hire(pool=0, **settings)
    offer = seller.sell(price)
    await seller.open()
    return seller, await seller.asked(offer)


async def recorded(world: World, challenge: Challenge) -> list[Any]:
    """The PaymentIntents that record a payment of this challenge."""
    found = await world.intents("succeeded")
    return [each for each in found if each["metadata"].get("mpp_challenge_id") == challenge.id]


async def test_a_payment_is_recorded_once_it_is_settled(hire: Hire, world: World, buyer: Payer) -> None:
    """In cents, with the transaction, and what peers put there; not a moment before, and once."""
    seller, challenge = await opened(hire, metadata={"shop": "7"})
    transaction = await buyer.pay(challenge)
    await seller.take(challenge, transaction, buyer.key.address)
    await seller.tend()
    (intent,) = await recorded(world, challenge)
    assert intent["amount"] == 25
    metadata = intent["metadata"]
    assert (metadata["machine_payment"], metadata["mpp_intent"], metadata["shop"]) == ("true", "charge", "7")
    await world.later(OVER)
    await seller.tend(30)
    assert len(await world.intents()) == 1
    assert await unapplied(seller.ledger) == []


async def test_everybody_has_the_same_address(
    hire: Hire, world: World, way: FaultyStripe, ledger: Ledger
) -> None:
    """All workers, after a restart as well; Stripe is asked for it once."""
    _, challenge = await opened(hire)
    _, again = await opened(hire)
    assert recipient(challenge) == recipient(again)
    assert way.asked == ["POST /v1/crypto/deposit_addresses"]
    listed = await world.stripe.ask("GET", "/v1/crypto/deposit_addresses", world.keys)
    assert [each["address"] for each in listed["data"]] == [recipient(challenge)]


async def test_a_price_that_a_callable_makes_has_no_pool(hire: Hire, world: World) -> None:
    """It is paid to the reusable address, however many prices it makes; without one it is not offered."""
    seller, none = hire(), hire(reusable=False)
    await seller.open()
    await none.open()
    addresses = {recipient(await seller.asked(seller.sell(f"{n}.00"))) for n in range(1, 100)}
    assert len(addresses) == 1
    assert await none.ask(none.sell("1.00")) is None
    assert await world.intents() == []


async def test_a_payment_that_failed_is_not_recorded(hire: Hire, world: World, ledger: Ledger) -> None:
    """Nor one that is not decided yet."""
    seller, challenge = await opened(hire)
    payment = await seller.take(challenge, "0x" + "ab" * 32, "0x" + "cd" * 20)
    failed = replace(payment, state=State.FAILED, revision=2)
    assert await ledger.replace(payment, failed)
    await seller.tend()
    assert await world.intents() == []
    assert await ledger.count_records(KIND, "pending") == 0


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("rate_limit", {}),
        ("error", {"when": "before"}),
        ("error", {"when": "after"}),
        ("drop", {"when": "before"}),
        ("drop", {"when": "after"}),
        ("delay", {"seconds": 0.6}),
    ],
)
async def test_a_failure_delays_and_does_not_double(
    hire: Hire, world: World, buyer: Payer, kind: str, settings: dict[str, Any]
) -> None:
    """Whether Stripe had recorded it or not, there is one PaymentIntent in the end."""
    seller, challenge = await opened(hire, timeout=0.3, api_base=world.stripe.url)
    await world.stripe.fault(kind, times=2, **settings)
    transaction = await buyer.pay(challenge)
    await seller.take(challenge, transaction, buyer.key.address)
    for _ in range(4):
        await seller.tend(6)
        await asyncio.sleep(settings.get("seconds", 0.0))  # the key is taken until then
        await world.later(HOUR)
    assert len(await recorded(world, challenge)) == 1
    assert await seller.ledger.count_records(KIND, "sent") == 1


async def test_a_refusal_is_followed_by_another_key(
    hire: Hire, world: World, buyer: Payer, way: FaultyStripe
) -> None:
    """Stripe does not know the transaction yet, and says the same to the same key for a day."""
    seller, challenge = await opened(hire)
    await world.stripe.fault("error", times=1, status=400)
    transaction = await buyer.pay(challenge)
    await seller.take(challenge, transaction, buyer.key.address)
    await seller.tend(1)
    assert await recorded(world, challenge) == []
    await world.later(60)
    await seller.tend()
    assert len(await recorded(world, challenge)) == 1


async def test_one_that_stripe_never_takes_stays_visible(
    hire: Hire, world: World, buyer: Payer, way: FaultyStripe, caplog: pytest.LogCaptureFixture
) -> None:
    """An error is logged, its record is `stuck`, and it is tried once a day."""
    seller, challenge = await opened(hire)
    await world.stripe.fault("error", times=100, status=400)
    transaction = await buyer.pay(challenge)
    await seller.take(challenge, transaction, buyer.key.address)
    for _ in range(20):
        await world.later(2 * HOUR)
        await seller.tend(3)
    assert await seller.ledger.count_records(KIND, "stuck") == 1
    assert "still does not know of payment" in caplog.text
    before = way.asked.count(RECORD)
    for _ in range(12):
        await world.later(2 * HOUR)
        await seller.tend(3)
    assert way.asked.count(RECORD) - before in (1, 2)


async def test_money_that_nobody_showed_is_unapplied(
    hire: Hire, world: World, buyer: Payer, ledger: Ledger
) -> None:
    """At the reusable address as well; each transfer of a transaction for itself."""
    seller, challenge = await opened(hire)
    await buyer.pay(challenge, memo=None)
    await world.later(60)
    await seller.tend()
    assert await unapplied(ledger) == []
    await world.later(OVER)
    await seller.tend(30)
    (kept,) = await unapplied(ledger)
    assert (kept.amount, kept.payer) == (250_000, buyer.key.address)
    assert (kept.method, kept.intent) == ("tempo", "charge")


async def test_stripe_is_away_for_a_while(
    hire: Hire, world: World, sandbox: ThreadedStripeSandbox, buyer: Payer
) -> None:
    """The seller takes payments meanwhile, and tells it of them when it is back."""
    seller, challenge = await opened(hire, api_base=world.stripe.url)
    sandbox.stop()
    transaction = await buyer.pay(challenge)
    await seller.take(challenge, transaction, buyer.key.address)
    await seller.tend()
    sandbox.start()
    await world.later(HOUR)
    await seller.tend()
    assert len(await recorded(world, challenge)) == 1
