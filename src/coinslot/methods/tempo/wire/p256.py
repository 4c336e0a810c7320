"""Keys and signatures on P-256, the curve of passkeys and secure elements.

`cryptography` (OpenSSL) computes them. It is imported when the first such key or signature turns up: most
payers have a secp256k1 key.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from coinslot.errors import ConfigurationError
from coinslot.methods.tempo.keys import HASH_LENGTH, SignatureError, account_address, parse_secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey

P256_TYPE: Final = 0x01
"""The first byte of a P-256 signature in an envelope."""

_GROUP_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class P256Key:
    """A P-256 private key, as the key of an account or as an access key. `repr` shows its address only."""

    __slots__ = ("_coordinates", "_key", "address")

    address: str
    """The key's account, EIP-55 checksummed."""

    key_type: Final = "p256"
    """The kind of key, as the node's RPC requests name it."""

    def __init__(self, secret: bytes) -> None:
        """Take 32 secret bytes, big-endian. Raises `ConfigurationError` if they are out of range."""
        number = int.from_bytes(secret)
        if len(secret) != 32 or not 0 < number < _GROUP_ORDER:
            raise ConfigurationError("a private key is 32 bytes, from 1 to the order of P-256 less one")
        self._key = _private_key(number)
        point = self._key.public_key().public_numbers()
        self._coordinates = point.x.to_bytes(32) + point.y.to_bytes(32)
        self.address = account_address(self._coordinates)

    @classmethod
    def from_hex(cls, text: str) -> P256Key:
        """Read 64 hexadecimal digits, usually after `0x`. Raises `ConfigurationError`, without the text."""
        return cls(parse_secret(text))

    @classmethod
    def generate(cls) -> P256Key:
        """A new key from the operating system's randomness."""
        return cls((1 + secrets.randbelow(_GROUP_ORDER - 1)).to_bytes(32))

    def sign(self, hash32: bytes) -> bytes:
        """Sign a 32-byte hash: 0x01 ‖ r ‖ s ‖ x ‖ y ‖ 0, with s in the lower half.

        Deterministic (RFC 6979): the same hash gives the same signature. Raises `ValueError` if `hash32` is
        not 32 bytes.
        """
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

        if len(hash32) != HASH_LENGTH:
            raise ValueError(f"a hash has {HASH_LENGTH} bytes, not {len(hash32)}")
        r, s = decode_dss_signature(self._key.sign(hash32, _algorithm(deterministic=True)))
        s = min(s, _GROUP_ORDER - s)
        return bytes([P256_TYPE]) + r.to_bytes(32) + s.to_bytes(32) + self._coordinates + b"\x00"

    def to_hex(self) -> str:
        """The secret itself, `0x` and 64 lower-case hexadecimal digits."""
        return "0x" + self._key.private_numbers().private_value.to_bytes(32).hex()

    def __repr__(self) -> str:
        return f"P256Key(<redacted>, address={self.address!r})"


def verify_point(digest: bytes, signature: bytes, coordinates: bytes) -> str:
    """The EIP-55 address of the key with these `coordinates` (x ‖ y), if it made `signature` over `digest`.

    `signature` is r ‖ s. Only low-s signatures count: with the other half admitted, anyone could turn one
    valid signature into a second. Raises `SignatureError`.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    if s > _GROUP_ORDER // 2:
        raise SignatureError("the P256 signature's s is in the upper half of the range")
    try:
        key = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), b"\x04" + coordinates)
        key.verify(encode_dss_signature(r, s), digest, _algorithm())
    except ValueError as error:
        raise SignatureError("the P256 signature's public key is no point of the curve") from error
    except InvalidSignature as error:
        raise SignatureError("the P256 signature was not made by the public key that it names") from error
    return account_address(coordinates)


def _algorithm(*, deterministic: bool = False) -> ECDSA:
    """ECDSA over what is a hash already."""
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
    from cryptography.hazmat.primitives.hashes import SHA256

    return ECDSA(Prehashed(SHA256()), deterministic_signing=deterministic)


def _private_key(number: int) -> EllipticCurvePrivateKey:
    try:
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as error:
        raise ImportError(
            "P-256 keys need cryptography, which is not installed: pip install 'coinslot[tempo]'"
        ) from error
    return ec.derive_private_key(number, ec.SECP256R1())
