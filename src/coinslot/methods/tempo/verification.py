"""Whether a signed transaction pays a challenge, as far as the transaction itself can tell. Pure.

draft-tempo-charge §Transaction Verification, plus what it leaves to the server's policy: exactly one call,
and a memo that binds the transfer to this challenge, so that no transfer pays twice.
"""

from __future__ import annotations

import math
import re
from typing import Final

from coinslot.errors import PaymentError, PaymentExpired, PaymentInsufficient, VerificationFailed
from coinslot.methods.tempo.keys import SignatureError, checksum_address
from coinslot.methods.tempo.terms import Terms
from coinslot.methods.tempo.wire import Transaction, Transfer, decode_call, memo_binds
from coinslot.protocol import Credential

SENDING_MARGIN: Final = 3
"""Seconds before its `valid_before` from which on Tempo's nodes no longer take a transaction."""

MAX_GAS_LIMIT: Final = 30_000_000
"""The most gas that Tempo gives one transaction."""

_SOURCE: Final = re.compile(r"did:pkh:eip155:([1-9][0-9]{0,18}):(0x[0-9a-fA-F]{40})")


def check_transaction(transaction: Transaction, credential: Credential, terms: Terms, now: float) -> str:
    """Check that `transaction` pays `terms` for the credential's challenge, and return its sender.

    `now` is in Unix seconds. Raises `PaymentInsufficient`, `PaymentExpired` or `VerificationFailed`, each
    with its own reason.
    """
    if transaction.chain_id != terms.chain_id:
        raise VerificationFailed(
            f"The transaction is for chain {transaction.chain_id}; this is charged on chain {terms.chain_id}."
        )
    _check_form(transaction)
    _check_window(transaction, credential.challenge.expires_at(), now)
    sender = _sender(transaction)
    _check_source(credential.source, sender, terms.chain_id)
    _check_transfer(_only_transfer(transaction), credential, terms)
    return sender


def parse_source(source: str) -> tuple[int, str] | None:
    """Chain id and EIP-55 address of a `did:pkh:eip155:…` identifier, or None if it is no such thing."""
    match = _SOURCE.fullmatch(source)
    return (int(match[1]), checksum_address(match[2])) if match else None


def format_source(chain_id: int, address: str) -> str:
    """The payer's identifier in a credential (draft-tempo-charge §Credential Structure)."""
    return f"did:pkh:eip155:{chain_id}:{address}"


def _check_form(transaction: Transaction) -> None:
    """The members beside the calls: none that a payment has no use for, none that no node would take."""
    if transaction.fee_payer_signature is not None:
        raise VerificationFailed("The transaction leaves its fee to somebody else; here the payer pays it.")
    if transaction.access_list or transaction.authorization_list or transaction.key_authorization is not None:
        raise VerificationFailed(
            "The transaction carries an access list or an authorization beside the payment."
        )
    if not 0 < transaction.gas_limit <= MAX_GAS_LIMIT:
        raise VerificationFailed(f"The transaction's gas limit is not between 1 and {MAX_GAS_LIMIT}.")
    if not 0 < transaction.max_fee_per_gas >= transaction.max_priority_fee_per_gas:
        raise VerificationFailed("The transaction's fee cap is zero, or lower than its priority fee.")


def _check_window(transaction: Transaction, expires: float | None, now: float) -> None:
    if transaction.valid_before is None:
        raise VerificationFailed(
            "The transaction has no validBefore, so it could be broadcast at any later time."
        )
    if transaction.valid_before <= now + SENDING_MARGIN:
        raise PaymentExpired("The transaction's validBefore is over, or too near for it to be broadcast.")
    # `validBefore` is exclusive and in whole seconds: the first second after the expiry is what makes the
    # transaction valid until it, and what some clients sign.
    if expires is not None and transaction.valid_before > math.floor(expires) + 1:
        raise VerificationFailed("The transaction's validBefore is later than the challenge's expiry.")
    if transaction.valid_after is not None and transaction.valid_after > now:
        raise VerificationFailed("The transaction's validAfter is in the future.")


def _sender(transaction: Transaction) -> str:
    try:
        return transaction.sender()
    except SignatureError as error:
        raise VerificationFailed(f"The transaction's sender cannot be told: {error}.") from error


def _check_source(source: str | None, sender: str, chain_id: int) -> None:
    if source is None:
        return
    claimed = parse_source(source)
    if claimed is None:
        raise VerificationFailed(
            "The credential's source is not of the form did:pkh:eip155:<chain id>:<address>."
        )
    if claimed != (chain_id, sender):
        raise VerificationFailed("The credential's source is not the account that signed the transaction.")


def _only_transfer(transaction: Transaction) -> Transfer:
    if len(transaction.calls) != 1:
        raise VerificationFailed(
            f"The transaction makes {len(transaction.calls)} calls; exactly one is taken."
        )
    (call,) = transaction.calls
    if call.to is None:
        raise VerificationFailed("The transaction creates a contract instead of paying.")
    if call.value:
        raise VerificationFailed("The transaction's call sends native value.")
    transfer = decode_call(call)
    if transfer is None:
        raise VerificationFailed("The transaction's call is not a transfer or transferWithMemo of a token.")
    return transfer


def _check_transfer(transfer: Transfer, credential: Credential, terms: Terms) -> None:
    if transfer.token != terms.currency:
        raise VerificationFailed(f"The transaction pays in {transfer.token}, not in {terms.currency}.")
    if transfer.recipient != terms.recipient:
        raise VerificationFailed(f"The transaction pays {transfer.recipient}, not {terms.recipient}.")
    if transfer.amount != terms.amount:
        raise _wrong_amount(transfer.amount, terms.amount)
    challenge = credential.challenge
    if transfer.memo is None or not memo_binds(transfer.memo, challenge.id, challenge.realm):
        raise VerificationFailed(
            "The transfer's memo is not bound to this challenge: "
            "transferWithMemo with the challenge's attribution memo is what pays it."
        )


def _wrong_amount(paid: int, asked: int) -> PaymentError:
    kind = PaymentInsufficient if paid < asked else VerificationFailed
    return kind(f"The transaction pays {paid} base units; exactly {asked} are asked.")
