"""Tempo's signatures: who signed a hash, and with what kind of key.

    secp256k1   65 bytes, r ‖ s ‖ v, without a type
    P256        0x01 ‖ r ‖ s ‖ x ‖ y ‖ prehash
    WebAuthn    0x02 ‖ authenticator data ‖ client data ‖ r ‖ s ‖ x ‖ y
    keychain    0x04 ‖ account ‖ any of the above, by an access key over keccak256(0x04 ‖ hash ‖ account)

A keychain signature tells which access key signed. Whether the account has authorized that key, only the
chain knows (keychain.py).

Each has one spelling. Nodes read a few more, rewrite them, and then know the transaction by another hash.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

from coinslot.methods.tempo.keys import (
    ADDRESS_LENGTH,
    HASH_LENGTH,
    SIGNATURE_LENGTH,
    SignatureError,
    checksum_address,
    keccak256,
    parse_address,
    recover_address,
)
from coinslot.methods.tempo.wire import rlp
from coinslot.methods.tempo.wire.p256 import P256_TYPE, verify_point
from coinslot.methods.tempo.wire.rlp import Items
from coinslot.methods.tempo.wire.webauthn import WEBAUTHN_TYPE, recover_webauthn

if TYPE_CHECKING:
    from coinslot.methods.tempo.wire.key_authorization import KeyAuthorization

KEYCHAIN_TYPE: Final = 0x04
"""The first byte of an access key's signature in an envelope."""

_PREFIX_LENGTH: Final = 1 + ADDRESS_LENGTH
_P256_LENGTH: Final = 1 + 4 * 32 + 1

_UNSUPPORTED: Final = {
    0x03: "the signature is of type keychain; only version 2 of that type is supported",
    0x04: "the signature is of type keychain (version 2) where only a key's own signature can be",
    0x05: "the signature is of type configurable account, which is not supported",
}


class Signer(Struct, frozen=True):
    """Who signed.

    `account` is who pays, `access_key` the key that signed for it, if it was not the account's own; both are
    EIP-55 checksummed. `key_type` is of the key that signed, in the words of the node's RPC requests:
    "secp256k1", "p256" or "webAuthn".
    """

    account: str
    access_key: str | None = None
    key_type: str = "secp256k1"


class SigningKey(Protocol):
    """What a payer signs with: an account's own key, or an access key of the account."""

    @property
    def address(self) -> str:
        """The account that pays, EIP-55 checksummed."""
        ...

    def sign(self, hash32: bytes) -> bytes:
        """A signature over a 32-byte hash, with its type, as it goes into an envelope."""
        ...


class AccessKey:
    """A key that signs for an account that has authorized it. `repr` shows addresses only.

    `key` is the access key itself, `account` the account it signs for. `authorization` is carried along for
    the first transaction, which may authorize the key that signs it.
    """

    __slots__ = ("_prefix", "address", "authorization", "key")

    address: str
    """The account that pays, EIP-55 checksummed."""

    def __init__(self, key: SigningKey, account: str, authorization: KeyAuthorization | None = None) -> None:
        """Raises `AddressError`."""
        raw = parse_address(account)
        self._prefix = bytes([KEYCHAIN_TYPE]) + raw
        self.key = key
        self.address = checksum_address(raw)
        self.authorization = authorization

    @property
    def key_address(self) -> str:
        """The address by which the account's keychain knows this key, EIP-55 checksummed."""
        return self.key.address

    def sign(self, hash32: bytes) -> bytes:
        """Sign a 32-byte hash for the account: 0x04 ‖ account ‖ the key's signature.

        Raises `ValueError` if `hash32` is not 32 bytes.
        """
        if len(hash32) != HASH_LENGTH:
            raise ValueError(f"a hash has {HASH_LENGTH} bytes, not {len(hash32)}")
        return self._prefix + self.key.sign(_keychain_hash(hash32, self._prefix[1:]))

    def __repr__(self) -> str:
        return f"AccessKey({self.key!r}, account={self.address!r})"


