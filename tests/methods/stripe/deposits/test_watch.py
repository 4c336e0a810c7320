"""The watch on the chain: which transfers are payments, and what becomes of those that are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace

from coinslot.methods.tempo.keys import parse_address
from coinslot.methods.tempo.networks import TESTNET
from coinslot.methods.tempo.node import Node
from coinslot.methods.tempo.rpc import Rpc
from coinslot.methods.tempo.wire import Call, transfer
from coinslot.payments.events import PaymentUnapplied
from coinslot.payments.ledger import Ledger
from coinslot.payments.payment import State
from coinslot.protocol import Challenge
from deposit_shop import HOUR, OVER, Hire, Payer, Seller, World, recipient, unapplied
from faulty_node import answers, drops, refuses
from faulty_stripe import FaultyStripe
from tempo_payments import unsigned


@dataclass
class Sale:
    """A seller, and a challenge that asks to pay to a deposit address."""

    seller: Seller
    challenge: Challenge
    events: list[PaymentUnapplied]


@pytest.fixture
async def sale(hire: Hire) -> Sale:
    """One address in the pool, and it is drawn."""
    seller = hire(pool=1, reusable=False)
    events: list[PaymentUnapplied] = []
    seller.events.subscribe(PaymentUnapplied, events.append)  # type: ignore[arg-type]  # it returns None
    offer = seller.sell()
    await seller.open()
    return Sale(seller, await seller.asked(offer), events)


async def over(sale: Sale) -> None:
    """Long after it."""
    for _ in range(3):
        await sale.seller.world.later(OVER / 2)
        await sale.seller.tend()


async def test_another_token_is_unapplied(sale: Sale, buyer: Payer, world: World, ledger: Ledger) -> None:
    """With its own amount and currency, so that the very same can be sent back; and once, however often the
    chain is looked at.
    """
    alpha = TESTNET.tokens[1].address
    transaction = await buyer.pay(sale.challenge, token=alpha)
    await over(sale)
    await over(sale)
    (kept,) = await unapplied(ledger)
    assert (kept.currency, kept.amount, kept.reference) == (alpha, 10_000, transaction)
    assert kept.reason is not None
    assert alpha in kept.reason
    assert [event.payment for event in sale.events] == [kept]
    assert await world.intents("requires_action") != []  # another one has taken its place
    assert len(await world.intents("canceled")) == 1


async def test_the_exact_amount_that_nobody_showed_is_unapplied(
    sale: Sale, buyer: Payer, world: World, ledger: Ledger
) -> None:
    """Its payer has vanished. Stripe has matched the money, so it can be sent back from there."""
    await buyer.pay(sale.challenge)
    await world.later(HOUR)
    await sale.seller.tend()
    assert await unapplied(ledger) == []
    await over(sale)
    (kept,) = await unapplied(ledger)
    assert kept.amount == 10_000
    assert len(await world.intents("succeeded")) == 1
    assert await world.intents("canceled") == []


async def test_a_payment_that_is_shown_late_is_labelled_all_the_same(
    sale: Sale, buyer: Payer, world: World, ledger: Ledger
) -> None:
    """Stripe has matched the money long before anybody comes with it."""
    transaction = await buyer.pay(sale.challenge)
    await world.later(HOUR / 2)
    await sale.seller.tend()
    await sale.seller.take(sale.challenge, transaction, buyer.key.address)
    await over(sale)
    (paid,) = await world.intents("succeeded")
    assert paid["metadata"]["mpp_challenge_id"] == sale.challenge.id
    assert await unapplied(ledger) == []


async def test_a_payment_that_is_not_decided_is_waited_for(sale: Sale, buyer: Payer, ledger: Ledger) -> None:
    """However long it takes: it may be the transfer's."""
    transaction = await buyer.pay(sale.challenge)
    settled = await sale.seller.take(sale.challenge, transaction, buyer.key.address)
    unknown = replace(settled, state=State.UNKNOWN, revision=settled.revision + 1)
    assert await ledger.replace(settled, unknown)
    await over(sale)
    assert await unapplied(ledger) == []
    assert await ledger.replace(unknown, replace(settled, revision=unknown.revision + 1))
    await over(sale)
    assert await unapplied(ledger) == []


