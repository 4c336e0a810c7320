"""Which prices have a pool, and for how long."""

from __future__ import annotations

from typing import Any

import pytest

from coinslot.errors import ConfigurationError
from coinslot.methods import stripe, tempo
from coinslot.payments.method import Closes, DrawsOffers, Keeps, Price, Tends
from deposit_shop import HOUR, OVER, Hire, World, recipient

KEY = "sk_test_secret"


async def test_each_fixed_price_has_a_pool_of_its_own(hire: Hire, world: World) -> None:
    """Over exactly that price, in cents."""
    seller = hire(pool=2)
    offers = [seller.sell(price) for price in ("0.01", "1", "20.50")]
    await seller.open()
    for offer, cents in zip(offers, (1, 100, 2050), strict=True):
        intent = await world.intent_at(recipient(await seller.asked(offer)))
        assert intent["amount"] == cents
    assert len(await world.intents()) == 6


async def test_there_are_no_more_prices_than_allowed(
    hire: Hire, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """By all workers together; the others are paid to the reusable address, and that is logged."""
    one, other = hire(pool=1, prices=2), hire(pool=1, prices=2)
    for cents in range(1, 4):
        one.sell(f"0.0{cents}")
        other.sell(f"0.0{cents + 3}")
    await one.open()
    await other.open()
    assert len(await world.intents()) == 2
    assert "more than 2 prices" in caplog.text


async def test_a_price_that_nobody_asks_for_loses_its_pool(hire: Hire, world: World) -> None:
    """Its PaymentIntents are cancelled. Whoever asks again, wakes it."""
    seller = hire(pool=2, idle=4 * HOUR)
    offer = seller.sell()
    await seller.open()
    await world.later(4 * HOUR)
    await seller.tend()
    await world.later(OVER)
    await seller.tend()
    assert await world.intents("requires_action") == []
    assert len(await world.intents("canceled")) == 2
    await seller.asked(offer)
    await seller.tend()
    assert len(await world.intents("requires_action")) == 2


async def test_a_price_that_no_worker_knows_any_more_loses_its_pool_too(hire: Hire, world: World) -> None:
    """The price was changed: who comes after cleans up."""
    before = hire(pool=2, idle=4 * HOUR)
    before.sell("0.01")
    await before.open()
    await before.close()
    after = hire(pool=2, idle=4 * HOUR)
    offer = after.sell("0.02")
    await after.open()
    for _ in range(5):
        await world.later(HOUR)
        await after.asked(offer)
        await after.tend()
    assert {each["amount"] for each in await world.intents("requires_action")} == {2}


async def test_a_pool_that_was_made_smaller_shrinks(hire: Hire, world: World) -> None:
    """What is too many is cancelled."""
    large = hire(pool=4)
    large.sell()
    await large.open()
    await large.close()
    small = hire(pool=2)
    small.sell()
    await small.open()
    assert len(await world.intents("requires_action")) == 2
    assert len(await world.intents("canceled")) == 2


async def test_an_old_paymentintent_is_replaced(hire: Hire, world: World) -> None:
    """Before Stripe ends it by itself."""
    seller = hire(pool=1, lifetime=3 * HOUR, reusable=False)
    offer = seller.sell()
    await seller.open()
    before = {each["id"] for each in await world.intents("requires_action")}
    for _ in range(8):
        await world.later(HOUR / 2)
        await seller.tend()
    after = {each["id"] for each in await world.intents("requires_action")}
    assert len(after) == 1
    assert after != before
    assert {each["id"] for each in await world.intents("canceled")} == before
    assert await seller.ask(offer) is not None


async def test_what_a_worker_gives_back_when_it_ends_is_there_at_once(hire: Hire, world: World) -> None:
    """A restart costs no address but those that were told to somebody."""
    first = hire(pool=2, reusable=False)
    told = recipient(await _opened(first))
    await first.tend()
    await first.close()
    second = hire(pool=2, reusable=False)
    assert recipient(await _opened(second)) != told


async def _opened(seller: Any) -> Any:
    offer = seller.sell()
    await seller.open()
    return await seller.asked(offer)


@pytest.mark.parametrize("price", ["0", "0.001", "0.015", "0.010001"])
def test_prices_that_are_no_whole_cents_are_not_offered(price: str) -> None:
    """Stripe counts in cents; nothing is rounded."""
    method = tempo.charge(stripe.deposits(secret_key=KEY))
    assert method.prepare(Price(amount=price)) is None


def test_it_is_tended_by_the_paywall() -> None:
    """A charge has every capability that its recipients need."""
    method = tempo.charge(stripe.deposits(secret_key=KEY))
    for contract in (Keeps, Tends, DrawsOffers, Closes):
        assert isinstance(method, contract)


@pytest.mark.parametrize(
    "settings",
    [
        {"secret_key": None},
        {"secret_key": "pk_test_1"},
        {"pool": -1},
        {"pool": 1001},
        {"prices": -1},
        {"hold": 0},
        {"hold": 4 * HOUR},
        {"grace": HOUR},
        {"watch": 0},
        {"metadata": {"coinslot_deposit": "x"}},
        {"api_version": "latest"},
    ],
)
def test_a_mistake_is_found_at_start_up(settings: dict[str, Any]) -> None:
    """In one sentence, which does not quote the key."""
    with pytest.raises(ConfigurationError) as error:
        stripe.deposits(**{"secret_key": KEY, **settings})
    assert "test_" not in str(error.value)


def test_a_test_key_is_refused_on_mainnet() -> None:
    """Its addresses are nobody's there. An emulated Stripe, on a chain of one's own, is another matter."""
    with pytest.raises(ConfigurationError, match="test mode"):
        tempo.charge(stripe.deposits(secret_key=KEY), network="mainnet")
    tempo.charge(stripe.deposits(secret_key=KEY, api_base="http://127.0.0.1:1"), network="mainnet")
    tempo.charge(stripe.deposits(secret_key="sk_live_secret"), network="mainnet")


def test_what_does_not_go_together_is_refused() -> None:
    """One charge for one set of deposits; no splits, as Stripe is paid exact prices; cents."""
    deposits = stripe.deposits(secret_key=KEY)
    tempo.charge(deposits)
    with pytest.raises(ConfigurationError, match="serves one"):
        tempo.charge(deposits)
    with pytest.raises(ConfigurationError, match="splits"):
        tempo.charge(stripe.deposits(secret_key=KEY), splits=[tempo.Split("0x" + "ab" * 20, share="0.5")])
    with pytest.raises(ConfigurationError, match="cents"):
        tempo.charge(stripe.deposits(secret_key=KEY), decimals=1)
