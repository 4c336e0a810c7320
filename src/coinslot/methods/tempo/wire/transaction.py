"""The Tempo Transaction: an EIP-2718 envelope of type 0x76.

    0x76 ‖ rlp([chain id, max priority fee, max fee, gas limit, [[to, value, data], …], access list,
                nonce key, nonce, valid before, valid after, fee token, fee payer's signature,
                authorization list, key authorization?, sender's signature?])

A sequence in the fourteenth place is the key authorization, a byte string there is the signature. The sender
signs the same list without the signature. Where somebody else pays the fee, what the sender signs has an
empty fee token and a single zero byte for the fee payer's signature: the fee payer chooses and signs later.
It signs the list with its token and the sender's address in the place of its own signature, behind 0x78.

On the way from one to the other the transaction is spelled in either of two ways: 0x76 as the sender signed
it (draft-tempo-charge §Server-Paid Fees), or 0x78 with the sender's address where the fee payer's signature
will be, as other implementations of the protocol write it.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from coinslot.errors import CoinslotError
from coinslot.methods.tempo.keys import (
    ADDRESS_LENGTH,
    SIGNATURE_LENGTH,
    PrivateKey,
    SignatureError,
    checksum_address,
    keccak256,
    parse_address,
    recover_address,
)
from coinslot.methods.tempo.wire import rlp
from coinslot.methods.tempo.wire.key_authorization import KeyAuthorization, KeyAuthorizationError
from coinslot.methods.tempo.wire.rlp import Item, Items
from coinslot.methods.tempo.wire.signatures import (
    Signer,
    SigningKey,
    check_spelling,
    from_items,
    recover_signer,
    to_items,
)

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
    `signature` is the sender's, as it is in the envelope. Access list and authorization list are kept as the
    RLP has them. A key authorization is signed.

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
    key_authorization: KeyAuthorization | None = None
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
        if self.key_authorization is not None and self.key_authorization.signature is None:
            raise TransactionError("the key authorization is not signed")
        if self.signature is not None:
            _check_signature(self.signature)
        _check_fee_payer_signature(self.fee_payer_signature)

    def encode(self) -> bytes:
        """The envelope's bytes, as they are broadcast. Unsigned, they end without a signature."""
        fields = self._fields(self.fee_token, _fee_payer_item(self.fee_payer_signature))
        if self.signature is not None:
            fields = (*fields, self.signature)
        return bytes([TRANSACTION_TYPE]) + rlp.encode(fields)

    @classmethod
    def decode(cls, data: bytes) -> Transaction:
        """Read an envelope of type 0x76, signed or not.

        Strict: what is read, `encode` writes again byte for byte. Nodes read more than that (bytes after the
        end, a signature with a bare parity), rewrite it, and know the result by another hash than the bytes
        have: a payment could not be found again. Raises `TransactionError`.
        """
        return cls._from_fields(_read_fields(data, TRANSACTION_TYPE))

    @classmethod
    def decode_sponsored(cls, data: bytes) -> Transaction:
        """Read a transaction whose sender has signed, and left the fee to somebody else, in either spelling.

        The result awaits its fee payer: it has `FEE_PAYER_PLACEHOLDER` and no fee token. Strict as `decode`
        is. Raises `TransactionError`, also where 0x78 names another sender than the one that signed.
        """
        if data[:1] != bytes([FEE_PAYER_TYPE]):
            transaction = cls.decode(data)
            transaction._check_awaits_fee_payer()
            return transaction
        fields = _read_fields(data, FEE_PAYER_TYPE)
        transaction = cls._from_fields((*fields[:11], FEE_PAYER_PLACEHOLDER, *fields[12:]))
        transaction._check_awaits_fee_payer()
        try:
            sender = transaction.sender()
        except SignatureError as error:
            raise TransactionError(
                f"the sender that the transaction names cannot be checked: {error}"
            ) from error
        if fields[11] != parse_address(sender):
            raise TransactionError("the transaction names another sender than the one that signed it")
        return transaction

    def encode_sponsored(self) -> bytes:
        """The bytes of type 0x78 that hand a signed transaction over to its fee payer.

        Raises `TransactionError` if it awaits none, and `SignatureError`.
        """
        self._check_awaits_fee_payer()
        fields = self._fields(None, parse_address(self.sender()))
        return bytes([FEE_PAYER_TYPE]) + rlp.encode((*fields, self.signature or b""))

    def signing_hash(self) -> bytes:
        """What the sender signs. The same with the fee payer's placeholder and with its signature."""
        if self.fee_payer_signature is None:
            fields = self._fields(self.fee_token, b"")
        else:
            fields = self._fields(None, FEE_PAYER_PLACEHOLDER)
        return keccak256(bytes([TRANSACTION_TYPE]) + rlp.encode(fields))

    def sign(self, key: SigningKey) -> Transaction:
        """This transaction with the signature of `key`, whose account is its sender."""
        return replace(self, signature=key.sign(self.signing_hash()))

    def signer(self) -> Signer:
        """The account that sends this, and the key that signed for it. Raises `SignatureError`.

        That an access key may sign for the account, only the chain can tell.
        """
        if self.signature is None:
            raise SignatureError("the transaction is not signed")
        return recover_signer(self.signing_hash(), self.signature)

    def sender(self) -> str:
        """The EIP-55 address of the account that sends this. Raises `SignatureError`, as `signer` does."""
        return self.signer().account

    def fee_payer_hash(self) -> bytes:
        """What a fee payer signs, which includes the fee token and the sender. Raises `SignatureError`."""
        fields = self._fields(self.fee_token, parse_address(self.sender()))
        return keccak256(bytes([FEE_PAYER_TYPE]) + rlp.encode(fields))

    def co_sign(self, key: PrivateKey, fee_token: bytes) -> Transaction:
        """This transaction with the signature of `key` as its fee payer, who pays in `fee_token` (20 bytes).

        The sender has to have signed. Raises `TransactionError` if it awaits no fee payer, and
        `SignatureError`.
        """
        self._check_awaits_fee_payer()
        chosen = replace(self, fee_token=fee_token)
        return replace(chosen, fee_payer_signature=key.sign(chosen.fee_payer_hash()))

    def fee_payer(self) -> str | None:
        """The EIP-55 address of who signed as fee payer, or None if nobody did. Raises `SignatureError`."""
        if self.fee_payer_signature in (None, FEE_PAYER_PLACEHOLDER):
            return None
        return recover_address(self.fee_payer_hash(), self.fee_payer_signature)

    def hash(self) -> bytes:
        """The 32 bytes by which the chain knows the transaction. Raises `TransactionError` if unsigned."""
        if self.signature is None:
            raise TransactionError("a transaction has no hash before it is signed")
        return keccak256(self.encode())

    def _check_awaits_fee_payer(self) -> None:
        if self.fee_payer_signature != FEE_PAYER_PLACEHOLDER:
            raise TransactionError("the transaction does not await a fee payer")
        if self.fee_token is not None:
            raise TransactionError("the fee token is set, which is for the fee payer to choose")
        if self.signature is None:
            raise TransactionError("the transaction awaits a fee payer, and its sender has not signed it")

    @classmethod
    def _from_fields(cls, fields: Items) -> Transaction:
        try:
            key_authorization, signature = _read_tail(fields[13:])
            return cls(
                chain_id=rlp.read_integer(fields[0]),
                max_priority_fee_per_gas=rlp.read_integer(fields[1]),
                max_fee_per_gas=rlp.read_integer(fields[2]),
                gas_limit=rlp.read_integer(fields[3]),
                calls=tuple(map(_read_call, rlp.read_sequence(fields[4]))),
                access_list=rlp.read_sequence(fields[5]),
                nonce_key=rlp.read_integer(fields[6]),
                nonce=rlp.read_integer(fields[7]),
                valid_before=rlp.read_integer(fields[8]) or None,
                valid_after=rlp.read_integer(fields[9]) or None,
                fee_token=rlp.read_string(fields[10]) or None,
                fee_payer_signature=_read_fee_payer_signature(fields[11]),
                authorization_list=rlp.read_sequence(fields[12]),
                key_authorization=key_authorization,
                signature=signature,
            )
        except (rlp.RLPError, KeyAuthorizationError) as error:
            raise TransactionError(f"the transaction is malformed: {error}") from error

    def _fields(self, fee_token: bytes | None, fee_payer: Item) -> Items:
        """The envelope's fields up to the sender's signature, with the two on which signers differ."""
        return (
            rlp.encode_integer(self.chain_id),
            rlp.encode_integer(self.max_priority_fee_per_gas),
            rlp.encode_integer(self.max_fee_per_gas),
            rlp.encode_integer(self.gas_limit),
            tuple((call.to or b"", rlp.encode_integer(call.value), call.data) for call in self.calls),
            self.access_list,
            rlp.encode_integer(self.nonce_key),
            rlp.encode_integer(self.nonce),
            rlp.encode_integer(self.valid_before or 0),
            rlp.encode_integer(self.valid_after or 0),
            fee_token or b"",
            fee_payer,
            self.authorization_list,
            *(() if self.key_authorization is None else (self.key_authorization.to_items(),)),
        )

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


