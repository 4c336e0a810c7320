"""Payments and refunds for people and for programs. What is kept for recovery is never shown."""

from __future__ import annotations

from collections.abc import Sequence

from coinslot.cli.output import print_table
from coinslot.cli.payments.lookup import SHORT, handle
from coinslot.cli.payments.money import unit_of
from coinslot.cli.payments.times import exact_time, minute, short_time
from coinslot.errors import ProtocolError
from coinslot.payments.payment import Payment
from coinslot.payments.refunds import Refund
from coinslot.protocol import JSONObject, decode_object

_ADDRESS = 16
"""Characters from which on a payer is shortened in a table."""


def describe(payment: Payment) -> JSONObject:
    """A payment as --json and JSON lines have it. Every member is always there; base units are strings."""
    unit = unit_of(payment.method, payment.currency)
    return {
        "challenge_id": payment.challenge_id,
        "state": payment.state.value,
        "disputed": payment.disputed,
        "created_at": exact_time(payment.created_at),
        "settled_at": exact_time(payment.settled_at),
        "delivered_at": exact_time(payment.delivered_at),
        "method": payment.method,
        "intent": payment.intent,
        "route": payment.route,
        "amount": unit.amount(payment.amount),
        "base_units": str(payment.amount),
        "asset": unit.symbol,
        "currency": payment.currency,
        "reference": payment.reference,
        "payer": payment.payer,
        "recipient": payment.recipient,
        "external_id": payment.external_id,
        "attempts": payment.attempts,
        "reason": payment.reason,
    }


def describe_refund(payment: Payment, refund: Refund) -> JSONObject:
    """A refund of `payment`, in the same way."""
    return {
        "id": refund.id,
        "state": refund.state.value,
        "created_at": exact_time(refund.created_at),
        "updated_at": exact_time(refund.updated_at),
        "amount": unit_of(payment.method, payment.currency).amount(refund.amount),
        "base_units": str(refund.amount),
        "reference": refund.reference,
        "reason": refund.reason,
    }


def describe_all(payment: Payment, refunds: Sequence[Refund]) -> JSONObject:
    """Everything there is of one payment."""
    return {
        **describe(payment),
        "expires_at": exact_time(payment.expires_at),
        "proof_key": payment.proof_key,
        "fingerprint": payment.fingerprint.hex(),
        "receipt": _receipt(payment),
        "revision": payment.revision,
        "refunds": [describe_refund(payment, refund) for refund in refunds],
    }


def print_payments(payments: Sequence[Payment]) -> None:
    """A line each. A disputed one has an exclamation mark."""
    print_table(
        [
            (
                handle(payment)[:SHORT],
                minute(payment.created_at),
                payment.method,
                money(payment, payment.amount),
                f"{payment.state} !" if payment.disputed else payment.state,
                payment.route,
                _shortened(payment.payer),
            )
            for payment in payments
        ],
        headings=("ID", "MADE (UTC)", "METHOD", "AMOUNT", "STATE", "ROUTE", "PAYER"),
        numbers=["AMOUNT"],
        folds=False,
    )


def print_payment(payment: Payment, refunds: Sequence[Refund]) -> None:
    """Everything there is of one, and its refunds."""
    unit = unit_of(payment.method, payment.currency)
    rows = [
        ("ID", payment.challenge_id),
        ("State", f"{payment.state}, disputed" if payment.disputed else payment.state),
        ("Reason", payment.reason),
        ("Amount", money(payment, payment.amount)),
        ("Currency", None if unit.name.lower() == payment.currency.lower() else payment.currency),
        ("For", payment.route),
        ("Your reference", payment.external_id),
        ("By", f"{payment.method}/{payment.intent}"),
        ("Reference", payment.reference),
        ("From", payment.payer),
        ("To", payment.recipient),
        ("Made", short_time(payment.created_at)),
        ("To be paid by", short_time(payment.expires_at)),
        ("Settled", short_time(payment.settled_at)),
        ("Delivered", short_time(payment.delivered_at)),
        ("Deliveries", str(payment.attempts)),
        ("Proof", payment.proof_key),
    ]
    for refund in refunds:
        words = (short_time(refund.updated_at), refund.reference, refund.reason)
        what = f"{money(payment, refund.amount)} {refund.state}"
        rows.append((f"Refund {refund.id}", ", ".join([what, *filter(None, words)])))
    print_table([(name, str(value)) for name, value in rows if value])


def money(payment: Payment, base_units: int) -> str:
    """Base units of the payment's currency, for people."""
    return unit_of(payment.method, payment.currency).display(base_units)


def _shortened(payer: str | None) -> str:
    if payer is None or len(payer) < _ADDRESS:
        return payer or ""
    return f"{payer[:6]}…{payer[-4:]}"


def _receipt(payment: Payment) -> JSONObject | None:
    try:
        return None if payment.receipt is None else decode_object(payment.receipt)
    except ProtocolError:
        return None
