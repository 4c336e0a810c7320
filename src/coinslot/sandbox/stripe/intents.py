"""How a PaymentIntent moves, with the events that tell of it (docs.stripe.com: PaymentIntent lifecycle).

requires_payment_method ─► requires_confirmation ─► requires_action ─► processing ─► succeeded
        ▲                                                │                 │
        ╰────────────── the attempt failed ──────────────┴─────────────────╯
requires_capture: reserved, until captured      canceled: from all but processing and succeeded
"""

from __future__ import annotations

from typing import Final

from coinslot.sandbox.stripe import charging, events, tokens
from coinslot.sandbox.stripe.cards import Outcome
from coinslot.sandbox.stripe.errors import CARD, unexpected_state
from coinslot.sandbox.stripe.expansion import to_json
from coinslot.sandbox.stripe.shapes import Charge, PaymentIntent, PaymentMethod
from coinslot.sandbox.stripe.shapes.payment_intent import NextAction, PaymentError
from coinslot.sandbox.stripe.shapes.private import Attempt
from coinslot.sandbox.stripe.state import State

CANCELABLE: Final = (
    "requires_payment_method",
    "requires_capture",
    "requires_confirmation",
    "requires_action",
)
CONFIRMABLE: Final = ("requires_payment_method", "requires_confirmation", "requires_action")


def check_state(intent: PaymentIntent, allowed: tuple[str, ...], verb: str, past: str) -> None:
    """Raise `ApiError` unless the PaymentIntent is in one of the states."""
    if intent.status not in allowed:
        raise unexpected_state(
            f"You cannot {verb} this PaymentIntent because it has a status of {intent.status}. Only a "
            f"PaymentIntent with one of the following statuses may be {past}: {', '.join(allowed)}.",
            to_json(intent),
        )


def require_action(state: State, account: str, intent: PaymentIntent, action: NextAction) -> None:
    """Wait for the payer."""
    intent.status = "requires_action"
    intent.next_action = action
    intent.last_payment_error = None
    state.save(intent)
    events.record(state, account, "payment_intent.requires_action", intent)


def process(state: State, account: str, intent: PaymentIntent) -> None:
    """The money is on its way."""
    intent.status = "processing"
    intent.next_action = None
    state.save(intent)
    events.record(state, account, "payment_intent.processing", intent)


def succeed(state: State, account: str, intent: PaymentIntent, charge: Charge) -> None:
    """The charge has paid it, or reserved what it asks for."""
    intent.next_action = None
    intent.last_payment_error = None
    intent.latest_charge = charge.id
    if charge.captured:
        intent.status = "succeeded"
        intent.amount_received = charge.amount_captured
        intent.amount_capturable = 0
    else:
        intent.status = "requires_capture"
        intent.amount_capturable = intent.amount
    state.save(intent)
    kind = "succeeded" if charge.captured else "amount_capturable_updated"
    events.record(state, account, f"payment_intent.{kind}", intent)
    attempt = state.find(Attempt, intent.id)
    if attempt is not None:
        tokens.consume(state, attempt.token, charge.amount)


def fail(
    state: State,
    account: str,
    intent: PaymentIntent,
    outcome: Outcome,
    *,
    method: PaymentMethod | None = None,
    charge: Charge | None = None,
) -> None:
    """The attempt failed: another may be made."""
    intent.status = "requires_payment_method"
    intent.next_action = None
    intent.payment_method = None
    intent.last_payment_error = PaymentError(
        type=CARD if outcome.code != "payment_intent_authentication_failure" else "invalid_request_error",
        message=outcome.message,
        code=outcome.code,
        decline_code=outcome.decline_code,
        doc_url=f"https://docs.stripe.com/error-codes#{(outcome.code or '').replace('_', '-')}",
        charge=None if charge is None else charge.id,
        advice_code=outcome.advice,
        payment_method=method,
    )
    state.save(intent)
    events.record(state, account, "payment_intent.payment_failed", intent)


def cancel(state: State, account: str, intent: PaymentIntent, reason: str | None) -> None:
    """End it. What was reserved goes back."""
    if intent.status == "requires_capture" and intent.latest_charge is not None:
        charging.release(state, account, state.get(Charge, intent.latest_charge))
    attempt = state.find(Attempt, intent.id)
    if attempt is not None:
        tokens.release(state, attempt.token, intent)
    intent.status = "canceled"
    intent.canceled_at = state.now
    intent.cancellation_reason = reason
    intent.amount_capturable = 0
    intent.next_action = None
    state.save(intent)
    events.record(state, account, "payment_intent.canceled", intent)


def capture(state: State, account: str, intent: PaymentIntent, amount: int) -> None:
    """Take `amount` of what is reserved."""
    assert intent.latest_charge is not None, "what is reserved has a charge"
    charge = charging.capture_reserved(state, account, state.get(Charge, intent.latest_charge), amount)
    intent.status = "succeeded"
    intent.amount_received = charge.amount_captured
    intent.amount_capturable = 0
    state.save(intent)
    events.record(state, account, "payment_intent.succeeded", intent)
