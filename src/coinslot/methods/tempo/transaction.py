"""The Tempo Transaction: an EIP-2718 envelope of type 0x76.

    0x76 ‖ rlp([chain id, max priority fee, max fee, gas limit, [[to, value, data], …], access list,
                nonce key, nonce, valid before, valid after, fee token, fee payer's signature,
                authorization list, key authorization?, sender's signature?])

A sequence in the fourteenth place is the key authorization, a byte string there is the signature. The sender
signs the same list without the signature. Where somebody else pays the fee, what the sender signs has an
empty fee token and a single zero byte for the fee payer's signature: the fee payer chooses and signs later.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from coinslot.errors import CoinslotError
from coinslot.methods.tempo import rlp
from coinslot.methods.tempo.keys import (
    ADDRESS_LENGTH,
    SIGNATURE_LENGTH,
    PrivateKey,
    SignatureError,
    checksum_address,
    keccak256,
    recover_address,
)
from coinslot.methods.tempo.rlp import Item, Items

TRANSACTION_TYPE: Final = 0x76
FEE_PAYER_TYPE: Final = 0x78

MAX_TRANSACTION_SIZE: Final = 32 * 1024
"""Bytes of an envelope that `Transaction.decode` reads. A payment has a few hundred."""

EXPIRING_NONCE_KEY: Final = 2**256 - 1
"""The nonce lane whose transactions are told apart by hash, and which demands `valid_before`."""

FEE_PAYER_PLACEHOLDER: Final = b"\x00"
"""Stands where a fee payer is yet to sign."""

_BITS: Final = {
    "chain_id": 64,
    "max_priority_fee_per_gas": 128,
    "max_fee_per_gas": 128,
    "gas_limit": 64,
    "nonce_key": 256,
    "nonce": 64,
    "valid_before": 64,
    "valid_after": 64,
}

# A secp256k1 signature has 65 bytes and no type; all others begin with one.
_SIGNATURE_TYPES: Final = {
    0x01: "P256",
    0x02: "WebAuthn",
    0x03: "keychain",
    0x04: "keychain (version 2)",
    0x05: "configurable account",
}


class TransactionError(CoinslotError):
    """Bytes that are not a Tempo Transaction, or values that cannot be in one."""


class Call(Struct, frozen=True):
    """One call of the batch: to whom (20 bytes; None creates a contract), native value, calldata."""

    to: bytes | None
    value: int
    data: bytes

    def __post_init__(self) -> None:
        if self.to is not None and len(self.to) != ADDRESS_LENGTH:
            raise TransactionError(f"a call goes to an address of {ADDRESS_LENGTH} bytes, not {len(self.to)}")
        if not 0 <= self.value < 2**256:
            raise TransactionError("a call's value does not fit 256 bits")

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [
            ("to", None if self.to is None else checksum_address(self.to)),
            ("value", self.value),
            ("data", f"<{len(self.data)} bytes>"),
        ]

    def __repr__(self) -> str:
        return _repr(self)


class Transaction(Struct, frozen=True, kw_only=True):
    """A Tempo Transaction, signed or not.

    Fees are in attodollars (10⁻¹⁸) per gas, `valid_before` and `valid_after` in Unix seconds.
    `fee_payer_signature` is None (the sender pays the fee), `FEE_PAYER_PLACEHOLDER`, or 65 bytes r ‖ s ‖ v.
    `signature` is the sender's, as it is in the envelope. Access list, authorization list and key
    authorization are kept as the RLP has them.

    Constructing one with values that the envelope cannot hold raises `TransactionError`. `repr` shows neither
    signatures nor calldata.
    """

    chain_id: int
    max_priority_fee_per_gas: int
    max_fee_per_gas: int
    gas_limit: int
    calls: tuple[Call, ...]
    access_list: Items = ()
    nonce_key: int = 0
    nonce: int = 0
    valid_before: int | None = None
    valid_after: int | None = None
    fee_token: bytes | None = None
    fee_payer_signature: bytes | None = None
    authorization_list: Items = ()
    key_authorization: Items | None = None
    signature: bytes | None = None

    def __post_init__(self) -> None:
        for name, bits in _BITS.items():
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1 << bits:
                raise TransactionError(f"{name} does not fit {bits} bits")
        if self.valid_before == 0 or self.valid_after == 0:
            raise TransactionError("a validity bound of 0 cannot be told from none")
        if not self.calls:
            raise TransactionError("a transaction without calls")
        if self.fee_token is not None and len(self.fee_token) != ADDRESS_LENGTH:
            raise TransactionError(
                f"the fee token is an address of {ADDRESS_LENGTH} bytes, not {len(self.fee_token)}"
            )
        _check_signature(self.signature)
        _check_fee_payer_signature(self.fee_payer_signature)

    def encode(self) -> bytes:
        """The envelope's bytes, as they are broadcast. Unsigned, they end without a signature."""
        fields = self._fields(self.fee_token, _encode_fee_payer_signature(self.fee_payer_signature))
        if self.signature is not None:
            fields.append(self.signature)
        return bytes([TRANSACTION_TYPE]) + rlp.encode(tuple(fields))

    @classmethod
    def decode(cls, data: bytes) -> Transaction:
        """Read an envelope of type 0x76, signed or not.

        Strict: what is read, `encode` writes again byte for byte. Nodes read more than that (bytes after the
        end, a signature with a bare parity), rewrite it, and know the result by another hash than the bytes
        have: a payment could not be found again. Raises `TransactionError`.
        """
        if len(data) > MAX_TRANSACTION_SIZE:
            raise TransactionError(f"a transaction of more than {MAX_TRANSACTION_SIZE} bytes")
        if data[:1] != bytes([TRANSACTION_TYPE]):
            raise TransactionError(_describe_type(data))
        try:
            fields = rlp.decode(data[1:])
        except rlp.RLPError as error:
            raise TransactionError(f"the transaction is not canonical RLP: {error}") from error
        if isinstance(fields, bytes) or len(fields) < 13:
            raise TransactionError("a transaction is a sequence of 13 to 15 fields")
        key_authorization, signature = _decode_tail(fields[13:])
        return cls(
            chain_id=_decode_integer(fields[0]),
            max_priority_fee_per_gas=_decode_integer(fields[1]),
            max_fee_per_gas=_decode_integer(fields[2]),
            gas_limit=_decode_integer(fields[3]),
            calls=tuple(_decode_call(call) for call in _sequence(fields[4])),
            access_list=_sequence(fields[5]),
            nonce_key=_decode_integer(fields[6]),
            nonce=_decode_integer(fields[7]),
            valid_before=_decode_integer(fields[8]) or None,
            valid_after=_decode_integer(fields[9]) or None,
            fee_token=_string(fields[10]) or None,
            fee_payer_signature=_decode_fee_payer_signature(fields[11]),
            authorization_list=_sequence(fields[12]),
            key_authorization=key_authorization,
            signature=signature,
        )

    def signing_hash(self) -> bytes:
        """What the sender signs. The same with the fee payer's placeholder and with its signature."""
        if self.fee_payer_signature is None:
            fields = self._fields(self.fee_token, b"")
        else:
            fields = self._fields(None, FEE_PAYER_PLACEHOLDER)
        return keccak256(bytes([TRANSACTION_TYPE]) + rlp.encode(tuple(fields)))

    def sign(self, key: PrivateKey) -> Transaction:
        """This transaction with the signature of `key`'s account as its sender."""
        return replace(self, signature=key.sign(self.signing_hash()))

    def sender(self) -> str:
        """The EIP-55 address of the account that signed. Raises `SignatureError`.

        Only secp256k1 signatures are supported; the error names the type of any other.
        """
        if self.signature is None:
            raise SignatureError("the transaction is not signed")
        if len(self.signature) != SIGNATURE_LENGTH:
            kind = _SIGNATURE_TYPES.get(self.signature[0])
            raise SignatureError(
                f"the transaction's signature is of type {kind}; only secp256k1 is supported"
                if kind
                else "the transaction's signature is of no known type"
            )
        return recover_address(self.signing_hash(), self.signature)

    def hash(self) -> bytes:
        """The 32 bytes by which the chain knows the transaction. Raises `TransactionError` if unsigned."""
        if self.signature is None:
            raise TransactionError("a transaction has no hash before it is signed")
        return keccak256(self.encode())

    def _fields(self, fee_token: bytes | None, fee_payer_signature: Item) -> list[Item]:
        """The envelope's fields up to the sender's signature, with the two on which signers differ."""
        fields: list[Item] = [
            _encode_integer(self.chain_id),
            _encode_integer(self.max_priority_fee_per_gas),
            _encode_integer(self.max_fee_per_gas),
            _encode_integer(self.gas_limit),
            tuple((call.to or b"", _encode_integer(call.value), call.data) for call in self.calls),
            self.access_list,
            _encode_integer(self.nonce_key),
            _encode_integer(self.nonce),
            _encode_integer(self.valid_before or 0),
            _encode_integer(self.valid_after or 0),
            fee_token or b"",
            fee_payer_signature,
            self.authorization_list,
        ]
        if self.key_authorization is not None:
            fields.append(self.key_authorization)
        return fields

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [
            ("chain_id", self.chain_id),
            ("max_priority_fee_per_gas", self.max_priority_fee_per_gas),
            ("max_fee_per_gas", self.max_fee_per_gas),
            ("gas_limit", self.gas_limit),
            ("calls", self.calls),
            ("nonce_key", "expiring" if self.nonce_key == EXPIRING_NONCE_KEY else self.nonce_key),
            ("nonce", self.nonce),
            ("valid_before", self.valid_before),
            ("valid_after", self.valid_after),
            ("fee_token", None if self.fee_token is None else checksum_address(self.fee_token)),
            ("signed", self.signature is not None),
        ]

    def __repr__(self) -> str:
        return _repr(self)


