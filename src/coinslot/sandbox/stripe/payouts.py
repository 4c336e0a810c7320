"""Refunds of deposits, where there is a chain: real transfers to the wallet that paid.

    pending (signed, and written down) ─► sent ─► succeeded, with the transaction as its reference

A payout is signed once and written down before it is sent, so that a restart sends the same transaction again
and no second one. The money comes from an account of the sandbox's own, which the chain's faucet fills: what
was deposited stays where it is.
"""

from __future__ import annotations

import secrets
from typing import Final

from msgspec import UNSET, Struct

from coinslot.methods.tempo.keys import PrivateKey, parse_address
from coinslot.methods.tempo.wire import Call, Transaction, transfer
from coinslot.sandbox.stripe import events, money, networks
from coinslot.sandbox.stripe.shapes import Charge, Refund
from coinslot.sandbox.stripe.shapes.charge import ChargedCrypto, RefundedCrypto
from coinslot.sandbox.stripe.shapes.private import Payout
from coinslot.sandbox.stripe.state import State

NETWORK: Final = "tempo"

_TREASURY: Final = "treasury"
_GAS: Final = 500_000
_PRIORITY_FEE: Final = 10**9
_MAX_FEE: Final = 50 * 10**9


class Due(Struct, frozen=True):
    """What is to be sent, and the address that has to have the money for it."""

    payouts: list[Payout]
    treasury: str


def recipient(state: State, charge: Charge) -> str | None:
    """The wallet that a refund goes to on the chain; None where nothing was paid on one that is watched."""
    details = charge.payment_method_details
    crypto = None if details is None else details.crypto
    if state.settings.chain_id is None or not isinstance(crypto, ChargedCrypto):
        return None
    real = crypto.network == NETWORK and networks.is_transaction(NETWORK, crypto.transaction_hash or "")
    sender = crypto.buyer_address or ""
    return sender if real and networks.is_address(NETWORK, sender) else None


def begin(state: State, account: str, refund: Refund, to: str) -> None:
    """Sign the transfer of a refund, and write it down."""
    assert state.settings.chain_id is not None, "there is a chain"
    token = parse_address(networks.token_of(NETWORK, state.settings.tokens))
    signed = Transaction(
        chain_id=state.settings.chain_id,
        max_priority_fee_per_gas=_PRIORITY_FEE,
        max_fee_per_gas=_MAX_FEE,
        gas_limit=_GAS,
        calls=(Call(to=token, value=0, data=transfer(to, refund.amount * money.UNITS_PER_CENT)),),
        # A nonce lane of its own: payouts do not wait for each other.
        nonce_key=secrets.randbits(190) | 1,
        fee_token=token,
    ).sign(_treasury(state))
    payout = Payout(
        id=refund.id,
        created=state.now,
        raw="0x" + signed.encode().hex(),
        transaction_hash="0x" + signed.hash().hex(),
    )
    state.add(payout, account)


def due(state: State) -> Due:
    """What is to be sent."""
    return Due(state.all(Payout), _treasury(state).address)


def finish(state: State, id_: str) -> None:
    """The transfer is on the chain."""
    payout = state.get(Payout, id_)
    account = state.owner(Payout, id_)
    refund = state.get(Refund, id_)
    refund.status = "succeeded"
    if refund.destination_details is not None and refund.destination_details.crypto is not UNSET:
        refund.destination_details.crypto = RefundedCrypto(reference=payout.transaction_hash)
    state.save(refund)
    state.remove(payout)
    events.record(state, account, "refund.updated", refund)
    events.record(state, account, "charge.refund.updated", refund)


def _treasury(state: State) -> PrivateKey:
    known = state.note(_TREASURY)
    if known is None:
        known = PrivateKey.generate().to_hex()
        state.keep_note(_TREASURY, known)
    return PrivateKey.from_hex(known)
