"""The AccountKeychain, a contract that every Tempo chain has: which keys may sign for which accounts.

The chain itself asks it about every transaction that an access key signs. Who wants to know beforehand calls
`getKey`. Most functions have one form since Tempo's hardfork T3 and another before it.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from coinslot.methods.tempo.keys import checksum_address
from coinslot.methods.tempo.wire import abi
from coinslot.methods.tempo.wire.key_authorization import (
    KEY_TYPES,
    CallScope,
    KeyAuthorization,
    KeyAuthorizationError,
    SelectorRule,
)

ADDRESS: Final = checksum_address("0xaaaaaaaa00000000000000000000000000000000")

NEVER: Final = 2**64 - 1
"""The expiry of a key that is good until it is revoked."""

_GET_KEY: Final = abi.selector("getKey(address,address)")
_REVOKE_KEY: Final = abi.selector("revokeKey(address)")
_GET_LIMIT: Final = abi.selector("getRemainingLimitWithPeriod(address,address,address)")
_GET_LIMIT_LEGACY: Final = abi.selector("getRemainingLimit(address,address,address)")

_RESTRICTIONS: Final = "(uint64,bool,(address,uint256,uint64)[],bool,(address,(bytes4,address[])[])[])"
_AUTHORIZE: Final = abi.selector(f"authorizeKey(address,uint8,{_RESTRICTIONS})")
_AUTHORIZE_WITNESSED: Final = abi.selector(f"authorizeKey(address,uint8,{_RESTRICTIONS},bytes32)")
_AUTHORIZE_LEGACY: Final = abi.selector("authorizeKey(address,uint8,uint64,bool,(address,uint256)[])")


class KeyInfo(Struct, frozen=True, kw_only=True):
    """What the keychain says about a key of an account.

    `expiry` is in Unix seconds, `NEVER` for a key without one. For a key that does not exist, or no longer,
    only `is_revoked` tells anything.
    """

    key_type: str
    address: str
    expiry: int
    enforces_limits: bool
    is_revoked: bool

    @property
    def exists(self) -> bool:
        """Whether the account has authorized the key and not revoked it. It may be over all the same."""
        return self.expiry != 0 and not self.is_revoked


def get_key(account: str, key: str) -> bytes:
    """Calldata of `getKey`: what the keychain knows about a key of an account. Raises `AddressError`."""
    return _GET_KEY + abi.address_word(account) + abi.address_word(key)


def read_key(data: bytes) -> KeyInfo:
    """What `getKey` returned. Raises `ABIError`."""
    key_type, address, expiry, enforces_limits, is_revoked = abi.read_words(data, 5)
    number, spelled = abi.read_number(key_type, 8), abi.read_address(address)
    if number >= len(KEY_TYPES) or spelled is None:
        raise abi.ABIError("the keychain returned something that is not a key")
    return KeyInfo(
        key_type=KEY_TYPES[number],
        address=spelled,
        expiry=abi.read_number(expiry, 64),
        enforces_limits=bool(abi.read_number(enforces_limits, 1)),
        is_revoked=bool(abi.read_number(is_revoked, 1)),
    )


def get_remaining_limit(account: str, key: str, token: str, *, legacy: bool = False) -> bytes:
    """Calldata that asks how much of a token the key may still spend; `legacy` before T3.

    Raises `AddressError`.
    """
    function = _GET_LIMIT_LEGACY if legacy else _GET_LIMIT
    return function + b"".join(map(abi.address_word, (account, key, token)))


def read_limit(data: bytes) -> int:
    """The base units that `get_remaining_limit` returned, in either form. Raises `ABIError`."""
    words = abi.read_words(data, 1 if len(data) == abi.WORD else 2)
    return int.from_bytes(words[0])


def authorize_key(authorization: KeyAuthorization, *, legacy: bool = False) -> bytes:
    """Calldata with which an account authorizes a key itself, `legacy` before T3.

    Chain, account and signature of `authorization` do not matter here: the account's transaction has them.
    Raises `KeyAuthorizationError` for what the function cannot express: an admin key, and in the legacy form
    scopes, periods and a witness.
    """
    if authorization.is_admin:
        raise KeyAuthorizationError("authorizeKey authorizes no admin keys")
    key = abi.address_word(authorization.key_address)
    key += abi.number_word(KEY_TYPES.index(authorization.key_type))
    if legacy:
        return _AUTHORIZE_LEGACY + _legacy_arguments(key, authorization)
    restrictions = abi.Tail(_restrictions(authorization))
    if authorization.witness is None:
        return _AUTHORIZE + abi.sequence([key, restrictions])
    return _AUTHORIZE_WITNESSED + abi.sequence([key, restrictions, authorization.witness])


def revoke_key(key: str) -> bytes:
    """Calldata with which an account revokes one of its keys, for good. Raises `AddressError`."""
    return _REVOKE_KEY + abi.address_word(key)


def _legacy_arguments(key: bytes, authorization: KeyAuthorization) -> bytes:
    limits = authorization.limits or ()
    if (
        authorization.scopes is not None
        or authorization.witness is not None
        or any(limit.period for limit in limits)
    ):
        raise KeyAuthorizationError(
            "before T3 a key has neither scopes, nor limits per period, nor a witness"
        )
    words = [abi.address_word(limit.token) + abi.amount_word(limit.limit) for limit in limits]
    return abi.sequence([key + _terms(authorization), abi.array(words)])


def _restrictions(authorization: KeyAuthorization) -> bytes:
    limits = [
        abi.address_word(limit.token) + abi.amount_word(limit.limit) + abi.number_word(limit.period)
        for limit in authorization.limits or ()
    ]
    scopes = [_scope(scope) for scope in authorization.scopes or ()]
    allows_any = abi.number_word(authorization.scopes is None)
    return abi.sequence([_terms(authorization), abi.array(limits), allows_any, abi.array(scopes)])


def _terms(authorization: KeyAuthorization) -> bytes:
    expiry = NEVER if authorization.expiry is None else authorization.expiry
    return abi.number_word(expiry) + abi.number_word(authorization.limits is not None)


def _scope(scope: CallScope) -> abi.Tail:
    return abi.Tail(abi.sequence([abi.address_word(scope.target), abi.array(list(map(_rule, scope.rules)))]))


def _rule(rule: SelectorRule) -> abi.Tail:
    recipients = abi.array(list(map(abi.address_word, rule.recipients)))
    return abi.Tail(abi.sequence([rule.selector.ljust(abi.WORD, b"\x00"), recipients]))
