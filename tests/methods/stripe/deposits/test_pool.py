"""The pool: how many deposits there are, who gets one, and when one can be had again."""

from __future__ import annotations

from coinslot.payments.ledger import Ledger
from deposit_shop import HOUR, OVER, Hire, Payer, World, recipient, unapplied
from faulty_stripe import FaultyStripe


async def test_each_challenge_has_an_address_of_its_own(hire: Hire, world: World) -> None:
    """As long as the pool lasts; each is that of a PaymentIntent over exactly the price."""
    seller = hire(pool=3, reusable=False)
    offer = seller.sell("0.25")
    await seller.open()
    waiting = set()
    for _ in range(3):
        waiting.add(recipient(await seller.asked(offer)))
        await seller.tend()
    assert len(waiting) == 3
    assert await seller.ask(offer) is None
    intents = await world.intents("requires_action")
    assert [each["amount"] for each in intents] == [25] * 3
    assert {(await world.intent_at(address))["id"] for address in waiting} == {each["id"] for each in intents}


async def test_a_payment_is_matched_by_stripe_and_labelled(
    hire: Hire, world: World, buyer: Payer, ledger: Ledger
) -> None:
    """The PaymentIntent succeeds, says for which challenge, and its address is never drawn again."""
    seller = hire(pool=1, reusable=False)
    offer = seller.sell()
    await seller.open()
    challenge = await seller.asked(offer)
    transaction = await buyer.pay(challenge)
    await seller.take(challenge, transaction, buyer.key.address)
    await world.later(120)
    await seller.tend()
    (paid,) = await world.intents("succeeded")
    assert paid["metadata"]["mpp_challenge_id"] == challenge.id
    await world.later(OVER)
    await seller.tend()
    assert await unapplied(ledger) == []
    assert recipient(await seller.asked(offer)) != recipient(challenge)


async def test_an_address_that_nobody_paid_is_drawn_again(
    hire: Hire, world: World, way: FaultyStripe
) -> None:
    """When its reservation and the grace are over, and not before; no PaymentIntent is made for that."""
    seller = hire(pool=1, reusable=False)
    offer = seller.sell()
    await seller.open()
    challenge = await seller.asked(offer)
    await world.later(OVER / 2)
    await seller.tend()
    assert await seller.ask(offer) is None
    await world.later(OVER / 2)
    await seller.tend()
    assert recipient(await seller.asked(offer)) == recipient(challenge)
    assert way.asked.count("POST /v1/payment_intents") == 1


async def test_an_address_is_drawn_only_if_its_reservation_outlasts_the_hold(
    hire: Hire, world: World
) -> None:
    """A worker that was stopped for a while hands out nothing that is nearly anybody's."""
    seller = hire(pool=1, reusable=False)
    offer = seller.sell()
    await seller.open()
    await world.later(2 * 900 + 1)
    assert await seller.ask(offer) is None


async def test_what_nobody_draws_stays_ready(hire: Hire, world: World, way: FaultyStripe) -> None:
    """Reserved anew in time, for hours, without a word to Stripe."""
    seller = hire(pool=2, reusable=False)
    offer = seller.sell()
    await seller.open()
    before = list(way.asked)
    for _ in range(12):
        await world.later(1000)
        await seller.tend(2)
    assert way.asked == before
    assert await seller.ask(offer) is not None


async def test_a_late_payment_takes_the_address_out(
    hire: Hire, world: World, buyer: Payer, ledger: Ledger
) -> None:
    """Even if nobody comes with it: it is unapplied, with whom to send it back to; the PaymentIntent is
    not left open for the next.
    """
    seller = hire(pool=1, reusable=False)
    offer = seller.sell()
    await seller.open()
    challenge = await seller.asked(offer)
    transaction = await buyer.pay(challenge, amount=9_999)
    await world.later(60)
    await seller.tend()
    assert await unapplied(ledger) == []  # its payer may still come with it
    await world.later(OVER)
    await seller.tend(30)
    (kept,) = await unapplied(ledger)
    assert (kept.reference, kept.amount, kept.payer) == (transaction, 9_999, buyer.key.address)
    assert kept.recipient == recipient(challenge)
    assert kept.reason is not None
    assert "exactly 10000" in kept.reason
    assert len(await world.intents("canceled")) == 1
    again = await seller.asked(offer)
    assert recipient(again) != recipient(challenge)
    await buyer.pay(challenge, amount=1)  # it is still watched
    await world.later(HOUR)
    await seller.tend()
    assert len(await unapplied(ledger)) == 2


async def test_an_address_that_is_paid_again_late_is_not_told_to_the_next(
    hire: Hire, world: World, buyer: Payer, ledger: Ledger
) -> None:
    """It is reserved anew, and ready; then whoever was told it hours ago pays there."""
    seller = hire(pool=1, reusable=False)
    offer = seller.sell()
    await seller.open()
    challenge = await seller.asked(offer)
    await world.later(OVER)
    await seller.tend()
    await buyer.pay(challenge)
    await world.later(120)
    await seller.tend()
    again = await seller.asked(offer)
    assert recipient(again) != recipient(challenge)
    await world.later(OVER)
    await seller.tend()
    assert [payment.recipient for payment in await unapplied(ledger)] == [recipient(challenge)]
