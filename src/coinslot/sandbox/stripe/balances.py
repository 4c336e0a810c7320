"""What payments and refunds do to an account's balance."""

from __future__ import annotations

from collections import Counter
from typing import Final

from coinslot.sandbox.stripe import money
from coinslot.sandbox.stripe.identifiers import new_id
from coinslot.sandbox.stripe.shapes import Balance, BalanceTransaction, Charge, Dispute, Refund
from coinslot.sandbox.stripe.shapes.accounts import Funds
from coinslot.sandbox.stripe.shapes.charge import FeeDetail
from coinslot.sandbox.stripe.state import State

PENDING_FOR: Final = 2 * 24 * 3600
"""Seconds until what was paid is available."""


def credit(state: State, account: str, charge: Charge) -> BalanceTransaction:
    """Put a captured charge on the balance."""
    crypto = is_crypto(charge)
    fee = money.fee(charge.amount_captured, crypto=crypto)
    return state.add(
        BalanceTransaction(
            id=new_id("txn"),
            created=state.now,
            amount=charge.amount_captured,
            available_on=state.now + PENDING_FOR,
            currency=charge.currency,
            description=charge.description,
            fee=fee,
            fee_details=[FeeDetail(amount=fee, currency=charge.currency)] if fee else [],
            net=charge.amount_captured - fee,
            reporting_category="charge",
            source=charge.id,
            status="pending",
            type="payment" if crypto else "charge",
        ),
        account,
    )


def debit(state: State, account: str, refund: Refund, charge: Charge) -> BalanceTransaction:
    """Take a refund from the balance. Stripe keeps its fee."""
    return state.add(
        BalanceTransaction(
            id=new_id("txn"),
            created=state.now,
            amount=-refund.amount,
            available_on=state.now + PENDING_FOR,
            currency=refund.currency,
            description=f"REFUND FOR {'PAYMENT' if is_crypto(charge) else 'CHARGE'}",
            fee=0,
            fee_details=[],
            net=-refund.amount,
            reporting_category="refund",
            source=refund.id,
            status="pending",
            type="payment_refund" if is_crypto(charge) else "refund",
        ),
        account,
    )


def adjust(state: State, account: str, cause: Dispute | Refund, amount: int) -> BalanceTransaction:
    """Take what a dispute is about, or put it, or a refund that failed, back."""
    is_refund = isinstance(cause, Refund)
    return state.add(
        BalanceTransaction(
            id=new_id("txn"),
            created=state.now,
            amount=amount,
            available_on=state.now,
            currency=cause.currency,
            description="REFUND FAILURE" if is_refund else f"Chargeback for {cause.charge}",
            fee=0,
            fee_details=[],
            net=amount,
            reporting_category="refund_failure" if is_refund else "dispute",
            source=cause.id,
            status="available",
            type="refund_failure" if is_refund else "adjustment",
        ),
        account,
    )


def is_crypto(charge: Charge) -> bool:
    """Whether a charge was paid with a deposit."""
    return charge.payment_method_details is not None and charge.payment_method_details.type == "crypto"


def aged(state: State, transaction: BalanceTransaction) -> BalanceTransaction:
    """The transaction as it is now: it becomes available by itself."""
    if transaction.available_on <= state.now:
        transaction.status = "available"
    return transaction


def balance(state: State, account: str) -> Balance:
    """What the account has, in each currency that it was paid in."""
    sums: dict[str, Counter[str]] = {"available": Counter(), "pending": Counter()}
    for transaction in state.all(BalanceTransaction, account):
        sums[aged(state, transaction).status][transaction.currency] += transaction.net
    return Balance(available=_funds(sums["available"]), pending=_funds(sums["pending"]))


def _funds(amounts: Counter[str]) -> list[Funds]:
    amounts.setdefault("usd", 0)
    return [Funds(amount, currency, {"card": amount}) for currency, amount in sorted(amounts.items())]
