"""The transaction envelope: what is read is exactly what is written, and everything else is refused."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings, strategies as st
from msgspec.structs import replace

from coinslot.methods.tempo.keys import PrivateKey, SignatureError
from coinslot.methods.tempo.wire import rlp
from coinslot.methods.tempo.wire.key_authorization import KeyAuthorization
from coinslot.methods.tempo.wire.signatures import Signer, SigningKey
from coinslot.methods.tempo.wire.tip20 import transfer, transfer_with_memo
from coinslot.methods.tempo.wire.transaction import (
    EXPIRING_NONCE_KEY,
    FEE_PAYER_PLACEHOLDER,
    MAX_TRANSACTION_SIZE,
    Call,
    Transaction,
    TransactionError,
)
from tempo_strategies import P256, SIGNERS, fee_payer_signatures, sequences, transactions

KEY = PrivateKey.from_hex("0x" + "11" * 32)
TOKEN = bytes.fromhex("20c0000000000000000000000000000000000000")
RECIPIENT = "0x742d35Cc6634c0532925a3b844bC9e7595F8fE00"

SIGNED = Transaction(
    chain_id=42431,
    max_priority_fee_per_gas=1_000_000_000,
    max_fee_per_gas=20_000_000_000,
    gas_limit=100_000,
    calls=(
        Call(TOKEN, 0, transfer_with_memo(RECIPIENT, 950_000, bytes(range(32)))),
        Call(TOKEN, 0, transfer(RECIPIENT, 50_000)),
    ),
    nonce_key=EXPIRING_NONCE_KEY,
    valid_before=1_893_456_000,
    fee_token=TOKEN,
).sign(KEY)
ENCODED = SIGNED.encode()


@given(transactions)
def test_transactions_round_trip(transaction: Transaction) -> None:
    """What was encoded decodes to an equal transaction."""
    assert Transaction.decode(transaction.encode()) == transaction


@given(transactions)
def test_a_signature_names_its_sender(transaction: Transaction) -> None:
    """A signed transaction recovers to the key's account, before and after the way over the wire."""
    signed = transaction.sign(KEY)
    assert signed.sender() == KEY.address
    assert Transaction.decode(signed.encode()).sender() == KEY.address


@given(transactions, fee_payer_signatures)
def test_the_fee_payer_may_sign_later(transaction: Transaction, fee_payer_signature: bytes) -> None:
    """Once there is a fee payer, neither its signature nor its token changes what the payer signs."""
    awaiting = replace(transaction, fee_payer_signature=FEE_PAYER_PLACEHOLDER, fee_token=None)
    paid = replace(transaction, fee_payer_signature=fee_payer_signature, fee_token=b"\x20" * 20)
    alone = replace(transaction, fee_payer_signature=None)
    assert awaiting.signing_hash() == paid.signing_hash()
    assert alone.signing_hash() != paid.signing_hash()


malformed = st.one_of(
    st.binary(max_size=200),
    st.binary(max_size=200).map(lambda tail: b"\x76" + tail),
    sequences.map(lambda fields: b"\x76" + rlp.encode(fields)),
    st.lists(st.binary(max_size=40) | sequences, min_size=12, max_size=16).map(
        lambda fields: b"\x76" + rlp.encode(tuple(fields))
    ),
)


@given(malformed)
def test_decoding_is_total(data: bytes) -> None:
    """Arbitrary bytes, and arbitrary items in the envelope, are a transaction of those bytes or an error."""
    try:
        decoded = Transaction.decode(data)
    except TransactionError:
        return
    assert decoded.encode() == data


@pytest.mark.parametrize("key", SIGNERS.values(), ids=SIGNERS)
@settings(max_examples=200)
@given(data=st.data())
def test_one_changed_byte_is_another_transaction(key: SigningKey, data: st.DataObject) -> None:
    """With a byte changed it is no transaction, or one with another hash and another signer."""
    signed = SIGNED.sign(key)
    changed = bytearray(signed.encode())
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(TransactionError, SignatureError):
        decoded = Transaction.decode(bytes(changed))
        assert decoded.hash() != signed.hash()
        assert decoded.signer() != signed.signer()