async def test_what_was_kept_as_unapplied_already_is_not_kept_again(
    sale: Sale, buyer: Payer, ledger: Ledger
) -> None:
    """Its payer showed it, and was told that it is not what was asked for."""
    transaction = await buyer.pay(sale.challenge, amount=9_999)
    settled = await sale.seller.take(sale.challenge, transaction, buyer.key.address)
    kept = replace(settled, state=State.UNAPPLIED, amount=9_999, revision=settled.revision + 1)
    assert await ledger.replace(settled, kept)
    await over(sale)
    assert await unapplied(ledger) == [kept]


async def test_the_same_transfer_twice_in_one_transaction_pays_once(
    sale: Sale, buyer: Payer, world: World, ledger: Ledger
) -> None:
    """The other one is unapplied."""
    good = unsigned(sale.challenge)
    again = Call(parse_address(TESTNET.currency.address), 0, transfer(recipient(sale.challenge), 10_000))
    signed = replace(good, calls=(*good.calls, again)).sign(buyer.key)
    node = Node(Rpc(world.node.url))
    receipt = await node.send(signed, 10)
    await node.aclose()
    assert receipt is not None
    await sale.seller.take(sale.challenge, receipt.hash, buyer.key.address)
    await over(sale)
    (kept,) = await unapplied(ledger)
    assert (kept.amount, kept.reference) == (10_000, receipt.hash)


@pytest.mark.parametrize(
    "behaviour", [drops, refuses(-32005, "no"), answers([{"topics": 1}]), answers("logs")]
)
async def test_a_chain_that_does_not_answer_frees_nothing(
    sale: Sale, buyer: Payer, world: World, ledger: Ledger, behaviour: Any
) -> None:
    """Silence is not "nothing came". When it answers, all that happened meanwhile is seen."""
    await buyer.pay(sale.challenge, amount=9_999)
    world.node.behaviours["eth_getLogs"] = behaviour
    for _ in range(3):
        await world.later(OVER / 2)
        await sale.seller.tend(2)
    assert await sale.seller.ask(sale.seller.sell()) is None
    del world.node.behaviours["eth_getLogs"]
    await over(sale)
    assert len(await unapplied(ledger)) == 1


async def test_a_chain_that_is_behind_frees_nothing(sale: Sale, world: World, way: FaultyStripe) -> None:
    """The clock is past the grace; the chain has not got there."""
    world.node.behaviours.pop("eth_getBlockByNumber")
    await over(sale)
    assert await sale.seller.ask(sale.seller.sell()) is None


async def test_a_paymentintent_that_stripe_ended_is_replaced(sale: Sale, world: World) -> None:
    """Nobody is sent to an address at which nothing waits any more."""
    (intent,) = await world.intents("requires_action")
    await world.stripe.ask("POST", f"/v1/payment_intents/{intent['id']}/cancel", world.keys)
    await over(sale)
    again = await sale.seller.asked(sale.seller.sell())
    assert recipient(again) != recipient(sale.challenge)


async def test_a_payment_that_stripe_does_not_see_is_an_error(
    sale: Sale, buyer: Payer, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """It is settled, as the chain says. That the PaymentIntent was ended before, the seller is told."""
    (intent,) = await world.intents("requires_action")
    await world.stripe.ask("POST", f"/v1/payment_intents/{intent['id']}/cancel", world.keys)
    transaction = await buyer.pay(sale.challenge)
    await sale.seller.take(sale.challenge, transaction, buyer.key.address)
    await over(sale)
    assert f"{intent['id']} is canceled, and the chain has a payment to its address" in caplog.text