def recover_signer(hash32: bytes, signature: bytes) -> Signer:
    """Who made `signature`, which is spelled as in an envelope, over `hash32`.

    Raises `SignatureError`, with the type's name if it is one that is not supported.
    """
    account, inner = _split(signature)
    if account is None:
        return recover_primitive(hash32, signature)
    _check_hash(hash32)
    by = recover_primitive(_keychain_hash(hash32, account), inner)
    return Signer(checksum_address(account), access_key=by.account, key_type=by.key_type)


def recover_primitive(hash32: bytes, signature: bytes) -> Signer:
    """As `recover_signer`, but an account's own key has to have signed. Raises `SignatureError`."""
    check_spelling(signature)
    _check_hash(hash32)
    if len(signature) == SIGNATURE_LENGTH:
        return Signer(recover_address(hash32, signature))
    if signature[0] == P256_TYPE:
        return Signer(_recover_p256(hash32, signature), key_type="p256")
    if signature[0] == WEBAUTHN_TYPE:
        return Signer(recover_webauthn(hash32, signature), key_type="webAuthn")
    raise SignatureError(_UNSUPPORTED.get(signature[0], "the signature is of no known type"))


def check_spelling(signature: bytes) -> None:
    """Raise `SignatureError` if nodes would read `signature`, and write it again in other bytes.

    What no node reads passes: it has neither a signer nor another spelling.
    """
    _, inner = _split(signature)
    if not inner:
        raise SignatureError("the signature is empty")
    if len(inner) == SIGNATURE_LENGTH and inner[64] not in (27, 28):
        raise SignatureError("the last byte (v) of the signature is neither 27 nor 28")
    if len(inner) == _P256_LENGTH and inner[0] == P256_TYPE and inner[129] > 1:
        raise SignatureError("the last byte (prehash) of the P256 signature is neither 0 nor 1")


def check_primitive(signature: bytes) -> None:
    """As `check_spelling`, and refuse an access key's signature. Raises `SignatureError`."""
    check_spelling(signature)
    if _split(signature)[0] is not None:
        raise SignatureError(_UNSUPPORTED[KEYCHAIN_TYPE])


def to_items(signature: bytes) -> Items:
    """A secp256k1 signature as a fee payer's stands in an envelope: parity, r, s."""
    numbers = signature[64] - 27, int.from_bytes(signature[:32]), int.from_bytes(signature[32:64])
    return tuple(map(rlp.encode_integer, numbers))


def from_items(items: Items) -> bytes:
    """The 65 bytes of a signature that stands as parity, r, s. Raises `RLPError`."""
    parity, r, s = rlp.read_sequence(items, 3)
    r_and_s = rlp.read_integer(r).to_bytes(32) + rlp.read_integer(s).to_bytes(32)
    return r_and_s + bytes([27 + rlp.read_integer(parity, 1)])


def _split(signature: bytes) -> tuple[bytes | None, bytes]:
    """The account that a keychain signature is for, and the access key's own signature."""
    if signature[:1] != bytes([KEYCHAIN_TYPE]) or len(signature) in (SIGNATURE_LENGTH, 1):
        return None, signature
    return signature[1:_PREFIX_LENGTH], signature[_PREFIX_LENGTH:]


def _check_hash(hash32: bytes) -> None:
    if len(hash32) != HASH_LENGTH:
        raise SignatureError(f"a signature is over a hash of {HASH_LENGTH} bytes, not {len(hash32)}")


def _keychain_hash(hash32: bytes, account: bytes) -> bytes:
    return keccak256(bytes([KEYCHAIN_TYPE]) + hash32 + account)


def _recover_p256(hash32: bytes, signature: bytes) -> str:
    if len(signature) != _P256_LENGTH:
        raise SignatureError(f"a P256 signature has {_P256_LENGTH} bytes, not {len(signature)}")
    digest = hashlib.sha256(hash32).digest() if signature[129] else hash32
    return verify_point(digest, signature[1:65], signature[65:129])
