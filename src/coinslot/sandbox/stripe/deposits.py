"""Deposit mode: a PaymentIntent waits for exactly its amount, in the right token, at an address of its own.

    requires_action ─► processing ─► succeeded       an exact transfer was seen, or a success simulated
           │                ╰──────► requires_payment_method       a failure was simulated
           ╰──► canceled (expired)

Anything else that arrives is kept as a `Deposit`, with the reason why it paid nothing. It is not returned.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from coinslot.sandbox.stripe import charging, events, intents, money, networks
from coinslot.sandbox.stripe.cards import Outcome
from coinslot.sandbox.stripe.errors import invalid
from coinslot.sandbox.stripe.shapes import Charge, PaymentIntent, PaymentMethod
from coinslot.sandbox.stripe.shapes.charge import ChargedCrypto
from coinslot.sandbox.stripe.shapes.payment_intent import CryptoDisplayDetails, NetworkAddress, NextAction
from coinslot.sandbox.stripe.shapes.private import Deposit, DepositWallet, RecordedTransfer
from coinslot.sandbox.stripe.state import State

EXPIRE: Final = "deposit.expire"
SETTLE: Final = "deposit.settle"
FAIL: Final = "deposit.fail"
"""The timers' names for `expire` and `finish`."""

_FAILED: Final = Outcome(
    result="declined",
    code="payment_intent_payment_attempt_failed",
    message="The crypto deposit could not be validated.",
)


class SeenTransfer(Struct, frozen=True, kw_only=True):
    """A transfer on a chain. `amount` is in base units; `place` tells the logs of a transaction apart."""

    network: str
    transaction_hash: str
    place: str
    token: str
    sender: str
    recipient: str
    amount: int


def open_deposit(
    state: State, account: str, intent: PaymentIntent, wanted: list[str], *, static: bool
) -> None:
    """Have the PaymentIntent wait for a deposit on one of the networks.

    `static` takes the customer's permanent address, and not a new one. Raises `ApiError`.
    """
    if static and intent.customer is None:
        raise invalid("A customer is required for a static address.", param="customer")
    addresses = {}
    for network in wanted:
        wallet = _static(state, account, intent, network) if static else _own(state, account, intent, network)
        addresses[network] = NetworkAddress(
            address=wallet.address,
            supported_tokens=networks.supported_tokens(network, state.settings.tokens),
        )
    action = NextAction(type="crypto_display_details", crypto_display_details=CryptoDisplayDetails(addresses))
    intents.require_action(state, account, intent, action)
    state.later(state.moment + state.settings.deposit_lifetime, EXPIRE, intent.id)


def add_wallet(
    state: State, account: str, network: str, *, payment_intent: str | None = None
) -> DepositWallet:
    """A new address of the account's."""
    wallet = networks.new_wallet(network)
    kept = DepositWallet(
        id=networks.key_of(network, wallet.address),
        created=state.now,
        network=network,
        address=wallet.address,
        private_key=wallet.private_key,
        payment_intent=payment_intent,
    )
    return state.add(kept, account)


def see(state: State, seen: SeenTransfer) -> Deposit | None:
    """Take note of a transfer on the chain. None if it is not to an address of ours, or known already."""
    wallet = state.find(DepositWallet, networks.key_of(seen.network, seen.recipient))
    id_ = f"{seen.network}:{seen.transaction_hash}:{seen.place}"
    if wallet is None or state.find(Deposit, id_) is not None:
        return None
    account = state.owner(DepositWallet, wallet.id)
    deposit = Deposit(
        id=id_,
        created=state.now,
        network=seen.network,
        transaction_hash=seen.transaction_hash,
        token=seen.token,
        sender=seen.sender,
        address=wallet.address,
        amount=seen.amount,
    )
    intent = _paid_by(state, account, wallet, seen)
    if isinstance(intent, str):
        deposit.note = intent
    else:
        deposit.payment_intent = intent.id
        crypto = ChargedCrypto(
            amount_received=intent.amount,
            amount_requested=intent.amount,
            buyer_address=seen.sender,
            network=seen.network,
            token_currency=money.STABLECOIN,
            transaction_hash=seen.transaction_hash,
        )
        receive(state, account, intent, crypto, succeeds=True)
    return state.add(deposit, account)


