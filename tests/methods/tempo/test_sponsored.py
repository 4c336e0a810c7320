"""Transactions on their way to a fee payer."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings, strategies as st
from msgspec.structs import replace

from coinslot.methods.tempo.keys import PrivateKey, SignatureError, parse_address
from coinslot.methods.tempo.wire import rlp
from coinslot.methods.tempo.wire.signatures import SigningKey
from coinslot.methods.tempo.wire.tip20 import transfer
from coinslot.methods.tempo.wire.transaction import (
    EXPIRING_NONCE_KEY,
    FEE_PAYER_PLACEHOLDER,
    MAX_TRANSACTION_SIZE,
    Call,
    Transaction,
    TransactionError,
)
from tempo_strategies import ROOT, SIGNERS, addresses, sequences, transactions

SPONSOR = PrivateKey.from_hex("0x" + "22" * 32)
TOKEN = bytes.fromhex("20c0000000000000000000000000000000000000")

UNSIGNED = Transaction(
    chain_id=42431,
    max_priority_fee_per_gas=1_000_000_000,
    max_fee_per_gas=20_000_000_000,
    gas_limit=100_000,
    calls=(Call(TOKEN, 0, transfer("0x742d35Cc6634C0532925a3b844bC9e7595F8fE00", 950_000)),),
    nonce_key=EXPIRING_NONCE_KEY,
    valid_before=1_893_456_000,
    fee_payer_signature=FEE_PAYER_PLACEHOLDER,
)
AWAITING = UNSIGNED.sign(ROOT)
HANDED_OVER = AWAITING.encode_sponsored()
CO_SIGNED = AWAITING.co_sign(SPONSOR, TOKEN)

awaiting = transactions.map(
    lambda transaction: replace(transaction, fee_payer_signature=FEE_PAYER_PLACEHOLDER, fee_token=None)
)
each_key = pytest.mark.parametrize("key", SIGNERS.values(), ids=SIGNERS)


def fields(data: bytes) -> rlp.Items:
    """The fields of an envelope."""
    return rlp.read_sequence(rlp.decode(data[1:]))


@settings(max_examples=50)
@given(awaiting)
def test_both_spellings_round_trip(transaction: Transaction) -> None:
    """Whoever signed, the fee payer reads the same from either spelling."""
    for key in SIGNERS.values():
        signed = transaction.sign(key)
        assert Transaction.decode_sponsored(signed.encode()) == signed
        assert Transaction.decode_sponsored(signed.encode_sponsored()) == signed


@settings(max_examples=50)
@given(awaiting, addresses)
def test_a_fee_payer_is_named(transaction: Transaction, fee_token: bytes) -> None:
    """Who co-signs is recovered, pays in the token of its choice, and leaves the sender's signature good."""
    for key in SIGNERS.values():
        signed = transaction.sign(key)
        co_signed = Transaction.decode(signed.co_sign(SPONSOR, fee_token).encode())
        assert co_signed.fee_payer() == SPONSOR.address
        assert co_signed.fee_token == fee_token
        assert co_signed.signer() == signed.signer()
        assert co_signed.signing_hash() == signed.signing_hash()


def test_nobody_may_pay_the_fee() -> None:
    """Where the sender pays, or nobody has signed as fee payer yet, there is none."""
    assert AWAITING.fee_payer() is None
    assert replace(AWAITING, fee_payer_signature=None).fee_payer() is None


@pytest.mark.parametrize("name", ["gas_limit", "max_fee_per_gas", "nonce", "valid_before"])
def test_a_fee_payer_signs_for_one_transaction(name: str) -> None:
    """Its signature under another transaction, or with another token, is another's."""
    changed = replace(CO_SIGNED, **{name: getattr(CO_SIGNED, name) + 1}).sign(ROOT)
    assert changed.fee_payer() != SPONSOR.address
    assert replace(CO_SIGNED, fee_token=b"\x20" * 20).fee_payer() != SPONSOR.address
    assert CO_SIGNED.sign(SIGNERS["secp256k1"]).fee_payer() != SPONSOR.address


malformed = st.one_of(
    st.binary(max_size=200),
    st.binary(max_size=200).map(lambda tail: b"\x78" + tail),
    sequences.map(lambda items: b"\x78" + rlp.encode(items)),
    st.lists(st.binary(max_size=40) | sequences, min_size=12, max_size=16).map(
        lambda items: b"\x78" + rlp.encode(tuple(items))
    ),
    st.tuples(st.integers(0, 13), st.binary(max_size=40) | sequences).map(
        lambda change: (
            b"\x78"
            + rlp.encode(
                (*fields(HANDED_OVER)[: change[0]], change[1], *fields(HANDED_OVER)[change[0] + 1 :])
            )
        )
    ),
)


@settings(max_examples=300)
@given(malformed)
def test_decoding_is_total(data: bytes) -> None:
    """Arbitrary bytes, and arbitrary items in the envelope, are a transaction of those bytes or an error."""
    with suppress(TransactionError):
        assert Transaction.decode_sponsored(data).encode_sponsored() == data


