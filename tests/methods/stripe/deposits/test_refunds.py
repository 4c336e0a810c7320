"""Deposits that go back: through Stripe what Stripe has, and from the refund account the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from msgspec.structs import replace

from coinslot.errors import RefundError
from coinslot.methods.tempo.keys import PrivateKey
from coinslot.methods.tempo.server.repayers import RepaysWhatItHas
from coinslot.methods.tempo.wire import Transaction
from coinslot.payments.ledger import Ledger
from coinslot.payments.method import Repayment, Repays, Settled, Unknown
from coinslot.payments.payment import Payment
from coinslot.protocol import Challenge
from deposit_shop import HOUR, OVER, Hire, Payer, Seller, World, unapplied
from tempo_payments import pathusd_balance

T = TypeVar("T")

CENT = 10_000
RECORDS = 8 * 24 * HOUR
"""Seconds after which a record that was sent to Stripe is not kept any more."""


async def eventually(look: Callable[[], Awaitable[T | None]]) -> T:
    """What is found, once something is."""
    async with asyncio.timeout(20):
        while (found := await look()) is None:
            await asyncio.sleep(0.05)
    return found


def repayment(payment: Payment, *, amount: int | None = None, key: str = "rf_1") -> Repayment:
    """All of a payment, unless told otherwise."""
    return Repayment(
        key=key,
        challenge_id=payment.challenge_id,
        paid=payment.proof,
        amount=payment.amount if amount is None else amount,
    )


async def sold(seller: Seller, buyer: Payer, price: str = "0.02") -> Payment:
    """A sale that Stripe knows of."""
    challenge = await seller.asked(seller.sell(price))
    payment = await seller.take(challenge, await buyer.pay(challenge), buyer.key.address)

    async def is_known() -> bool | None:
        await seller.tend()
        return bool(await seller.world.intents("succeeded")) or None

    await eventually(is_known)
    return payment


async def send(seller: Seller, asked: Repayment) -> tuple[Repayment, Settled]:
    """Draft it, send it, and follow it until it is through."""
    drafted = replace(asked, recovery=await seller.charge.draft_repayment(asked))
    outcome = await seller.charge.repay(drafted)
    if isinstance(outcome, Unknown):
        drafted = replace(drafted, reference=outcome.reference)

    async def is_through() -> Settled | None:
        found = await seller.charge.look_up_repayment(drafted)
        return found if isinstance(found, Settled) else None

    return drafted, await eventually(is_through)


@pytest.fixture
def purse(payer: PrivateKey) -> PrivateKey:
    """A refund account with money."""
    return payer


@pytest.mark.parametrize("pool", [1, 0])
async def test_stripe_sends_back_what_it_has(hire: Hire, buyer: Payer, world: World, pool: int) -> None:
    """To the wallet that paid; from a deposit's PaymentIntent, or from the one that records the payment."""
    seller = hire(pool=pool)
    seller.sell("0.02")
    await seller.open()
    payment = await sold(seller, buyer)
    before = await pathusd_balance(world.node, buyer.key.address)
    assert isinstance(seller.charge, Repays)
    drafted, settled = await send(seller, repayment(payment, amount=CENT))
    assert settled.reference.startswith("pyr_")
    assert await pathusd_balance(world.node, buyer.key.address) == before + CENT
    over = replace(repayment(payment, amount=CENT), reference=settled.reference)
    assert await seller.charge.look_up_repayment(over) == settled
    again = await seller.charge.repay(drafted)  # answered from Stripe's memory
    assert isinstance(again, Settled | Unknown)
    assert again.reference == settled.reference
    (listed,) = (await world.stripe.ask("GET", "/v1/refunds", world.keys))["data"]
    assert (listed["amount"], listed["metadata"]["coinslot_refund"]) == (1, "rf_1")


async def test_an_old_record_is_found_at_stripe(hire: Hire, buyer: Payer, world: World) -> None:
    """When it is not kept here any more."""
    seller = hire(pool=0)
    await seller.open()
    payment = await sold(seller, buyer)
    await world.later(RECORDS)
    await seller.tend()
    _, settled = await send(seller, repayment(payment))
    assert settled.reference.startswith("pyr_")


async def test_what_stripe_has_not_matched_is_sent_by_the_seller(
    hire: Hire, buyer: Payer, world: World, ledger: Ledger, purse: PrivateKey
) -> None:
    """A wrong amount is nobody's at Stripe: it goes back by a transfer, if there is an account for that."""
    seller = hire(pool=1, refund_account=purse)
    offer = seller.sell()
    await seller.open()
    await buyer.pay(await seller.asked(offer), amount=CENT + 1)
    for _ in range(3):
        await world.later(OVER / 2)
        await seller.tend()
    (payment,) = await unapplied(ledger)
    poor = hire(pool=1)
    poor.sell()
    await poor.open()
    with pytest.raises(RefundError, match="refund_account"):
        await poor.charge.draft_repayment(repayment(payment))
    drafted, settled = await send(seller, repayment(payment))
    assert len(Transaction.decode(drafted.recovery.data).calls) == 1
    assert settled.payer == buyer.key.address
    over = replace(repayment(payment), reference=settled.reference)
    assert isinstance(await seller.charge.look_up_repayment(over), Settled)


async def test_an_address_that_was_paid_twice_gives_back_once(
    hire: Hire, buyer: Payer, world: World, ledger: Ledger
) -> None:
    """The PaymentIntent's money is the first payment's, and not the second's."""
    seller = hire(pool=1, reusable=False)
    challenge = await drawn(seller)
    first = await seller.take(challenge, await buyer.pay(challenge), buyer.key.address)

    async def is_known() -> bool | None:
        return bool(await world.intents("succeeded")) or None

    await eventually(is_known)
    await buyer.pay(challenge, memo=None)
    for _ in range(3):
        await world.later(OVER / 2)
        await seller.tend()
    (second,) = await unapplied(ledger)
    assert second.recipient == first.recipient
    assert isinstance(seller.deposits, RepaysWhatItHas)
    assert not await seller.deposits.has(repayment(second))
    assert await seller.deposits.has(repayment(first))


async def test_stripe_refunds_whole_cents(hire: Hire, buyer: Payer) -> None:
    """What is none is refused before anything is written."""
    seller = hire(pool=1)
    seller.sell("0.02")
    await seller.open()
    payment = await sold(seller, buyer)
    with pytest.raises(RefundError, match="whole cents"):
        await seller.charge.draft_repayment(repayment(payment, amount=CENT - 1))


async def test_a_stripe_that_cannot_be_asked_is_not_gone_around(
    hire: Hire, buyer: Payer, world: World, purse: PrivateKey
) -> None:
    """It may have the money, so the seller's is not sent in its place."""
    seller = hire(pool=1, refund_account=purse)
    seller.sell("0.02")
    await seller.open()
    payment = await sold(seller, buyer)
    await world.stripe.fault("rate_limit", method="GET", path="/v1/payment_intents*", times=5)
    with pytest.raises(RefundError, match="cannot be asked"):
        await seller.charge.draft_repayment(repayment(payment))


async def drawn(seller: Seller) -> Challenge:
    """A challenge with an address of its own."""
    offer = seller.sell()
    await seller.open()
    return await seller.asked(offer)