def receive(
    state: State, account: str, intent: PaymentIntent, crypto: ChargedCrypto, *, succeeds: bool
) -> None:
    """A deposit was seen: it is settled, or fails, after a moment."""
    charge = charging.begin(state, account, intent, _method(state, intent), crypto=crypto)
    events.record(state, account, "charge.pending", charge)
    intents.process(state, account, intent)
    action = SETTLE if succeeds else FAIL
    state.later(state.moment + state.settings.settle_after, action, intent.id)


def record(state: State, account: str, intent: PaymentIntent, crypto: ChargedCrypto) -> None:
    """A transfer that was made before the PaymentIntent pays it at once."""
    charge = charging.begin(state, account, intent, _method(state, intent), crypto=crypto)
    intents.succeed(state, account, intent, charging.succeed(state, account, charge))


def finish(state: State, id_: str, result: Literal["succeeds", "fails"]) -> None:
    """What `receive` announced. Does nothing if the PaymentIntent no longer waits for it."""
    intent = state.get(PaymentIntent, id_)
    if intent.status != "processing" or intent.latest_charge is None:
        return
    account = state.owner(PaymentIntent, id_)
    charge = state.get(Charge, intent.latest_charge)
    if result == "succeeds":
        intents.succeed(state, account, intent, charging.succeed(state, account, charge))
    else:
        charging.fail(state, account, charge, _FAILED)
        intents.fail(state, account, intent, _FAILED, charge=charge)


def expire(state: State, id_: str) -> None:
    """Cancel a PaymentIntent that still waits for its deposit."""
    intent = state.get(PaymentIntent, id_)
    if intent.next_action is not None and intent.next_action.type == "crypto_display_details":
        intents.cancel(state, state.owner(PaymentIntent, id_), intent, "expired")


def _paid_by(state: State, account: str, wallet: DepositWallet, seen: SeenTransfer) -> PaymentIntent | str:
    """The PaymentIntent that a transfer pays, or why there is none."""
    if state.find(RecordedTransfer, networks.key_of(seen.network, seen.transaction_hash)) is not None:
        return "recorded by a PaymentIntent"
    if seen.token.lower() != networks.token_of(seen.network, state.settings.tokens).lower():
        return "not a token that is taken here"
    if wallet.payment_intent is not None:
        candidates = [state.get(PaymentIntent, wallet.payment_intent)]
        otherwise = "its PaymentIntent does not wait for it"
    else:
        candidates = state.all(PaymentIntent, account, status="requires_action")
        otherwise = "to be recorded by a PaymentIntent"
    waiting = [each for each in candidates if each.status == "requires_action" and _waits_at(each, wallet)]
    if not waiting:
        return otherwise
    exact = [each for each in waiting if each.amount * money.UNITS_PER_CENT == seen.amount]
    return exact[0] if exact else "not the exact amount"


def _waits_at(intent: PaymentIntent, wallet: DepositWallet) -> bool:
    if intent.next_action is None or not isinstance(
        intent.next_action.crypto_display_details, CryptoDisplayDetails
    ):
        return False
    here = intent.next_action.crypto_display_details.deposit_addresses.get(wallet.network)
    return here is not None and here.address == wallet.address


def _own(state: State, account: str, intent: PaymentIntent, network: str) -> DepositWallet:
    return add_wallet(state, account, network, payment_intent=intent.id)


def _static(state: State, account: str, intent: PaymentIntent, network: str) -> DepositWallet:
    """The address that the customer has on a network, which is made when it is first asked for."""
    name = f"static:{account}:{intent.customer}:{network}"
    known = state.note(name)
    if known is not None:
        return state.get(DepositWallet, known)
    wallet = add_wallet(state, account, network)
    state.keep_note(name, wallet.id)
    return wallet


def _method(state: State, intent: PaymentIntent) -> PaymentMethod:
    assert intent.payment_method is not None, "what was confirmed has a payment method"
    return state.get(PaymentMethod, intent.payment_method)