@given(st.integers(0, len(ENCODED) - 1))
def test_a_part_of_a_transaction_is_refused(size: int) -> None:
    """No prefix of a transaction is a transaction."""
    with pytest.raises(TransactionError):
        Transaction.decode(ENCODED[:size])


def test_bytes_after_the_end_are_refused() -> None:
    """A node would pass over the byte, and know the transaction by a hash that these bytes do not have."""
    with pytest.raises(TransactionError, match="follow the end"):
        Transaction.decode(ENCODED + b"\x80")


@pytest.mark.parametrize("name", ["P256", "keychain of P256"])
def test_another_prehash_is_refused(name: str) -> None:
    """A node would rewrite it to 1, and know the transaction by a hash that these bytes do not have."""
    signed = SIGNED.sign(SIGNERS[name])
    assert signed.encode()[-1:] == b"\x00"
    assert Transaction.decode(signed.encode()) == signed
    with pytest.raises(TransactionError, match="neither 0 nor 1"):
        Transaction.decode(signed.encode()[:-1] + b"\x02")


def test_a_bare_parity_is_refused() -> None:
    """A node would rewrite it, and know the transaction by a hash that these bytes do not have."""
    signature = SIGNED.signature
    assert signature is not None
    fields = rlp.decode(ENCODED[1:])
    assert isinstance(fields, tuple)
    changed = (*fields[:-1], signature[:64] + bytes([signature[64] - 27]))
    with pytest.raises(TransactionError, match="neither 27 nor 28"):
        Transaction.decode(b"\x76" + rlp.encode(changed))


def test_the_upper_half_of_s_is_refused() -> None:
    """The twin of a signature, which anyone can make, has no sender."""
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    signature = SIGNED.signature
    assert signature is not None
    s = order - int.from_bytes(signature[32:64])
    twin = replace(SIGNED, signature=signature[:32] + s.to_bytes(32) + bytes([55 - signature[64]]))
    with pytest.raises(SignatureError, match="upper half"):
        twin.sender()


INTEGERS = {"chain id": 0, "priority fee": 1, "fee": 2, "gas": 3, "nonce key": 6, "nonce": 7}
VALIDITY = {"valid before": 8, "valid after": 9}


@pytest.mark.parametrize("at", [*INTEGERS.values(), *VALIDITY.values()], ids=[*INTEGERS, *VALIDITY])
@pytest.mark.parametrize("item", [b"\x00", b"\x00\x01", b"\x01" * 33, (), (b"\x01",)])
def test_integers_are_canonical(at: int, item: rlp.Item) -> None:
    """No integer has a leading zero, is too large for its field, or is a sequence."""
    fields = rlp.decode(ENCODED[1:])
    assert isinstance(fields, tuple)
    with pytest.raises(TransactionError):
        Transaction.decode(b"\x76" + rlp.encode((*fields[:at], item, *fields[at + 1 :])))


