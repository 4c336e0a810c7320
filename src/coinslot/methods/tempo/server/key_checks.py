"""Whether an access key may spend what a transaction takes, as the chain's keychain knows it. Pure."""

from __future__ import annotations

from coinslot.errors import PaymentInsufficient, VerificationFailed
from coinslot.methods.tempo.node import Examination
from coinslot.methods.tempo.wire import Transaction
from coinslot.methods.tempo.wire.dex import decode_swap
from coinslot.methods.tempo.wire.key_authorization import KeyAuthorization
from coinslot.methods.tempo.wire.keychain import KeyInfo
from coinslot.methods.tempo.wire.signatures import Signer
from coinslot.methods.tempo.wire.terms import Terms


def check_access_key(
    transaction: Transaction, signer: Signer, found: Examination, terms: Terms, now: float
) -> None:
    """The key is authorized for the account, not revoked, not expired, and within its limit.

    A key that the transaction itself authorizes is judged by that authorization. Raises
    `VerificationFailed`, or `PaymentInsufficient` for the limit.
    """
    if signer.access_key is None:
        return
    if transaction.key_authorization is not None:
        _check_authorization(transaction.key_authorization, terms, now)
    else:
        check_key(found.key, signer, now)
        # In front of a swap it is the other token that the key spends; the trial run knows how much.
        if decode_swap(transaction.calls[:2]) is None and found.key is not None and found.key.enforces_limits:
            _check_limit(found.limit, terms)


def check_key(key: KeyInfo | None, signer: Signer, now: float) -> None:
    """The key may sign for the account at all. Raises `VerificationFailed`."""
    if key is not None and key.is_revoked:
        raise VerificationFailed(f"The access key {signer.access_key} was revoked.")
    if key is None or not key.exists:
        raise VerificationFailed(
            f"The access key {signer.access_key} is not authorized for {signer.account}."
        )
    if key.expiry <= now:
        raise VerificationFailed(f"The access key {signer.access_key} has expired.")
    if key.key_type != signer.key_type:
        raise VerificationFailed(f"The access key {signer.access_key} is authorized as another type of key.")


def _check_authorization(authorization: KeyAuthorization, terms: Terms, now: float) -> None:
    if authorization.chain_id != terms.chain_id:
        raise VerificationFailed("The transaction authorizes its key for another chain.")
    if authorization.expiry is not None and authorization.expiry <= now:
        raise VerificationFailed("The transaction authorizes a key that has expired.")
    limits = authorization.limits
    if limits is not None:
        _check_limit(sum(limit.limit for limit in limits if limit.token == terms.currency), terms)


def _check_limit(limit: int | None, terms: Terms) -> None:
    if limit is not None and limit < terms.amount:
        raise PaymentInsufficient(
            f"The access key may spend {limit} base units of {terms.currency}; "
            f"the payment takes {terms.amount}."
        )
