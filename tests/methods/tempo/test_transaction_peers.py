"""The transaction envelope, byte for byte what viem and pytempo write."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings, strategies as st
from msgspec.structs import replace
from pytempo import Call as PytempoCall, TempoTransaction  # type: ignore[import-untyped]  # no annotations

from coinslot.methods.tempo import rlp
from coinslot.methods.tempo.keys import PrivateKey, SignatureError, keccak256, parse_address, recover_address
from coinslot.methods.tempo.transaction import (
    EXPIRING_NONCE_KEY,
    FEE_PAYER_PLACEHOLDER,
    Call,
    Transaction,
    TransactionError,
)


class CallFields(msgspec.Struct):
    """A call as viem was given it."""

    value: str
    data: str
    to: str | None = None


class Fields(msgspec.Struct, rename="camel"):
    """A transaction as viem was given it; integers are decimal strings."""

    chain_id: str
    max_priority_fee_per_gas: str
    max_fee_per_gas: str
    gas: str
    calls: list[CallFields]
    nonce_key: str
    nonce: str
    awaits_fee_payer: bool
    valid_before: str | None = None
    valid_after: str | None = None
    fee_token: str | None = None
    access_list: list[tuple[str, list[str]]] = []


class Vector(msgspec.Struct, rename="camel"):
    """A transaction that viem has serialized and signed."""

    name: str
    fields: Fields
    unsigned: str
    signing_hash: str
    serialized: str
    hash: str
    sender: str


class FeePayerSignature(msgspec.Struct, rename="camel"):
    """A fee payer's signature in viem's parts."""

    r: str
    s: str
    y_parity: int


class Sponsored(msgspec.Struct, rename="camel"):
    """A transaction that a payer and a fee payer have signed, and what the payer handed over before."""

    fields: Fields
    signing_hash: str
    serialized: str
    hash: str
    sender: str
    fee_payer_signature: FeePayerSignature
    handed_over: str


class OtherSignature(msgspec.Struct):
    """A transaction that was not signed with secp256k1."""

    type: str
    serialized: str


class Vectors(msgspec.Struct, rename="camel"):
    """The part of viem_vectors.json that concerns transactions."""

    private_key: str
    transactions: list[Vector]
    sponsored: Sponsored
    other_signature_types: list[OtherSignature]


VECTORS = msgspec.json.decode((Path(__file__).parent / "viem_vectors.json").read_bytes(), type=Vectors)
KEY = PrivateKey.from_hex(VECTORS.private_key)
SPONSOR = PrivateKey.from_hex("0x" + "22" * 32)
each_vector = pytest.mark.parametrize("vector", VECTORS.transactions, ids=lambda vector: vector.name)


def raw(text: str) -> bytes:
    """The bytes of 0x-prefixed hexadecimal."""
    return bytes.fromhex(text.removeprefix("0x"))


def integer(text: str | None) -> int | None:
    """An optional decimal string as a number."""
    return None if text is None else int(text)


def build(fields: Fields) -> Transaction:
    """The transaction that viem was given, unsigned."""
    return Transaction(
        chain_id=int(fields.chain_id),
        max_priority_fee_per_gas=int(fields.max_priority_fee_per_gas),
        max_fee_per_gas=int(fields.max_fee_per_gas),
        gas_limit=int(fields.gas),
        calls=tuple(
            Call(None if call.to is None else parse_address(call.to), int(call.value), raw(call.data))
            for call in fields.calls
        ),
        access_list=tuple((raw(address), tuple(map(raw, keys))) for address, keys in fields.access_list),
        nonce_key=int(fields.nonce_key),
        nonce=int(fields.nonce),
        valid_before=integer(fields.valid_before),
        valid_after=integer(fields.valid_after),
        fee_token=None if fields.fee_token is None else parse_address(fields.fee_token),
        fee_payer_signature=FEE_PAYER_PLACEHOLDER if fields.awaits_fee_payer else None,
    )


@each_vector
def test_signs_as_viem_does(vector: Vector) -> None:
    """From viem's fields come viem's bytes: unsigned, signed, hashed for signing and hashed for the chain."""
    transaction = build(vector.fields)
    # A key authorization is taken from viem's bytes: it is carried, not made.
    transaction = replace(
        transaction, key_authorization=Transaction.decode(raw(vector.unsigned)).key_authorization
    )
    assert transaction.encode() == raw(vector.unsigned)
    assert transaction.signing_hash() == raw(vector.signing_hash)
    signed = transaction.sign(KEY)
    assert signed.encode() == raw(vector.serialized)
    assert signed.hash() == raw(vector.hash)


@each_vector
def test_reads_what_viem_writes(vector: Vector) -> None:
    """viem's bytes decode to viem's fields, its hash and its sender, and encode to the same bytes."""
    decoded = Transaction.decode(raw(vector.serialized))
    unsigned = replace(decoded, signature=None, key_authorization=None)
    assert unsigned == build(vector.fields)
    assert decoded.encode() == raw(vector.serialized)
    assert decoded.sender() == vector.sender
    assert decoded.hash() == raw(vector.hash)


def test_reads_a_sponsored_transaction() -> None:
    """With both signatures, the payer's covers no fee token, and the fee payer's is read as 65 bytes."""
    vector = VECTORS.sponsored
    decoded = Transaction.decode(raw(vector.serialized))
    parts = vector.fee_payer_signature
    assert decoded.fee_payer_signature == raw(parts.r) + raw(parts.s) + bytes([27 + parts.y_parity])
    assert replace(decoded, signature=None, fee_payer_signature=None) == build(vector.fields)
    assert decoded.signing_hash() == raw(vector.signing_hash)
    assert decoded.sender() == vector.sender
    assert decoded.hash() == raw(vector.hash)
    assert decoded.encode() == raw(vector.serialized)


def test_the_fee_payers_signature_is_kept() -> None:
    """As it was read, it recovers to the fee payer over the 0x78 envelope that names the sender."""
    encoded = raw(VECTORS.sponsored.serialized)
    signature = Transaction.decode(encoded).fee_payer_signature
    fields = rlp.decode(encoded[1:])
    assert isinstance(fields, tuple)
    assert signature is not None
    signed = (*fields[:11], parse_address(VECTORS.sponsored.sender), *fields[12:-1])
    assert recover_address(keccak256(b"\x78" + rlp.encode(signed)), signature) == SPONSOR.address


def test_an_envelope_for_a_fee_payer_is_named() -> None:
    """What is handed over to a fee payer is not a transaction yet, and the error says what it is."""
    with pytest.raises(TransactionError, match="fee payer"):
        Transaction.decode(raw(VECTORS.sponsored.handed_over))


@pytest.mark.parametrize("vector", VECTORS.other_signature_types, ids=lambda vector: vector.type)
def test_other_signature_types_are_named(vector: OtherSignature) -> None:
    """Transactions signed otherwise are read and hashed; asking for the sender names the signature's type."""
    decoded = Transaction.decode(raw(vector.serialized))
    assert decoded.encode() == raw(vector.serialized)
    with pytest.raises(SignatureError, match=vector.type):
        decoded.sender()


