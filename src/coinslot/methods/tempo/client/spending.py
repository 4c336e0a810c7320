"""Whether an account, and the access key that signs for it, can bear a payment. Pure.

What the chain takes into account when an access key signs: the key's limit of a token covers what it moves of
that token and, in the fee token, all that the fee may come to. What the fee does not come to, it gets back.
"""

from __future__ import annotations

from msgspec import Struct

from coinslot.errors import WalletError
from coinslot.intents import format_amount
from coinslot.methods.tempo.client.survey import Means
from coinslot.methods.tempo.key_requests import key_type
from coinslot.methods.tempo.keys import SignatureError
from coinslot.methods.tempo.networks import DECIMALS, token_name
from coinslot.methods.tempo.wire.key_authorization import KeyAuthorization
from coinslot.methods.tempo.wire.keychain import KeyInfo
from coinslot.methods.tempo.wire.signatures import AccessKey, SigningKey


class Need(Struct, frozen=True, kw_only=True):
    """What a payment takes of one token: so much, and up to `fee` beside it, in base units."""

    token: str
    amount: int
    fee: int = 0


class Shortage(Struct, frozen=True, kw_only=True):
    """Less than a payment needs: what there is, in base units, or what the access key may spend of it."""

    need: Need
    available: int
    of_key: bool

    def describe(self, chain_id: int) -> str:
        """What there is, in a few words."""
        verb = "its access key may spend" if self.of_key else "it has"
        return f"{verb} {_amount(self.available)} {token_name(chain_id, self.need.token)}"

    def explain(self, key: SigningKey, chain_id: int) -> str:
        """What there is and what it takes, in a sentence."""
        holder, verb = key.address, "has"
        if self.of_key and isinstance(key, AccessKey):
            holder, verb = f"the access key {key.key_address} of {key.address}", "may spend"
        amount, fee = self.need.amount, self.need.fee
        takes = _amount(amount)
        if fee:
            takes = f"{_amount(amount + fee)} ({takes}, and a fee of up to {_amount(fee)})"
        held = f"{_amount(self.available)} {token_name(chain_id, self.need.token)} on chain {chain_id}"
        return f"{holder} {verb} {held}; this payment needs {takes}"


def find_shortage(need: Need, means: Means) -> Shortage | None:
    """What is missing for this, if anything is. A key's limit comes first: no other token makes up for it."""
    total = need.amount + need.fee
    if means.limit is not None and means.limit < total:
        return Shortage(need=need, available=means.limit, of_key=True)
    if means.balance < total:
        return Shortage(need=need, available=means.balance, of_key=False)
    return None


def limited(means: Means, token: str, known: KeyInfo | None, authorization: KeyAuthorization | None) -> Means:
    """`means`, with the limit that really applies.

    That is the one of the authorization that the transaction takes along, if it does; the chain's, if the key
    has limits at all; or else none.
    """
    if authorization is not None:
        limits = authorization.limits
        # Of several for one token, the chain counts the last.
        of_token = [limit.limit for limit in limits or () if limit.token == token]
        return Means(balance=means.balance, limit=None if limits is None else [0, *of_token][-1])
    if known is None or not known.enforces_limits:
        return Means(balance=means.balance)
    return means


def check_access_key(key: SigningKey, known: KeyInfo | None, now: float) -> None:
    """An access key that the chain knows may still sign. Raises `WalletError`. `now` is in Unix seconds."""
    if not isinstance(key, AccessKey) or known is None:
        return
    if known.is_revoked:
        raise WalletError(f"the access key {key.key_address} of {key.address} was revoked. Nothing was paid.")
    if known.exists and known.expiry <= now:
        raise WalletError(f"the access key {key.key_address} of {key.address} has expired. Nothing was paid.")
    if known.exists and known.key_type != key_type(key):
        raise WalletError(
            f"the access key {key.key_address} is authorized as a key of type {known.key_type}, and is one of"
            f" type {key_type(key)}. Nothing was paid."
        )


def check_authorization(key: AccessKey, chain_id: int, now: float) -> KeyAuthorization:
    """The authorization that a key takes along to a chain that does not know it yet. Raises `WalletError`."""
    authorization = key.authorization
    if authorization is None:
        raise WalletError(
            f"{key.address} has not authorized the access key {key.key_address} on chain {chain_id}. Nothing"
            " was paid."
        )
    try:
        by = authorization.signed_by()
    except SignatureError as error:
        raise WalletError(f"the authorization of {key.key_address} cannot be read: {error}") from error
    if (by, authorization.key_address) != (key.address, key.key_address):
        raise WalletError(
            f"the authorization that comes with the access key {key.key_address} is not for it, or not by"
            f" {key.address}. Nothing was paid."
        )
    if authorization.chain_id != chain_id:
        raise WalletError(
            f"the access key {key.key_address} is authorized for chain {authorization.chain_id}, not for"
            f" {chain_id}. Nothing was paid."
        )
    if authorization.expiry is not None and authorization.expiry <= now:
        raise WalletError(f"the authorization of {key.key_address} has expired. Nothing was paid.")
    return authorization


def _amount(units: int) -> str:
    return format_amount(units, DECIMALS)
