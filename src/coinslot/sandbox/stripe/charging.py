"""Charges: one attempt to pay a PaymentIntent."""

from __future__ import annotations

from coinslot.sandbox.stripe import balances, cards, disputes, events
from coinslot.sandbox.stripe.cards import Outcome
from coinslot.sandbox.stripe.identifiers import new_id
from coinslot.sandbox.stripe.shapes import Charge, PaymentIntent, PaymentMethod, charge as shape
from coinslot.sandbox.stripe.shapes.payment_method import Card
from coinslot.sandbox.stripe.state import State


def begin(
    state: State,
    account: str,
    intent: PaymentIntent,
    method: PaymentMethod,
    *,
    crypto: shape.ChargedCrypto | None = None,
) -> Charge:
    """A pending charge of all of the PaymentIntent, to `method`. `crypto` is the transfer, for a deposit."""
    charge = Charge(
        id=new_id("py" if crypto is not None else "ch"),
        created=state.now,
        amount=intent.amount,
        application_fee_amount=intent.application_fee_amount,
        billing_details=method.billing_details,
        calculated_statement_descriptor="COINSLOT SANDBOX",
        currency=intent.currency,
        customer=intent.customer,
        description=intent.description,
        metadata=dict(intent.metadata),
        on_behalf_of=intent.on_behalf_of,
        payment_intent=intent.id,
        payment_method=method.id,
        payment_method_details=_details(method, intent.amount, crypto),
        receipt_email=intent.receipt_email,
        shipping=intent.shipping,
        statement_descriptor=intent.statement_descriptor,
        statement_descriptor_suffix=intent.statement_descriptor_suffix,
        status="pending",
        transfer_data=intent.transfer_data,
        transfer_group=intent.transfer_group,
    )
    intent.latest_charge = charge.id
    return state.add(charge, account)


def succeed(state: State, account: str, charge: Charge, *, capture: bool = True) -> Charge:
    """The money is there, or, without `capture`, reserved."""
    charge.status = "succeeded"
    charge.paid = True
    charge.outcome = shape.Outcome(risk_score=12)
    charge.receipt_url = f"{state.settings.public_url}/payments/{charge.payment_intent}"
    if capture:
        _capture(state, account, charge, charge.amount)
    state.save(charge)
    events.record(state, account, "charge.succeeded", charge)
    _begin_trouble(state, charge)
    return charge


def fail(state: State, account: str, charge: Charge, outcome: Outcome) -> Charge:
    """The bank, or the chain, said no."""
    charge.status = "failed"
    charge.failure_code = outcome.code
    charge.failure_message = outcome.message
    charge.outcome = shape.Outcome(
        advice_code=outcome.advice,
        network_advice_code=None,
        network_decline_code="01" if outcome.decline_code is not None else None,
        network_status="declined_by_network",
        reason=outcome.decline_code or outcome.code,
        risk_score=12,
        seller_message="The bank did not return any further details with this decline.",
        type="issuer_declined",
    )
    state.save(charge)
    events.record(state, account, "charge.failed", charge)
    return charge


def capture_reserved(state: State, account: str, charge: Charge, amount: int) -> Charge:
    """Take `amount` of what was reserved. The rest goes back."""
    _capture(state, account, charge, amount)
    charge.amount_refunded = charge.amount - amount
    state.save(charge)
    events.record(state, account, "charge.captured", charge)
    return charge


def release(state: State, account: str, charge: Charge) -> Charge:
    """Give back all that was reserved."""
    charge.amount_refunded = charge.amount
    charge.refunded = True
    state.save(charge)
    events.record(state, account, "charge.refunded", charge)
    return charge


def _begin_trouble(state: State, charge: Charge) -> None:
    """Some cards are charged, and disputed afterwards."""
    assert charge.payment_method is not None, "it was charged"
    actions = {"dispute": disputes.OPEN, "inquiry": disputes.INQUIRE}
    action = actions.get(cards.outcome_of(state, charge.payment_method).later or "")
    if action is not None:
        state.later(state.moment + state.settings.settle_after, action, charge.id)


def _capture(state: State, account: str, charge: Charge, amount: int) -> None:
    charge.captured = True
    charge.amount_captured = amount
    charge.balance_transaction = balances.credit(state, account, charge).id


def _details(
    method: PaymentMethod, amount: int, crypto: shape.ChargedCrypto | None
) -> shape.PaymentMethodDetails:
    if crypto is not None:
        return shape.PaymentMethodDetails(type="crypto", crypto=crypto)
    if not isinstance(method.card, Card):
        return shape.PaymentMethodDetails(type="link", link={"country": "US"})
    card = method.card
    charged = shape.ChargedCard(
        amount_authorized=amount,
        brand=card.brand,
        checks=card.checks,
        country=card.country,
        exp_month=card.exp_month,
        exp_year=card.exp_year,
        fingerprint=card.fingerprint,
        funding=card.funding,
        last4=card.last4,
        network=card.brand,
    )
    return shape.PaymentMethodDetails(type="card", card=charged)