def _read_fields(data: bytes, envelope_type: int) -> Items:
    if len(data) > MAX_TRANSACTION_SIZE:
        raise TransactionError(f"a transaction of more than {MAX_TRANSACTION_SIZE} bytes")
    if data[:1] != bytes([envelope_type]):
        raise TransactionError(_describe_type(data))
    try:
        fields = rlp.decode(data[1:])
    except rlp.RLPError as error:
        raise TransactionError(f"the transaction is not canonical RLP: {error}") from error
    if isinstance(fields, bytes) or len(fields) < 13:
        raise TransactionError("a transaction is a sequence of 13 to 15 fields")
    return fields


def _read_call(item: Item) -> Call:
    to, value, data = rlp.read_sequence(item, 3)
    return Call(to=rlp.read_string(to) or None, value=rlp.read_integer(value), data=rlp.read_string(data))


def _read_tail(fields: Items) -> tuple[KeyAuthorization | None, bytes | None]:
    """Key authorization and signature, either of which may be absent."""
    key_authorization = None
    if fields and not isinstance(fields[0], bytes):
        key_authorization, fields = KeyAuthorization.from_items(fields[0]), fields[1:]
    if len(fields) > 1:
        raise TransactionError("a field follows the signature")
    return key_authorization, rlp.read_string(fields[0]) if fields else None


def _check_signature(signature: bytes) -> None:
    try:
        check_spelling(signature)
    except SignatureError as error:
        raise TransactionError(str(error)) from error


def _check_fee_payer_signature(signature: bytes | None) -> None:
    if signature is None or signature == FEE_PAYER_PLACEHOLDER:
        return
    if len(signature) != SIGNATURE_LENGTH or signature[64] not in (27, 28):
        raise TransactionError("the fee payer's signature is not 65 bytes that end in 27 or 28")


def _fee_payer_item(signature: bytes | None) -> Item:
    if signature is None or signature == FEE_PAYER_PLACEHOLDER:
        return signature or b""
    return to_items(signature)


def _read_fee_payer_signature(item: Item) -> bytes | None:
    if not isinstance(item, bytes):
        return from_items(item)
    if item not in (b"", FEE_PAYER_PLACEHOLDER):
        raise TransactionError("the fee payer's signature is neither absent, nor a zero byte, nor a sequence")
    return item or None
