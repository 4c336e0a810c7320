"""Whether a signed transaction pays a challenge, as far as the transaction itself can tell. Pure.

draft-tempo-charge §Transaction Verification, plus what it leaves to the server's policy: the calls are the
transfers that are due and nothing else, save a swap on the stablecoin DEX in front of them that gets their
token (`matching.py` says what binds them to the challenge).
"""

from __future__ import annotations

import math
from typing import Final

from coinslot.errors import PaymentExpired, VerificationFailed
from coinslot.methods.tempo.keys import SignatureError
from coinslot.methods.tempo.node import SENDING_MARGIN
from coinslot.methods.tempo.server.matching import match_transfers
from coinslot.methods.tempo.wire import FEE_PAYER_PLACEHOLDER, Call, Transaction, Transfer, decode_call
from coinslot.methods.tempo.wire.dex import Swap, decode_swap
from coinslot.methods.tempo.wire.signatures import Signer
from coinslot.methods.tempo.wire.source import parse_source
from coinslot.methods.tempo.wire.terms import Terms
from coinslot.methods.tempo.wire.tip20 import is_token
from coinslot.protocol import Challenge

MAX_GAS_LIMIT: Final = 30_000_000
"""The most gas that Tempo gives one transaction."""


def check_transaction(
    transaction: Transaction,
    challenge: Challenge,
    source: str | None,
    terms: Terms,
    now: float,
    *,
    unbound: bool = False,
) -> Signer:
    """Check that `transaction` pays `terms` for this challenge, and return who signed it.

    `source` is the credential's, `now` is in Unix seconds; `unbound` also takes a transfer without a memo.
    Raises `PaymentInsufficient`, `PaymentExpired` or `VerificationFailed`, each with its own reason.
    """
    if transaction.chain_id != terms.chain_id:
        raise VerificationFailed(
            f"The transaction is for chain {transaction.chain_id}; this is charged on chain {terms.chain_id}."
        )
    _check_fee_payer(transaction, terms)
    _check_form(transaction)
    _check_window(transaction, challenge.expires_at(), now)
    signer = _signer(transaction)
    check_source(source, signer.account, terms.chain_id)
    _check_key_authorization(transaction, signer)
    transfers = made_transfers(transaction)
    swap = decode_swap(transaction.calls[:2])
    if swap is not None:
        _check_swap(swap, transfers, terms.currency)
    asked = 1 + len(terms.splits)
    if len(transfers) != asked:
        raise VerificationFailed(
            f"The transaction makes {len(transfers)} transfers; exactly {asked} {_are(asked)} asked."
        )
    match_transfers(transfers, terms, challenge, unbound=unbound)
    return signer


def made_transfers(transaction: Transaction) -> list[Transfer]:
    """The transfers that a transaction makes, if they are all that it makes.

    A swap in front of them is passed over. Raises `VerificationFailed` for any other call.
    """
    calls = transaction.calls
    return [_transfer(call) for call in (calls if decode_swap(calls[:2]) is None else calls[2:])]


def check_source(source: str | None, account: str, chain_id: int) -> None:
    """A source that is given is the account that pays. Raises `VerificationFailed`."""
    if source is not None and read_source(source, chain_id) != account:
        raise VerificationFailed("The credential's source is not the account that signed.")


def read_source(source: str, chain_id: int) -> str:
    """The account that a source on this chain names, EIP-55. Raises `VerificationFailed`."""
    claimed = parse_source(source)
    if claimed is None:
        raise VerificationFailed(
            "The credential's source is not of the form did:pkh:eip155:<chain id>:<address>."
        )
    if claimed[0] != chain_id:
        raise VerificationFailed(f"The credential's source is on chain {claimed[0]}, not on {chain_id}.")
    return claimed[1]


def _check_fee_payer(transaction: Transaction, terms: Terms) -> None:
    """§Fee Payment: whoever pays the fee chooses its token, and signs last."""
    if not terms.fee_payer:
        if transaction.fee_payer_signature is not None:
            raise VerificationFailed(
                "The transaction leaves its fee to somebody else; here the payer pays it."
            )
        return
    if transaction.fee_payer_signature != FEE_PAYER_PLACEHOLDER:
        raise VerificationFailed(
            "The seller pays the fee here: the transaction's fee payer signature has to be the placeholder."
        )
    if transaction.fee_token is not None:
        raise VerificationFailed("The seller pays the fee here: the transaction must not name a fee token.")


def _check_form(transaction: Transaction) -> None:
    """The members beside the calls: none that a payment has no use for, none that no node would take."""
    if transaction.access_list or transaction.authorization_list:
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


def _signer(transaction: Transaction) -> Signer:
    try:
        return transaction.signer()
    except SignatureError as error:
        raise VerificationFailed(f"The transaction's sender cannot be told: {error}.") from error


def _check_key_authorization(transaction: Transaction, signer: Signer) -> None:
    """An access key may be authorized by the very transaction that uses it first, if the payer pays for that.

    The node judges the authorization itself. What it must not do here is anything beside this payment.
    """
    authorization = transaction.key_authorization
    if authorization is None:
        return
    if transaction.fee_payer_signature is not None:
        raise VerificationFailed("The transaction authorizes a key at the fee payer's expense.")
    try:
        granted_by = authorization.signed_by()
    except SignatureError as error:
        raise VerificationFailed(f"The transaction's key authorization cannot be read: {error}.") from error
    if granted_by != signer.account or authorization.key_address != signer.access_key:
        raise VerificationFailed("The transaction authorizes another key than the one that signed it.")


def _transfer(call: Call) -> Transfer:
    if call.to is None:
        raise VerificationFailed("The transaction creates a contract instead of paying.")
    if call.value:
        raise VerificationFailed("The transaction's call sends native value.")
    transfer = decode_call(call)
    if transfer is None:
        raise VerificationFailed("The transaction's call is not a transfer or transferWithMemo of a token.")
    return transfer


def _check_swap(swap: Swap, transfers: list[Transfer], currency: str) -> None:
    if swap.token_out != currency or swap.token_in == currency:
        raise VerificationFailed(f"The transaction's swap is not for {currency}, which is asked for.")
    if swap.amount_out == 0 or not is_token(swap.token_in):
        raise VerificationFailed("The transaction's swap is of nothing, or not of a TIP-20 token.")
    if swap.amount_out > sum(transfer.amount for transfer in transfers):
        raise VerificationFailed("The transaction swaps for more than it pays.")


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