@pytest.mark.parametrize(
    ("at", "item"),
    [
        pytest.param(4, b"", id="calls as a string"),
        pytest.param(4, (), id="no calls"),
        pytest.param(4, (b"",), id="a call as a string"),
        pytest.param(4, ((b"\x20" * 20, b""),), id="a call of two fields"),
        pytest.param(4, ((b"\x20" * 20, b"", b"", b""),), id="a call of four fields"),
        pytest.param(4, ((b"\x20" * 19, b"", b""),), id="a call to 19 bytes"),
        pytest.param(4, ((b"\x20" * 20, b"\x00", b""),), id="a call's value with a leading zero"),
        pytest.param(4, ((b"\x20" * 20, b"\x01" + bytes(32), b""),), id="a call's value of 33 bytes"),
        pytest.param(4, ((b"\x20" * 20, b"", ()),), id="calldata as a sequence"),
        pytest.param(5, b"", id="the access list as a string"),
        pytest.param(10, b"\x20" * 19, id="a fee token of 19 bytes"),
        pytest.param(10, (), id="a fee token as a sequence"),
        pytest.param(11, b"\x01", id="another placeholder"),
        pytest.param(11, b"\x20" * 20, id="an address for the fee payer's signature"),
        pytest.param(11, (), id="an empty fee payer's signature"),
        pytest.param(11, (b"", b"\x01"), id="a fee payer's signature of two integers"),
        pytest.param(11, (b"\x02", b"\x01", b"\x01"), id="a fee payer's parity of 2"),
        pytest.param(11, (b"\xff", b"\x01", b"\x01"), id="a fee payer's parity of 255"),
        pytest.param(11, (b"\x00", b"\x01", b"\x01"), id="a fee payer's parity with a leading zero"),
        pytest.param(11, (b"", b"\x01" + bytes(32), b"\x01"), id="a fee payer's r of 33 bytes"),
        pytest.param(11, (b"", b"\x01", b"\x01" + bytes(32)), id="a fee payer's s of 33 bytes"),
        pytest.param(12, b"", id="the authorization list as a string"),
        pytest.param(13, b"", id="an empty signature"),
        pytest.param(13, (), id="an empty key authorization"),
        pytest.param(13, ((b"\x01", b"", b"\x20" * 20),), id="a key authorization that nobody signed"),
    ],
)
def test_fields_have_their_shape(at: int, item: rlp.Item) -> None:
    """Strings and sequences are where they belong, and of the right size."""
    fields = rlp.decode(ENCODED[1:])
    assert isinstance(fields, tuple)
    with pytest.raises(TransactionError):
        Transaction.decode(b"\x76" + rlp.encode((*fields[:at], item, *fields[at + 1 :])))


def test_the_number_of_fields_is_fixed() -> None:
    """Twelve fields, sixteen, or one beyond the signature are refused, and so is a string for all of them."""
    fields = rlp.decode(ENCODED[1:])
    assert isinstance(fields, tuple)
    beyond = ((*fields, b"\x01"), (*fields, b"\x01", b"\x01"), (*fields[:13], (), ()))
    for wrong in (fields[:12], *beyond, b"\x01"):
        with pytest.raises(TransactionError):
            Transaction.decode(b"\x76" + rlp.encode(wrong))


@pytest.mark.parametrize("first", [b"", b"\x02", b"\x77", b"\xc0", b"\x00"])
def test_other_types_are_refused(first: bytes) -> None:
    """An envelope of another type, or none, is not a Tempo Transaction."""
    with pytest.raises(TransactionError, match="0x76"):
        Transaction.decode(first + ENCODED[1:] if first else b"")


def test_the_size_is_limited() -> None:
    """A transaction of the limit's size is read, and one byte more is refused before it is looked at."""
    room = MAX_TRANSACTION_SIZE - len(replace(SIGNED, calls=(Call(None, 0, bytes(30_000)),)).encode())
    largest = replace(SIGNED, calls=(Call(None, 0, bytes(30_000 + room)),))
    assert len(largest.encode()) == MAX_TRANSACTION_SIZE
    assert Transaction.decode(largest.encode()) == largest
    with pytest.raises(TransactionError, match=str(MAX_TRANSACTION_SIZE)):
        Transaction.decode(largest.encode() + b"\x00")


@pytest.mark.parametrize("name", ["chain_id", "gas_limit", "nonce", "valid_before", "valid_after"])
@pytest.mark.parametrize("value", [-1, 2**64])
def test_values_that_do_not_fit_are_refused(name: str, value: int) -> None:
    """A transaction that the envelope could not hold is not constructed."""
    with pytest.raises(TransactionError, match=name):
        replace(SIGNED, **{name: value})


@pytest.mark.parametrize(
    "changes",
    [
        {"max_fee_per_gas": 2**128},
        {"max_priority_fee_per_gas": 2**128},
        {"nonce_key": 2**256},
        {"valid_before": 0},
        {"valid_after": 0},
        {"calls": ()},
        {"fee_token": b""},
        {"signature": b""},
        {"signature": bytes(65)},
        {"fee_payer_signature": b""},
        {"fee_payer_signature": bytes(65)},
        {"key_authorization": KeyAuthorization(chain_id=1, key_type="p256", key_address=P256.address)},
    ],
    ids=str,
)
def test_values_without_an_encoding_are_refused(changes: dict[str, object]) -> None:
    """A value that would be read back as another, or not at all, is not constructed."""
    with pytest.raises(TransactionError):
        replace(SIGNED, **changes)


