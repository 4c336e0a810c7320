"""Refunds of charges: given at once, a moment later, or on the chain; and those that come back.

succeeded ──► failed: the payer's bank would not have it (pm_card_refundFail)
pending ──► succeeded (pm_card_pendingRefund, and deposits that were real: `payouts`)
"""

from __future__ import annotations

from typing import Final

from msgspec import UNSET

from coinslot.sandbox.stripe import balances, cards, events, payouts
from coinslot.sandbox.stripe.identifiers import new_id
from coinslot.sandbox.stripe.shapes import Charge, Refund, charge as shape
from coinslot.sandbox.stripe.state import State

SUCCEED: Final = "refund.succeed"
"""The timer's name for `succeed`."""

FAIL: Final = "refund.fail"
"""The timer's name for `fail`."""

_AFTERWARDS: Final = {"refunds_wait": SUCCEED, "refunds_fail": FAIL}


def refundable(charge: Charge) -> int:
    """How much of a charge can still be given back."""
    return charge.amount - charge.amount_refunded if charge.captured else 0


def refund(
    state: State,
    account: str,
    charge: Charge,
    amount: int,
    *,
    reason: str | None,
    metadata: dict[str, str],
    reversal: str | None = None,
) -> Refund:
    """Give back `amount`, which is at most `refundable`: at once, later, or by a transfer on the chain.

    `reversal` is the transfer's that is taken back with it.
    """
    crypto = balances.is_crypto(charge)
    wallet = payouts.recipient(state, charge)
    later = _later(state, charge)
    given = Refund(
        id=new_id("pyr" if crypto else "re"),
        created=state.now,
        amount=amount,
        charge=charge.id,
        currency=charge.currency,
        destination_details=_destination(charge),
        metadata=metadata,
        payment_intent=charge.payment_intent,
        reason=reason,
        status="pending" if wallet is not None or later == "refunds_wait" else "succeeded",
        transfer_reversal=reversal,
    )
    given.balance_transaction = balances.debit(state, account, given, charge).id
    charge.amount_refunded += amount
    charge.refunded = charge.amount_refunded == charge.amount
    state.save(charge)
    state.add(given, account)
    if wallet is not None:
        payouts.begin(state, account, given, wallet)
    if later in _AFTERWARDS:
        state.later(state.moment + state.settings.settle_after, _AFTERWARDS[later], given.id)
    events.record(state, account, "refund.created", given)
    events.record(state, account, "charge.refunded", charge)
    return given


def succeed(state: State, id_: str) -> None:
    """A pending refund is through."""
    given = state.get(Refund, id_)
    given.status = "succeeded"
    _tell(state, state.save(given), "refund.updated", "charge.refund.updated")


def fail(state: State, id_: str) -> None:
    """A refund comes back: the charge can be refunded again."""
    given = state.get(Refund, id_)
    account = state.owner(Refund, id_)
    assert given.charge is not None, "it was of a charge"
    charge = state.get(Charge, given.charge)
    charge.amount_refunded -= given.amount
    charge.refunded = False
    state.save(charge)
    given.status = "failed"
    given.failure_reason = "expired_or_canceled_card"
    given.failure_balance_transaction = balances.adjust(state, account, given, given.amount).id
    _tell(state, state.save(given), "refund.failed", "refund.updated", "charge.refund.updated")


def _tell(state: State, given: Refund, *kinds: str) -> None:
    account = state.owner(Refund, given.id)
    for kind in kinds:
        events.record(state, account, kind, given)


def _later(state: State, charge: Charge) -> str:
    assert charge.payment_method is not None, "it was charged"
    return cards.outcome_of(state, charge.payment_method).later or ""


def _destination(charge: Charge) -> shape.DestinationDetails:
    kind = charge.payment_method_details.type if charge.payment_method_details is not None else "card"
    return shape.DestinationDetails(
        type=kind,
        card=shape.RefundedCard() if kind == "card" else UNSET,
        crypto=shape.RefundedCrypto() if kind == "crypto" else UNSET,
        link={} if kind == "link" else UNSET,
    )
