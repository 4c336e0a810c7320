"""The transaction that pays a challenge, until it is signed. Pure: what a node has to say comes as numbers.

draft_payment   the calls and the time they are good for, without gas and fees
priced          the same with gas and fees that hold for a while
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from coinslot.errors import ChallengeExpired, OverLimit, WalletError
from coinslot.intents import format_amount, from_base_units
from coinslot.methods.tempo.client.survey import Conditions
from coinslot.methods.tempo.keys import parse_address
from coinslot.methods.tempo.networks import DECIMALS
from coinslot.methods.tempo.node import SENDING_MARGIN
from coinslot.methods.tempo.refusals import explain
from coinslot.methods.tempo.rpc import RpcRefused
from coinslot.methods.tempo.wire import (
    EXPIRING_NONCE_KEY,
    FEE_PAYER_PLACEHOLDER,
    Call,
    Swap,
    Transaction,
    Transfer,
    attribution_memo,
    swap_calls,
    transfer,
    transfer_with_memo,
)
from coinslot.methods.tempo.wire.terms import Terms
from coinslot.protocol import Challenge

VALIDITY: Final = 25
"""Seconds for which a signed transaction can be broadcast. Chains older than T11 take no more than 30."""

_ATTODOLLARS: Final = 10**12  # in a base unit of a fee token


def draft_payment(
    challenge: Challenge, terms: Terms, *, client_id: str | None, swap: Swap | None, now: float
) -> Transaction:
    """The transfers that are due, after the swap that gets their token, if there is one.

    The primary transfer has the challenge's own memo, or else the attribution memo. `now` is in Unix seconds.
    Raises `ChallengeExpired`.
    """
    memo = terms.memo or attribution_memo(challenge.id, challenge.realm, client_id)
    transfers = [_transfer_call(due) for due in terms.transfers(memo)]
    swapping = () if swap is None else swap_calls(swap)
    drafted = draft(
        (*swapping, *transfers),
        chain_id=terms.chain_id,
        fee_token=terms.currency if swap is None else swap.token_in,
        valid_before=_end(challenge, now),
    )
    if terms.fee_payer:
        # §Server-Paid Fees: whoever pays the fee chooses the token, and signs later.
        return replace(drafted, fee_token=None, fee_payer_signature=FEE_PAYER_PLACEHOLDER)
    return drafted


def draft(calls: Sequence[Call], *, chain_id: int, fee_token: str, valid_before: int) -> Transaction:
    """A transaction that makes these calls, without gas and fees.

    Its nonce is 0 in the lane of expiring nonces, where transactions are told apart by their hash. Some
    clients put a random number there, which newer chains take and older ones do not. There is no need for it
    in a payment: its memo differs with each challenge, and of two equal transactions for one challenge only
    one can ever be settled.
    """
    return Transaction(
        chain_id=chain_id,
        max_priority_fee_per_gas=0,
        max_fee_per_gas=0,
        gas_limit=0,
        calls=tuple(calls),
        nonce_key=EXPIRING_NONCE_KEY,
        nonce=0,
        valid_before=valid_before,
        fee_token=parse_address(fee_token),
    )


def priced(drafted: Transaction, conditions: Conditions, max_fee: Decimal) -> Transaction:
    """`drafted` with gas and fees.

    Raises `WalletError` if it would fail, and `OverLimit` if its sender would pay more than `max_fee`.
    """
    gas = conditions.gas
    if isinstance(gas, RpcRefused):
        refusal = explain(gas)
        reason = refusal.detail if refusal is not None else gas.reason
        raise WalletError(f"the transaction would fail: {reason}") from gas
    transaction = replace(
        drafted,
        # Somebody else's transaction may come first and make this one dearer; unused gas costs nothing.
        gas_limit=gas * 5 // 4 + 10_000,
        max_fee_per_gas=conditions.base_fee * 3 // 2 + conditions.priority_fee,
        max_priority_fee_per_gas=conditions.priority_fee,
    )
    fee = from_base_units(fee_of(transaction), DECIMALS)
    if fee > max_fee:
        raise OverLimit(
            f"the fee may come to {format_amount(fee_of(transaction), DECIMALS)}, which is more than max_fee"
            " allows",
            price=fee,
            limit=max_fee,
        )
    return transaction


def fee_of(transaction: Transaction) -> int:
    """The most that sending a transaction can cost its sender, in base units of its fee token."""
    if transaction.fee_payer_signature is not None:
        return 0
    return -(-transaction.gas_limit * transaction.max_fee_per_gas // _ATTODOLLARS)


def _transfer_call(due: Transfer) -> Call:
    if due.memo is None:
        return Call(parse_address(due.token), 0, transfer(due.recipient, due.amount))
    return Call(parse_address(due.token), 0, transfer_with_memo(due.recipient, due.amount, due.memo))


def _end(challenge: Challenge, now: float) -> int:
    """`validBefore`: no later than the challenge's expiry (§Submission Modes)."""
    end = int(now) + VALIDITY
    expires = challenge.expires_at()
    if expires is not None:
        end = min(end, math.floor(expires))
    if end <= now + SENDING_MARGIN:
        raise ChallengeExpired(f"the challenge expires at {challenge.expires}: too soon to be paid")
    return end