@each_key
@settings(max_examples=150)
@given(data=st.data())
def test_one_changed_byte_is_another_signer(key: SigningKey, data: st.DataObject) -> None:
    """With a byte changed on the way, in either spelling, it is refused or signed by somebody else."""
    signed = UNSIGNED.sign(key)
    for encoded in (signed.encode(), signed.encode_sponsored()):
        changed = bytearray(encoded)
        changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
        with suppress(TransactionError, SignatureError):
            assert Transaction.decode_sponsored(bytes(changed)).signer() != signed.signer()


@each_key
@settings(max_examples=150)
@given(data=st.data())
def test_one_changed_byte_has_another_fee_payer(key: SigningKey, data: st.DataObject) -> None:
    """With a byte changed after both have signed, one of the two is somebody else, or it is refused."""
    signed = UNSIGNED.sign(key).co_sign(SPONSOR, TOKEN)
    changed = bytearray(signed.encode())
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(TransactionError, SignatureError):
        decoded = Transaction.decode(bytes(changed))
        assert (decoded.signer(), decoded.fee_payer()) != (signed.signer(), SPONSOR.address)


def test_the_named_sender_is_who_signed() -> None:
    """A fee payer that went by the name on the envelope would commit to another account's transaction."""
    other = parse_address(SPONSOR.address)
    items = fields(HANDED_OVER)
    for sender in (other, bytes(20)):
        with pytest.raises(TransactionError, match="another sender"):
            Transaction.decode_sponsored(b"\x78" + rlp.encode((*items[:11], sender, *items[12:])))


@pytest.mark.parametrize(
    "sender", [b"", b"\x00", b"\x20" * 19, b"\x20" * 32, (), (b"\x01", b"\x01", b"\x01")], ids=str
)
def test_the_named_sender_is_an_address(sender: rlp.Item) -> None:
    """Behind 0x78, neither the placeholder nor a signature stands where the sender's address belongs."""
    items = fields(HANDED_OVER)
    with pytest.raises(TransactionError):
        Transaction.decode_sponsored(b"\x78" + rlp.encode((*items[:11], sender, *items[12:])))


def test_a_signature_that_proves_nothing_is_refused() -> None:
    """Behind 0x78 the signature is checked at once: who is named has to have signed."""
    items = fields(HANDED_OVER)
    for signature in (b"\x05" * 70, b"\x01" * 130, bytes(64) + b"\x1b"):
        with pytest.raises(TransactionError, match="cannot be checked"):
            Transaction.decode_sponsored(b"\x78" + rlp.encode((*items[:13], signature)))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fee_payer_signature": None}, "does not await a fee payer"),
        ({"fee_payer_signature": CO_SIGNED.fee_payer_signature}, "does not await a fee payer"),
        ({"fee_token": TOKEN}, "for the fee payer to choose"),
        ({"signature": None}, "has not signed"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_only_what_awaits_a_fee_payer_is_taken(changes: dict[str, object], reason: str) -> None:
    """What has a fee payer, wants none, names a token or is unsigned is neither read, written nor signed."""
    other = replace(AWAITING, **changes)
    with pytest.raises(TransactionError, match=reason):
        Transaction.decode_sponsored(other.encode())
    with pytest.raises(TransactionError, match=reason):
        other.encode_sponsored()
    with pytest.raises(TransactionError, match=reason):
        other.co_sign(SPONSOR, TOKEN)


def test_a_token_is_not_named_behind_0x78() -> None:
    """There, too, it is for the fee payer to choose."""
    items = fields(HANDED_OVER)
    with pytest.raises(TransactionError, match="for the fee payer to choose"):
        Transaction.decode_sponsored(b"\x78" + rlp.encode((*items[:10], TOKEN, *items[11:])))


def test_an_unsigned_hand_over_is_refused() -> None:
    """Without the sender's signature there is nothing to pay the fee of."""
    with pytest.raises(TransactionError, match="has not signed"):
        Transaction.decode_sponsored(b"\x78" + rlp.encode(fields(HANDED_OVER)[:13]))


@pytest.mark.parametrize("first", [b"", b"\x02", b"\x77", b"\x79", b"\xc0"])
def test_other_types_are_refused(first: bytes) -> None:
    """Neither of the two types, or nothing at all, is no transaction."""
    with pytest.raises(TransactionError, match="0x76"):
        Transaction.decode_sponsored(first + HANDED_OVER[1:] if first else b"")


def test_the_size_is_limited() -> None:
    """A hand-over beyond the limit is refused before it is looked at."""
    with pytest.raises(TransactionError, match=str(MAX_TRANSACTION_SIZE)):
        Transaction.decode_sponsored(HANDED_OVER + bytes(MAX_TRANSACTION_SIZE))


def test_the_fee_token_is_an_address() -> None:
    """A fee payer's token of another length is refused."""
    with pytest.raises(TransactionError, match="20 bytes"):
        AWAITING.co_sign(SPONSOR, TOKEN[:19])


def test_an_unsigned_transaction_has_no_fee_payer() -> None:
    """What a fee payer signs names the sender, so the sender signs first."""
    with pytest.raises(SignatureError, match="not signed"):
        UNSIGNED.fee_payer_hash()
