"""What the pages show, taken from the state."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec import Struct

from coinslot.sandbox.stripe import accounts, faults, money, networks, refunding
from coinslot.sandbox.stripe.accounts import Keys
from coinslot.sandbox.stripe.lists import ListParameters, page
from coinslot.sandbox.stripe.shapes import (
    BalanceTransaction,
    Charge,
    Event,
    PaymentIntent,
    PaymentMethod,
    Refund,
    WebhookEndpoint,
)
from coinslot.sandbox.stripe.shapes.payment_intent import CryptoDisplayDetails, NetworkAddress
from coinslot.sandbox.stripe.shapes.payment_method import Card
from coinslot.sandbox.stripe.shapes.private import Attempt, Deposit, DepositWallet, Fault
from coinslot.sandbox.stripe.state import State

PAGE: Final = 25
"""Payments on one page."""

TABS: Final = ("all", "succeeded", "incomplete", "failed", "refunded", "canceled")

_BATCH: Final = 100


class Payment(Struct, kw_only=True):
    """A line of the list. `state` is a tab's name, `label` what is said of it."""

    id: str
    amount: str
    state: str
    label: str
    method: str
    description: str
    created: int


class Payments(Struct, kw_only=True):
    """A page of the list. `following` is the cursor of the next."""

    payments: list[Payment]
    following: str | None


class Details(Struct, kw_only=True):
    """All about one payment."""

    payment: Payment
    account: Keys
    intent: PaymentIntent
    charge: Charge | None
    fee: str | None
    net: str | None
    refundable: bool
    addresses: dict[str, NetworkAddress]
    waits_for_payer: bool
    token: str | None
    refunds: list[Refund]
    deposits: list[Deposit]
    events: list[Event]


class Delivery(Struct, kw_only=True):
    """A webhook that was sent, or is to be."""

    event: str
    type: str
    url: str
    attempts: int
    outcome: str
    waits: bool


class Developers(Struct, kw_only=True):
    """What a developer asks for."""

    accounts: list[Keys]
    endpoints: list[WebhookEndpoint]
    deliveries: list[Delivery]
    events: list[Event]
    faults: list[Fault]


def payments(state: State, account: str, tab: str, after: str | None) -> Payments:
    """The account's payments in a tab, newest first, from after a cursor."""
    found: list[Payment] = []
    cursor = after
    while len(found) <= PAGE:
        listing = page(
            state, PaymentIntent, account, ListParameters(limit=_BATCH, starting_after=cursor), "", {}
        )
        for each in listing.data:
            assert isinstance(each, PaymentIntent), "PaymentIntents were asked for"
            line = _line(state, each)
            if tab in ("all", line.state):
                found.append(line)
        if not listing.has_more:
            break
        cursor = listing.data[-1].id
    return Payments(payments=found[:PAGE], following=found[PAGE - 1].id if len(found) > PAGE else None)


def payment(state: State, id_: str) -> Details:
    """All about a payment. Raises `ApiError` if there is none."""
    intent = state.get(PaymentIntent, id_)
    account = state.owner(PaymentIntent, id_)
    charge = None if intent.latest_charge is None else state.find(Charge, intent.latest_charge)
    entry = None
    if charge is not None and charge.balance_transaction is not None:
        entry = state.find(BalanceTransaction, charge.balance_transaction)
    action = intent.next_action
    details = None if action is None else action.crypto_display_details
    attempt = state.find(Attempt, id_)
    return Details(
        payment=_line(state, intent),
        account=next(keys for keys in accounts.all_accounts(state) if keys.account == account),
        intent=intent,
        charge=charge,
        fee=None if entry is None else money.display(entry.fee, entry.currency),
        net=None if entry is None else money.display(entry.net, entry.currency),
        refundable=charge is not None and refunding.refundable(charge) > 0,
        addresses=details.deposit_addresses if isinstance(details, CryptoDisplayDetails) else {},
        waits_for_payer=action is not None and action.type != "crypto_display_details",
        token=None if attempt is None else attempt.token,
        refunds=state.all(Refund, account, payment_intent=id_),
        deposits=_deposits(state, account, intent),
        events=_events(state, account, intent),
    )


