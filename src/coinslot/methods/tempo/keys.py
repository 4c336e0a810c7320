"""Keys, signatures, hashes and addresses on secp256k1 and Keccak-256.

The one module that knows which libraries compute them: `coincurve` (libsecp256k1) and a Keccak wheel.
`hashlib.sha3_256` is the later standard with another padding, and of no use here.

    32-byte hash ── PrivateKey.sign ──► r ‖ s ‖ v ── recover_address ──► 0x…  (EIP-55)
"""

from __future__ import annotations

import re
from typing import Final

from coinslot.errors import CoinslotError, ConfigurationError

try:
    import coincurve
    import sha3  # type: ignore[import-untyped]  # safe-pysha3 ships no annotations
except ImportError as error:
    raise ImportError(
        "Tempo needs coincurve and safe-pysha3, which are not installed: pip install 'coinslot[tempo]'"
    ) from error

ADDRESS_LENGTH: Final = 20
HASH_LENGTH: Final = 32
SIGNATURE_LENGTH: Final = 65

_GROUP_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_SECRET: Final = re.compile(r"(?:0x)?[0-9a-fA-F]{64}")
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")

# Ethereum's v is 27 plus the parity of the curve point (EIP-155 came later and concerns other envelopes);
# some signers write the bare parity.
_PARITY: Final = {0: 0, 1: 1, 27: 0, 28: 1}


class SignatureError(CoinslotError):
    """A signature that proves nothing: malformed, not canonical, of an unsupported type, or missing."""


class AddressError(CoinslotError, ValueError):
    """Text that is not an address."""


def keccak256(data: bytes) -> bytes:
    """The 32-byte Keccak-256 hash of `data`."""
    digest: bytes = sha3.keccak_256(data).digest()
    return digest


class PrivateKey:
    """A secp256k1 private key. `repr` shows its address only."""

    __slots__ = ("_key", "address")

    address: str
    """The key's account, EIP-55 checksummed."""

    key_type: Final = "secp256k1"
    """The kind of key, as the node's RPC requests name it."""

    def __init__(self, secret: bytes) -> None:
        """Take 32 secret bytes, big-endian. Raises `ConfigurationError` if they are out of range."""
        if len(secret) != 32 or not 0 < int.from_bytes(secret) < _GROUP_ORDER:
            raise ConfigurationError("a private key is 32 bytes, from 1 to the order of secp256k1 less one")
        self._key = coincurve.PrivateKey(secret)
        self.address = _address_of(self._key.public_key)

    @classmethod
    def from_hex(cls, text: str) -> PrivateKey:
        """Read 64 hexadecimal digits, usually after `0x`. Raises `ConfigurationError`, without the text."""
        return cls(parse_secret(text))

    @classmethod
    def generate(cls) -> PrivateKey:
        """A new key from the operating system's randomness."""
        return cls(coincurve.PrivateKey().secret)

    def sign(self, hash32: bytes) -> bytes:
        """Sign a 32-byte hash: 65 bytes, r ‖ s ‖ v with s in the lower half and v 27 or 28.

        Deterministic (RFC 6979): the same hash gives the same signature. Raises `ValueError` if `hash32` is
        not 32 bytes.
        """
        signature = self._key.sign_recoverable(hash32, hasher=None)
        return signature[:64] + bytes([27 + signature[64]])

    def to_hex(self) -> str:
        """The secret itself, `0x` and 64 lower-case hexadecimal digits."""
        return "0x" + self._key.secret.hex()

    def __repr__(self) -> str:
        return f"PrivateKey(<redacted>, address={self.address!r})"


def parse_secret(text: str) -> bytes:
    """The 32 bytes of a private key written as 64 hexadecimal digits, usually after `0x`.

    Raises `ConfigurationError`, without the text.
    """
    if not _SECRET.fullmatch(text):
        raise ConfigurationError(
            f"a private key is 0x and 64 hexadecimal digits; what was given has {len(text)} characters"
        )
    return bytes.fromhex(text.removeprefix("0x"))


def recover_address(hash32: bytes, signature: bytes) -> str:
    """The EIP-55 address whose key made `signature` (65 bytes, r ‖ s ‖ v) over `hash32`.

    v is 27 or 28, or the bare parity. Only low-s signatures count (EIP-2): with the other half admitted,
    anyone could turn one valid signature into a second. Raises `SignatureError`.
    """
    if len(hash32) != HASH_LENGTH:
        raise SignatureError(f"a signature is over a hash of 32 bytes, not {len(hash32)}")
    if len(signature) != SIGNATURE_LENGTH:
        raise SignatureError(f"a secp256k1 signature has 65 bytes, not {len(signature)}")
    parity = _PARITY.get(signature[64])
    if parity is None:
        raise SignatureError("the signature's last byte (v) is none of 27, 28, 0 and 1")
    if int.from_bytes(signature[32:64]) > _GROUP_ORDER // 2:
        raise SignatureError("the signature's s is in the upper half of the range")
    try:
        public_key = coincurve.PublicKey.from_signature_and_message(
            signature[:64] + bytes([parity]), hash32, hasher=None
        )
    except ValueError as error:
        raise SignatureError("the signature belongs to no key") from error
    return _address_of(public_key)


def checksum_address(address: str | bytes) -> str:
    """The EIP-55 spelling of an address: `0x` and 40 hexadecimal digits whose case is a checksum.

    Raises `AddressError` if it is not 20 bytes, or not the hexadecimal form of 20 bytes.
    """
    raw = parse_address(address) if isinstance(address, str) else address
    if len(raw) != ADDRESS_LENGTH:
        raise AddressError(f"an address has 20 bytes, not {len(raw)}")
    digits = raw.hex()
    checksum = keccak256(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if nibble >= "8" else digit for digit, nibble in zip(digits, checksum, strict=False)
    )


def parse_address(text: str) -> bytes:
    """The 20 bytes of an address, written as `0x` and 40 hexadecimal digits.

    Any case is read, right or wrong as a checksum: peers write addresses in all of them, and the
    specification compares their bytes (draft-tempo-charge §Split Entry Schema). Raises `AddressError`,
    without the text: people paste keys where addresses belong.
    """
    if not _ADDRESS.fullmatch(text):
        raise AddressError(
            f"an address is 0x and 40 hexadecimal digits; what was given has {len(text)} characters"
        )
    return bytes.fromhex(text[2:])


def account_address(coordinates: bytes) -> str:
    """The EIP-55 address of the account of a public key, whose x and y are 32 bytes each.

    On every curve it is the last 20 bytes of their hash.
    """
    return checksum_address(keccak256(coordinates)[-ADDRESS_LENGTH:])


def _address_of(public_key: coincurve.PublicKey) -> str:
    return account_address(public_key.format(compressed=False)[1:])