def test_calls_that_do_not_fit_are_refused() -> None:
    """A call has an address of 20 bytes or none, and a value of at most 256 bits."""
    for to, value in ((b"", 0), (bytes(19), 0), (None, -1), (None, 2**256)):
        with pytest.raises(TransactionError):
            Call(to, value, b"")


def test_an_unsigned_transaction_has_neither_sender_nor_hash() -> None:
    """Before it is signed, asking who sent it or by what hash it is known raises."""
    unsigned = replace(SIGNED, signature=None)
    with pytest.raises(SignatureError, match="not signed"):
        unsigned.sender()
    with pytest.raises(TransactionError, match="signed"):
        unsigned.hash()


@pytest.mark.parametrize(
    ("first", "name"),
    [
        (0, "no known type"),
        (1, "P256"),
        (2, "WebAuthn"),
        (3, "keychain;"),
        (4, "keychain \\(version 2\\)"),
        (5, "configurable account"),
        (6, "no known type"),
    ],
)
def test_signature_types_are_named(first: int, name: str) -> None:
    """A signature of another length than 65 is of the type that its first byte says; nobody made these."""
    for size in (1, 64, 66, 130):
        with pytest.raises(SignatureError, match=name):
            replace(SIGNED, signature=bytes([first]) * size).signer()


def test_the_signer_is_named_in_full() -> None:
    """The account that pays, the access key if there is one, and what kind of key signed."""
    assert SIGNED.signer() == Signer(KEY.address)
    by_access_key = SIGNED.sign(SIGNERS["keychain of P256"])
    assert by_access_key.signer() == Signer(KEY.address, P256.address, "p256")
    assert by_access_key.sender() == KEY.address


def test_what_is_left_out_is_absent() -> None:
    """Given only fees, gas and calls, it has nonce 0 in lane 0, no lists, no limits and no signature."""
    bare = Transaction(
        chain_id=1, max_priority_fee_per_gas=2, max_fee_per_gas=3, gas_limit=4, calls=(Call(None, 0, b""),)
    )
    assert rlp.decode(bare.encode()[1:]) == (
        *(b"\x01", b"\x02", b"\x03", b"\x04", ((b"", b"", b""),), ()),
        *(b"", b"", b"", b"", b"", b"", ()),
    )


def test_repr_says_what_a_call_does() -> None:
    """A call shows its address, or none, its value and how much calldata it has."""
    assert repr(Call(TOKEN, 5, b"abc")) == (
        "Call(to='0x20C0000000000000000000000000000000000000', value=5, data='<3 bytes>')"
    )
    assert repr(Call(None, 0, b"")) == "Call(to=None, value=0, data='<0 bytes>')"


def test_repr_says_what_a_transaction_is_for() -> None:
    """Nonce lane, fee token, and whether it is signed, in the words that people know."""
    unsigned = replace(SIGNED, signature=None, fee_token=None, nonce_key=7)
    assert "nonce_key='expiring'" in repr(SIGNED)
    assert "fee_token='0x20C0000000000000000000000000000000000000', signed=True" in repr(SIGNED)
    assert "nonce_key=7" in repr(unsigned)
    assert "fee_token=None, signed=False" in repr(unsigned)


def test_repr_shows_no_signature_and_no_calldata() -> None:
    """Neither signatures nor calldata occur in repr or in what rich prints, in any spelling."""
    marker = bytes(range(0xA0, 0xC0))
    marked = replace(
        SIGNED,
        calls=(Call(TOKEN, 1, marker),),
        signature=marker + marker + b"\x1b",
        fee_payer_signature=marker + marker + b"\x1b",
        access_list=(marker,),
        authorization_list=(marker,),
        key_authorization=KeyAuthorization(
            chain_id=1,
            key_type="p256",
            key_address=P256.address,
            witness=marker,
            signature=marker + marker + b"\x1b",
        ),
    )
    for text in (repr(marked), str(marked), repr(marked.__rich_repr__())):
        assert marker.hex() not in text.lower()
        assert repr(marker)[2:-1] not in text
        assert "<32 bytes>" in text
        assert "signed" in text
