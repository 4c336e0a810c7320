"""What Stripe knows: what came in for challenges, what went back, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from coinslot.methods import stripe
from coinslot.methods.stripe import api, audit
from coinslot.methods.stripe.failures import StripeFailure
from coinslot.payments.method import Audits, Movement
from coinslot.payments.refunds import RefundState
from stripe_payments import Purchase, Stripe
from stripe_shop import Shop


async def moved(method: stripe.StripeCharge, since: float, until: float | None = None) -> list[Movement]:
    """All that moved."""
    assert isinstance(method, Audits)
    until = time.time() + 1 if until is None else until
    return [each async for each in method.movements(since=since, until=until, recipients=frozenset())]


async def test_what_came_in_and_went_back(
    shop: Shop, open_shop: Callable[..., stripe.StripeCharge], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Charges and refunds of challenges, also those from the Dashboard, however many pages there are."""
    monkeypatch.setattr(api, "_PAGE", 2)
    since = time.time() - 1
    async with shop.open():
        sales = [await shop.sell() for _ in range(3)]
        ours = await shop.refund(sales[0], 30)
        failing = await shop.sell("pm_card_refundFail")
        await shop.refund_becomes(await shop.refund(failing), RefundState.FAILED)
    elsewhere = await shop.world.ask(
        "POST", "/v1/refunds", shop.keys, {"payment_intent": sales[1].reference, "amount": "20"}
    )
    declined = await shop.world.token(card="pm_card_visa_chargeDeclined", seller=shop.keys)
    method = open_shop(secret_key=shop.keys.secret_key, network_id=shop.keys.profile)
    await (await Purchase.begin(method, declined)).settle()
    other = {
        "amount": "500",
        "currency": "usd",
        "confirm": "true",
        "payment_method": "pm_card_visa",
        "payment_method_types[0]": "card",
    }
    business = await shop.world.ask("POST", "/v1/payment_intents", shop.keys, other)
    await shop.world.ask("POST", "/v1/refunds", shop.keys, {"payment_intent": business["id"]})

    found = await moved(method, since)
    assert {(each.reference, each.amount) for each in found if not each.is_refund} == {
        (sale.reference, 100) for sale in [*sales, failing]
    }
    assert {(each.reference, each.amount) for each in found if each.is_refund} == {
        (ours.reference, 30),
        (elsewhere["id"], 20),
    }
    assert all(since <= each.at <= time.time() and each.currency == "usd" for each in found)
    assert await moved(method, since - 3600, since - 60) == []


async def test_too_much_is_not_half_told(
    charge: stripe.StripeCharge, world: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than is looked at in one go is an error, and so is a Stripe that does not answer."""
    for _ in range(2):
        await (await Purchase.begin(charge, await world.token())).settle()
    monkeypatch.setattr(api, "_PAGE", 1)
    monkeypatch.setattr(audit, "_PAGES", 1)
    with pytest.raises(StripeFailure, match="more on the list"):
        await moved(charge, 0)
    await world.fault("rate_limit", method="GET", path="/v1/charges*", times=5)
    with pytest.raises(StripeFailure):
        await moved(charge, 0)
