"""The journal: one log line for each thing that happens to a payment, with what it can be found by.

On the logger `coinslot.payments`, as text and, for structured logs, as `extra`. Never a credential, a proof
or a payer: references and challenge ids are public.
"""

from __future__ import annotations

import logging
from typing import Final

from coinslot.payments.events import (
    Event,
    Events,
    PaymentDelivered,
    PaymentDisputed,
    PaymentFailed,
    PaymentSettled,
    PaymentUnapplied,
    PaymentUndelivered,
    PaymentUnknown,
    RefundEnded,
)
from coinslot.payments.payment import Payment
from coinslot.payments.refunds import RefundState

logger = logging.getLogger("coinslot.payments")

_KINDS: Final[tuple[type[Event], ...]] = (
    PaymentSettled,
    PaymentDelivered,
    PaymentFailed,
    PaymentUnknown,
    PaymentUndelivered,
    PaymentUnapplied,
    PaymentDisputed,
    RefundEnded,
)


def keep_journal(events: Events) -> None:
    """Write a line for each of these events from now on."""
    for kind in _KINDS:
        events.subscribe(kind, _write)


def _write(event: Event) -> None:
    match event:
        case PaymentSettled(payment) | PaymentDelivered(payment) | PaymentUnknown(payment):
            _line(logging.INFO, payment, str(payment.state))
        case PaymentFailed(payment):
            _line(logging.INFO, payment, f"failed ({payment.reason})")
        case PaymentUndelivered(payment):
            _line(logging.WARNING, payment, "undelivered: a refund is due")
        case PaymentUnapplied(payment):
            _line(logging.WARNING, payment, f"unapplied ({payment.reason}): a refund is due")
        case PaymentDisputed(payment):
            _line(logging.WARNING, payment, "disputed" if payment.disputed else "no longer disputed")
        case RefundEnded(payment, refund):
            level = logging.INFO if refund.state is RefundState.DONE else logging.WARNING
            _line(level, payment, f"refund {refund.id} of {refund.amount} is {refund.state}")


def _line(level: int, payment: Payment, what: str) -> None:
    if not logger.isEnabledFor(level):
        return
    logger.log(
        level,
        "payment %s %s: %d %s by %s/%s for %s, challenge %s",
        payment.reference,
        what,
        payment.amount,
        payment.currency,
        payment.method,
        payment.intent,
        payment.route or "nothing",
        payment.challenge_id,
        extra={
            "payment_reference": payment.reference,
            "challenge_id": payment.challenge_id,
            "payment_state": str(payment.state),
        },
    )