def _repr(value: Call | Transaction) -> str:
    # msgspec gives every Struct a `__rich_repr__` that shows all fields, so that one has to be safe too.
    members = ", ".join(f"{name}={member!r}" for name, member in value.__rich_repr__())
    return f"{type(value).__name__}({members})"


def _describe_type(data: bytes) -> str:
    if data[:1] == bytes([FEE_PAYER_TYPE]):
        return "an envelope for a fee payer (type 0x78), where a transaction (type 0x76) belongs"
    return "not a Tempo Transaction: its first byte is not 0x76"


def _encode_integer(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8)


def _decode_integer(item: Item) -> int:
    data = _string(item)
    if data[:1] == b"\x00":
        raise TransactionError("an integer has leading zeros")
    return int.from_bytes(data)


def _string(item: Item) -> bytes:
    if not isinstance(item, bytes):
        raise TransactionError("a sequence stands where a byte string belongs")
    return item


def _sequence(item: Item) -> Items:
    if isinstance(item, bytes):
        raise TransactionError("a byte string stands where a sequence belongs")
    return item


def _decode_call(item: Item) -> Call:
    fields = _sequence(item)
    if len(fields) != 3:
        raise TransactionError("a call is a sequence of 3 fields")
    return Call(to=_string(fields[0]) or None, value=_decode_integer(fields[1]), data=_string(fields[2]))