def developers(state: State) -> Developers:
    """What a developer asks for."""
    parameters = ListParameters(limit=50)
    recent = [each for each in page(state, Event, None, parameters, "", {}).data if isinstance(each, Event)]
    return Developers(
        accounts=accounts.all_accounts(state),
        endpoints=state.all(WebhookEndpoint),
        deliveries=_deliveries(state),
        events=recent,
        faults=faults.pending(state),
    )


def moment(seconds: int) -> str:
    """Such as `3 Nov 2026, 21:51:48 UTC`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%-d %b %Y, %H:%M:%S UTC")


def _line(state: State, intent: PaymentIntent) -> Payment:
    charge = None if intent.latest_charge is None else state.find(Charge, intent.latest_charge)
    where, label = _standing(intent, charge)
    return Payment(
        id=intent.id,
        amount=money.display(intent.amount, intent.currency),
        state=where,
        label=label,
        method=_method(state, intent, charge),
        description=intent.description or "",
        created=intent.created,
    )


def _standing(intent: PaymentIntent, charge: Charge | None) -> tuple[str, str]:
    """The tab that a payment is in, and what is said of it."""
    if intent.status == "succeeded":
        if charge is None or charge.amount_refunded == 0:
            return "succeeded", "Succeeded"
        return "refunded", "Refunded" if charge.refunded else "Partially refunded"
    if intent.status == "canceled":
        return "canceled", "Expired" if intent.cancellation_reason == "expired" else "Canceled"
    if intent.status == "requires_payment_method" and intent.last_payment_error is not None:
        return "failed", "Failed"
    labels = {"processing": "Processing", "requires_capture": "Uncaptured"}
    return "incomplete", labels.get(intent.status, "Incomplete")


def _method(state: State, intent: PaymentIntent, charge: Charge | None) -> str:
    id_ = intent.payment_method or (charge.payment_method if charge is not None else None)
    method = None if id_ is None else state.find(PaymentMethod, id_)
    if method is None:
        return ""
    if isinstance(method.card, Card):
        return f"{method.card.brand.capitalize()} •••• {method.card.last4}"
    return method.type.capitalize()


def _deposits(state: State, account: str, intent: PaymentIntent) -> list[Deposit]:
    """The transfers that came to the payment's own addresses, whether they paid it or not."""
    return [
        deposit
        for deposit in state.all(Deposit, account)
        if deposit.payment_intent == intent.id or _address_of(state, deposit) == intent.id
    ]


def _address_of(state: State, deposit: Deposit) -> str | None:
    """Whose own address a deposit came to."""
    wallet = state.find(DepositWallet, networks.key_of(deposit.network, deposit.address))
    return None if wallet is None else wallet.payment_intent


def _events(state: State, account: str, intent: PaymentIntent) -> list[Event]:
    """What happened to a payment, its charges and its refunds, newest first."""
    rows = state.sql.execute(
        "SELECT body FROM objects WHERE kind = ? AND account = ? AND ? IN "
        "(json_extract(body, '$.data.object.id'), json_extract(body, '$.data.object.payment_intent')) "
        "ORDER BY sequence DESC",
        (Event.KIND, account, intent.id),
    )
    return [msgspec.json.decode(body, type=Event) for (body,) in rows]


def _deliveries(state: State) -> list[Delivery]:
    rows = state.sql.execute(
        "SELECT event, endpoint, attempts, outcome, due FROM deliveries ORDER BY sequence DESC LIMIT 50"
    ).fetchall()
    found = []
    for event, endpoint, attempts, outcome, due in rows:
        target = state.find(WebhookEndpoint, endpoint)
        found.append(
            Delivery(
                event=event,
                type=state.get(Event, event).type,
                url=endpoint if target is None else target.url,
                attempts=attempts,
                outcome=outcome,
                waits=due is not None,
            )
        )
    return found
