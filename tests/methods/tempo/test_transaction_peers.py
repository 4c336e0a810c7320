"""The transaction envelope, byte for byte what viem and pytempo write."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings, strategies as st
from msgspec.structs import replace
from pytempo import Call as PytempoCall, TempoTransaction  # type: ignore[import-untyped]  # no annotations

from coinslot.methods.tempo.keys import PrivateKey, parse_address
from coinslot.methods.tempo.wire.signatures import AccessKey, Signer
from coinslot.methods.tempo.wire.transaction import (
    EXPIRING_NONCE_KEY,
    FEE_PAYER_PLACEHOLDER,
    Call,
    Transaction,
    TransactionError,
)
from tempo_strategies import SIGNERS


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
    """A transaction that a payer has signed, in both spellings, and that a fee payer has signed then."""

    fields: Fields
    signing_hash: str
    awaiting: str
    handed_over: str
    fee_payer_hash: str
    serialized: str
    hash: str
    sender: str
    fee_payer: str
    fee_payer_signature: FeePayerSignature


class SignedOtherwise(msgspec.Struct):
    """A transaction that was signed with a key of some kind."""

    type: str
    serialized: str
    hash: str
    signer: dict[str, str]


class Vectors(msgspec.Struct, rename="camel"):
    """The part of viem_vectors.json that concerns transactions."""

    private_key: str
    transactions: list[Vector]
    sponsored: list[Sponsored]
    signed_otherwise: list[SignedOtherwise]


VECTORS = msgspec.json.decode((Path(__file__).parent / "viem_vectors.json").read_bytes(), type=Vectors)
KEY = PrivateKey.from_hex(VECTORS.private_key)
SPONSOR = PrivateKey.from_hex("0x" + "22" * 32)
each_vector = pytest.mark.parametrize("vector", VECTORS.transactions, ids=lambda vector: vector.name)
each_sponsored = pytest.mark.parametrize(
    "vector", VECTORS.sponsored, ids=["root", *(vector.type for vector in VECTORS.signed_otherwise)]
)


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
    # A key authorization is taken from viem's bytes; the tests of key authorizations make them.
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


@each_sponsored
def test_reads_a_sponsored_transaction(vector: Sponsored) -> None:
    """With both signatures, the payer's covers no fee token, and both are recovered."""
    decoded = Transaction.decode(raw(vector.serialized))
    parts = vector.fee_payer_signature
    assert decoded.fee_payer_signature == raw(parts.r) + raw(parts.s) + bytes([27 + parts.y_parity])
    assert replace(decoded, signature=None, fee_payer_signature=None) == build(vector.fields)
    assert decoded.signing_hash() == raw(vector.signing_hash)
    assert decoded.sender() == vector.sender
    assert decoded.fee_payer_hash() == raw(vector.fee_payer_hash)
    assert decoded.fee_payer() == vector.fee_payer == SPONSOR.address
    assert decoded.hash() == raw(vector.hash)
    assert decoded.encode() == raw(vector.serialized)


@each_sponsored
def test_takes_over_from_viem(vector: Sponsored) -> None:
    """Both spellings of what the payer hands over are one transaction, and are written again as they were."""
    transaction = Transaction.decode_sponsored(raw(vector.handed_over))
    assert Transaction.decode_sponsored(raw(vector.awaiting)) == transaction
    assert transaction.fee_payer_signature == FEE_PAYER_PLACEHOLDER
    assert transaction.fee_token is None
    assert transaction.sender() == vector.sender
    assert transaction.encode_sponsored() == raw(vector.handed_over)
    assert transaction.encode() == raw(vector.awaiting)


@each_sponsored
def test_co_signs_as_viem_does(vector: Sponsored) -> None:
    """From what the payer handed over comes the transaction that viem's fee payer makes of it."""
    fee_token = parse_address(vector.fields.fee_token or "")
    signed = Transaction.decode_sponsored(raw(vector.handed_over)).co_sign(SPONSOR, fee_token)
    assert signed.encode() == raw(vector.serialized)
    assert signed.hash() == raw(vector.hash)


@each_sponsored
def test_an_envelope_for_a_fee_payer_is_named(vector: Sponsored) -> None:
    """What is handed over to a fee payer is not a transaction yet, and the error says what it is."""
    with pytest.raises(TransactionError, match="fee payer"):
        Transaction.decode(raw(vector.handed_over))


@pytest.mark.parametrize("vector", VECTORS.signed_otherwise, ids=lambda vector: vector.type)
def test_every_kind_of_key_signs(vector: SignedOtherwise) -> None:
    """Transactions signed with a key of any kind are read, hashed, and name their signer as viem does."""
    decoded = Transaction.decode(raw(vector.serialized))
    assert decoded.encode() == raw(vector.serialized)
    assert decoded.hash() == raw(vector.hash)
    assert decoded.signer() == Signer(
        vector.signer["account"], vector.signer.get("accessKey"), vector.signer["keyType"]
    )
    if "WebAuthn" not in vector.type:  # a browser says more about a login than the key that signs it here
        assert decoded.sign(SIGNERS[vector.type]) == decoded


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
@given(transactions(), addresses)
def test_is_sponsored_as_pytempo_does(transaction: Transaction, fee_token: bytes) -> None:
    """The payer's signature, the fee payer's and its token are where pytempo has them."""
    awaiting = replace(transaction, fee_payer_signature=FEE_PAYER_PLACEHOLDER, fee_token=None).sign(KEY)
    theirs = as_pytempo(replace(awaiting, fee_token=fee_token)).sign(KEY.to_hex())
    sponsored = theirs.sign(SPONSOR.to_hex(), for_fee_payer=True)
    assert awaiting.co_sign(SPONSOR, fee_token).encode() == sponsored.encode()


@settings(max_examples=50)
@given(transactions())
def test_access_keys_sign_as_pytempos_do(transaction: Transaction) -> None:
    """An access key's signature for an account is pytempo's."""
    signed = as_pytempo(transaction).sign_access_key(SPONSOR.to_hex(), KEY.address)
    assert transaction.sign(AccessKey(SPONSOR, KEY.address)).encode() == signed.encode()