def test_the_expiring_nonce_key_is_viems() -> None:
    """The nonce key that viem gives an expiring transaction is the one that is named here."""
    expiring = [vector for vector in VECTORS.transactions if "expiring" in vector.name]
    assert expiring
    for vector in expiring:
        assert Transaction.decode(raw(vector.serialized)).nonce_key == EXPIRING_NONCE_KEY


addresses = st.binary(min_size=20, max_size=20)
moments = st.none() | st.integers(1, 2**64 - 1)


@st.composite
def transactions(draw: st.DrawFn) -> Transaction:
    """Unsigned transactions whose fees and validity make sense: pytempo refuses others."""
    max_fee = draw(st.integers(0, 2**128 - 1))
    valid_before = draw(moments)
    calls = st.builds(Call, st.none() | addresses, st.integers(0, 2**256 - 1), st.binary(max_size=110))
    return Transaction(
        chain_id=draw(st.integers(1, 2**64 - 1)),
        max_priority_fee_per_gas=draw(st.integers(0, max_fee)),
        max_fee_per_gas=max_fee,
        gas_limit=draw(st.integers(1, 2**64 - 1)),
        calls=tuple(draw(st.lists(calls, min_size=1, max_size=4))),
        nonce_key=draw(st.just(EXPIRING_NONCE_KEY) | st.integers(0, EXPIRING_NONCE_KEY)),
        nonce=draw(st.integers(0, 2**64 - 1)),
        valid_before=valid_before,
        valid_after=draw(moments if valid_before is None else st.none() | st.integers(1, valid_before)),
        fee_token=draw(st.none() | addresses),
    )


def as_pytempo(transaction: Transaction) -> TempoTransaction:
    """The same transaction in pytempo, unsigned."""
    return TempoTransaction.create(
        chain_id=transaction.chain_id,
        gas_limit=transaction.gas_limit,
        max_fee_per_gas=transaction.max_fee_per_gas,
        max_priority_fee_per_gas=transaction.max_priority_fee_per_gas,
        nonce=transaction.nonce,
        nonce_key=transaction.nonce_key,
        valid_before=transaction.valid_before,
        valid_after=transaction.valid_after,
        fee_token=transaction.fee_token,
        awaiting_fee_payer=transaction.fee_payer_signature is not None,
        calls=tuple(PytempoCall.create(call.to or b"", call.value, call.data) for call in transaction.calls),
    )


@settings(max_examples=50)
@given(transactions())
def test_signs_as_pytempo_does(transaction: Transaction) -> None:
    """pytempo makes the same signing hash, bytes and transaction hash of the same fields."""
    signed = as_pytempo(transaction).sign(KEY.to_hex())
    assert transaction.signing_hash() == signed.get_signing_hash()
    assert transaction.sign(KEY).encode() == signed.encode()
    assert transaction.sign(KEY).hash() == signed.hash()


@settings(max_examples=50)
@given(transactions())
def test_is_sponsored_as_pytempo_does(transaction: Transaction) -> None:
    """The payer's signature and the place of the fee payer's are where pytempo has them."""
    transaction = replace(transaction, fee_payer_signature=FEE_PAYER_PLACEHOLDER)
    sponsored = as_pytempo(transaction).sign(KEY.to_hex()).sign(SPONSOR.to_hex(), for_fee_payer=True)
    fee_payer_signature = SPONSOR.sign(sponsored.get_signing_hash(for_fee_payer=True))
    signed = replace(transaction.sign(KEY), fee_payer_signature=fee_payer_signature)
    assert signed.encode() == sponsored.encode()
    assert signed.sender() == KEY.address