def _decode_tail(fields: Items) -> tuple[Items | None, bytes | None]:
    """Key authorization and signature, either of which may be absent."""
    key_authorization = None
    if fields and not isinstance(fields[0], bytes):
        key_authorization, fields = fields[0], fields[1:]
    if len(fields) > 1:
        raise TransactionError("a field follows the signature")
    return key_authorization, _string(fields[0]) if fields else None


def _check_signature(signature: bytes | None) -> None:
    if signature == b"":
        raise TransactionError("the signature is empty")
    if signature is not None and len(signature) == SIGNATURE_LENGTH and signature[64] not in (27, 28):
        raise TransactionError("the last byte (v) of the signature is neither 27 nor 28")


def _check_fee_payer_signature(signature: bytes | None) -> None:
    if signature is None or signature == FEE_PAYER_PLACEHOLDER:
        return
    if len(signature) != SIGNATURE_LENGTH or signature[64] not in (27, 28):
        raise TransactionError("the fee payer's signature is not 65 bytes that end in 27 or 28")


def _encode_fee_payer_signature(signature: bytes | None) -> Item:
    """Unlike the sender's, the fee payer's signature is a sequence: parity, r, s."""
    if signature is None or signature == FEE_PAYER_PLACEHOLDER:
        return signature or b""
    parity, r, s = signature[64] - 27, int.from_bytes(signature[:32]), int.from_bytes(signature[32:64])
    return _encode_integer(parity), _encode_integer(r), _encode_integer(s)


def _decode_fee_payer_signature(item: Item) -> bytes | None:
    if isinstance(item, bytes):
        if item not in (b"", FEE_PAYER_PLACEHOLDER):
            raise TransactionError(
                "the fee payer's signature is neither absent, nor a zero byte, nor a sequence"
            )
        return item or None
    if len(item) != 3:
        raise TransactionError("the fee payer's signature is not a sequence of 3 integers")
    parity, r, s = (_decode_integer(part) for part in item)
    if parity > 1 or max(r, s) >= 1 << 256:
        raise TransactionError("the fee payer's signature has an integer out of range")
    return r.to_bytes(32) + s.to_bytes(32) + bytes([27 + parity])
