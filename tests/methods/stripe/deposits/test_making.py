"""Making deposits: never more than there should be, whatever Stripe says and whoever dies."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from coinslot.payments.ledger import Ledger
from coinslot.storage.memory import MemoryLedger
from deposit_shop import HOUR, Hire, Seller, World, recipient
from faulty_stripe import FaultyStripe, Rewrite, says
from mortal_ledger import Killed, MortalLedger

CREATE = "POST /v1/payment_intents"


async def test_ten_thousand_unpaid_requests_ask_stripe_nothing(
    hire: Hire, world: World, way: FaultyStripe
) -> None:
    """Nor the chain. Two workers share the pool: no address goes to two challenges, and none is added."""
    workers = [hire(pool=5), hire(pool=5)]
    offers = [worker.sell() for worker in workers]
    for worker in workers:
        await worker.open()
    for worker in workers:
        await worker.tend(3)
    assert len(await world.intents()) == 5
    stripe_before, node_before = list(way.asked), list(world.node.methods)
    drawn = [
        recipient(await worker.asked(offer))
        for _ in range(5000)
        for worker, offer in zip(workers, offers, strict=True)
    ]
    assert way.asked == stripe_before
    assert world.node.methods == node_before
    for _ in range(20):
        for worker, offer in zip(workers, offers, strict=True):
            await worker.tend(3)
            drawn.append(recipient(await worker.asked(offer)))
    counted = {address: drawn.count(address) for address in set(drawn)}
    (reusable,) = (address for address, times in counted.items() if times > 1)
    assert counted.pop(reusable) > 10_000
    assert len(counted) == 5
    assert len(await world.intents()) == 5


async def test_workers_at_the_same_time_keep_to_the_bound(hire: Hire, world: World) -> None:
    """Also when all of them begin at once."""
    workers = [hire(pool=3) for _ in range(4)]
    for worker in workers:
        worker.sell()
    await asyncio.gather(*(worker.open() for worker in workers))
    await asyncio.gather(*(worker.tend() for worker in workers))
    assert len(await world.intents()) == 3


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("rate_limit", {}),
        ("rate_limit", {"code": "lock_timeout"}),
        ("error", {"when": "before"}),
        ("error", {"when": "after"}),
        ("drop", {"when": "before"}),
        ("drop", {"when": "after"}),
        ("delay", {"seconds": 0.6}),
    ],
)
async def test_a_failure_costs_time_and_no_paymentintent(
    hire: Hire, world: World, kind: str, settings: dict[str, Any]
) -> None:
    """Whether Stripe did it or not, the pool ends up full, and nothing is left over that nobody knows."""
    seller = hire(pool=2, reusable=False, timeout=0.3, api_base=world.stripe.url)
    offer = seller.sell()
    await world.stripe.fault(kind, times=2, **settings)
    await seller.open()
    for _ in range(4):
        await asyncio.sleep(settings.get("seconds", 0.0))  # the key is taken until then
        await world.later(60)
        await seller.tend(10)
    known = set()
    while (challenge := await seller.ask(offer)) is not None:
        known.add(recipient(challenge))
        await seller.tend()
    assert len(known) == 2
    assert len(await world.intents()) == 2


async def test_stripe_is_left_alone_when_it_limits_the_rate(
    hire: Hire, world: World, way: FaultyStripe
) -> None:
    """Each failure is followed by a longer pause, up to a minute."""
    seller = hire(pool=1, reusable=False)
    seller.sell()
    await world.stripe.fault("rate_limit", times=1000)
    await seller.open()
    begun = world.clock.ahead
    while world.clock.ahead < begun + HOUR / 4:
        await seller.tend(1)
    assert 10 <= way.asked.count(CREATE) <= 30


@pytest.mark.parametrize(
    "rewrite",
    [
        says(400, {"error": {"type": "invalid_request_error", "code": "account_invalid"}}),
        says(403, {"error": {"type": "invalid_request_error"}}),
        says(200, {"id": "pi_1"}),
        says(200, b"<html>"),
    ],
)
async def test_what_stripe_will_not_do_is_logged_and_tried_again(
    hire: Hire, world: World, way: FaultyStripe, rewrite: Rewrite, caplog: pytest.LogCaptureFixture
) -> None:
    """An account without the feature, an answer of another shape: no address, and no end of the world."""
    seller = hire(pool=1, reusable=False)
    offer = seller.sell()
    way.rewrites[CREATE] = [rewrite]
    await seller.open()
    assert any(record.name == "coinslot.stripe" for record in caplog.records)
    assert way.asked.count(CREATE) <= 2
    await world.later(660)
    await seller.tend()
    assert await seller.ask(offer) is not None


async def test_an_address_that_takes_another_token_is_never_told(
    hire: Hire, world: World, way: FaultyStripe, caplog: pytest.LogCaptureFixture
) -> None:
    """In live mode, where Stripe's list of tokens is about the chain. Its PaymentIntent is cancelled, and
    there is no other for a while.
    """
    seller = hire(pool=1, reusable=False)
    offer = seller.sell()

    def live(status: int, body: Any) -> tuple[int, Any]:
        (place,) = body["next_action"]["crypto_display_details"]["deposit_addresses"].values()
        place["supported_tokens"][0]["token_contract_address"] = "0x20c1"
        return status, {**body, "livemode": True}

    way.rewrites[CREATE] = [live] * 100
    await seller.open()
    assert await seller.ask(offer) is None
    assert "is what is charged" in caplog.text
    assert len(await world.intents("canceled")) == len(await world.intents()) == 1


async def test_being_killed_at_any_write_leaves_no_orphan(world: World) -> None:
    """Whoever comes next goes on: as many PaymentIntents as there should be, and each can be drawn."""
    kills = 0
    for after in (False, True):
        for at in range(1, 100):
            ledger = MemoryLedger()
            mortal = MortalLedger(ledger, at=at, after=after)
            known = {each["id"] for each in await world.intents()}
            first = Seller(world, mortal.as_ledger, pool=2, reusable=False)
            first.sell()
            with suppress(Killed):
                await first.open()
                mortal.spare()
                break
            kills += 1
            await _survive(world, ledger, known)
            await first.close()
        else:
            pytest.fail("it never got to its end")
        await first.close()
    assert kills > 20


async def _survive(world: World, ledger: Ledger, known: set[str]) -> None:
    second = Seller(world, ledger, pool=2, reusable=False)
    offer = second.sell()
    await second.open()
    # What the first had reserved is free again when that is over.
    await world.later(3 * 900 + 5400 + 60)
    await second.tend(20)
    addresses = set()
    while (challenge := await second.ask(offer)) is not None:
        addresses.add(recipient(challenge))
        await second.tend(4)
    made = [each for each in await world.intents() if each["id"] not in known]
    assert len(made) == len(addresses) == 2
    for each in made:
        await world.stripe.ask("POST", f"/v1/payment_intents/{each['id']}/cancel", world.keys)
    await second.close()
