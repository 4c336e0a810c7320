"""Payments spelled in almost the right bytes, and anything at all in a payment's place."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import given, settings, strategies as st
from msgspec.structs import replace

from coinslot.errors import PaymentError, PaymentUnavailable
from coinslot.methods.tempo.wire import Transaction, Transfer, rlp
from coinslot.methods.tempo.wire.rlp import Item
from coinslot.methods.tempo.wire.signatures import AccessKey
from coinslot.methods.tempo.wire.source import format_source
from coinslot.protocol import Credential, JSONObject, JSONValue
from faulty_node import FaultyNode
from strategies import json_objects, json_values
from tempo_attacks import (
    CHAIN_ID,
    CURRENCY,
    EXAMPLES,
    RECIPIENTS,
    Attack,
    Draw,
    Make,
    Payment,
    challenge_for,
    payments,
)
from tempo_strategies import ROOT, transactions
from tempo_till import Till

UNREADABLE = "payload's transaction cannot be read: .{10,}"

MEMBERS = sorted(set(Transaction.__struct_fields__) - {"signature"})


@pytest.fixture
async def till(lonely_node: FaultyNode) -> AsyncIterator[Till]:
    """A till on a node that would let anything through."""
    till = Till(lonely_node)
    yield till
    await till.aclose()


def envelope(payment: Payment) -> bytes:
    """The bytes that are presented."""
    return bytes.fromhex(str(payment.present().payload["signature"])[2:])


def fields(payment: Payment) -> list[Item]:
    """The items of the envelope."""
    items = rlp.decode(envelope(payment)[1:])
    assert isinstance(items, tuple)
    return list(items)


def respelled(payment: Payment, *items: Item) -> Credential:
    """The envelope with these items."""
    return payment.present_bytes(envelope(payment)[:1] + rlp.encode(items))


class Loosely(bytes):
    """A whole item in an encoding of its own."""


def loosely(item: Item | Loosely) -> bytes:
    """The encoding of an item of which parts are encoded already."""
    if isinstance(item, Loosely):
        return item
    if not isinstance(item, tuple):
        return rlp.encode(item)
    payload = b"".join(map(loosely, item))
    size = len(payload)
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([0xC0 + size] if size <= 55 else [0xF7 + len(length), *length]) + payload


def other_spellings(item: Item) -> list[bytes]:
    """What a careless reader takes for the same item: needless prefixes, and lengths that are too long."""
    strict = rlp.encode(item)
    payload = b"".join(map(rlp.encode, item)) if isinstance(item, tuple) else item
    base, size = (0xC0 if isinstance(item, tuple) else 0x80), len(payload)
    wide = [
        bytes([base + 55 + width]) + size.to_bytes(width) + payload
        for width in (1, 2, 8)
        if size < 256**width
    ]
    short = [bytes([base + size]) + payload] if size <= 55 else []
    return [spelling for spelling in wide + short if spelling != strict]


def places(item: Item, at: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    """Where there is an item."""
    yield at
    if isinstance(item, tuple):
        for index, member in enumerate(item):
            yield from places(member, (*at, index))


def exchange(item: Item, at: tuple[int, ...], draw: Draw, how: str) -> Item:
    """The item with the one at a place spelled or typed otherwise."""
    if at and isinstance(item, tuple):
        index = at[0]
        return (*item[:index], exchange(item[index], at[1:], draw, how), *item[index + 1 :])
    if how == "spelling":
        return Loosely(draw(st.sampled_from(other_spellings(item))))
    return b"".join(map(loosely, item)) if isinstance(item, tuple) else (item,)


def anywhere(how: str) -> Make:
    """Alter an item, however deep it is."""

    def make(payment: Payment, draw: Draw) -> Credential:
        items = tuple(fields(payment))
        at = draw(st.sampled_from(list(places(items))))
        return payment.present_bytes(envelope(payment)[:1] + loosely(exchange(items, at, draw, how)))

    return make


def leading_zero(payment: Payment, draw: Draw) -> Credential:
    """A number as no canonical encoder writes it; zero, too, is written as one byte."""
    items = fields(payment)
    index = draw(st.sampled_from([0, 1, 2, 3, 6, 7, 8, 9]))
    items[index] = b"\x00" + rlp.read_string(items[index])
    return respelled(payment, *items)


def one_field_more(payment: Payment, draw: Draw) -> Credential:
    items = fields(payment)
    items.insert(draw(st.integers(0, len(items))), draw(st.sampled_from([b"", b"\x01", (), (b"",)])))
    return respelled(payment, *items)


def one_field_behind(payment: Payment, draw: Draw) -> Credential:
    extra: list[Item] = [b"", b"\x01", (), (b"",)]
    return respelled(payment, *fields(payment), draw(st.sampled_from(extra)))


def one_field_less(payment: Payment, draw: Draw) -> Credential:
    items = fields(payment)
    del items[draw(st.integers(0, len(items) - 1))]
    return respelled(payment, *items)


def longer(payment: Payment, draw: Draw) -> Credential:
    return payment.present_bytes(envelope(payment) + draw(st.binary(min_size=1, max_size=40)))


def shorter(payment: Payment, draw: Draw) -> Credential:
    good = envelope(payment)
    return payment.present_bytes(good[: draw(st.integers(1, len(good) - 1))])


def of_another_type(payment: Payment, draw: Draw) -> Credential:
    others = st.integers(0, 255).filter(lambda number: number not in (0x76, 0x78))
    return payment.present_bytes(draw(others.map(lambda number: bytes([number]))) + envelope(payment)[1:])


def of_no_type(payment: Payment, draw: Draw) -> Credential:
    return payment.present_bytes(envelope(payment)[1:])


SPELLINGS = [
    Attack("bytes behind", longer, UNREADABLE),
    Attack("cut", shorter, UNREADABLE),
    Attack("another type", of_another_type, UNREADABLE),
    Attack("no type", of_no_type, UNREADABLE),
    Attack("an item spelled otherwise", anywhere("spelling"), UNREADABLE),
    Attack("a leading zero", leading_zero, UNREADABLE),
]
"""What the node would read as the same transaction, and write in other bytes; and what it would not read."""

FORMS = [
    Attack("a list for a string", anywhere("type"), ""),
    Attack("one field more", one_field_more, ""),
    Attack("a field behind", one_field_behind, "a field follows the signature|sequence of 13 to 15"),
    Attack("one field less", one_field_less, ""),
]
"""What is another transaction, if it is any."""


@pytest.mark.parametrize("attack", [*SPELLINGS, *FORMS], ids=repr)
@settings(EXAMPLES, max_examples=25)
@given(data=st.data())
async def test_a_payment_has_one_spelling(attack: Attack, till: Till, data: st.DataObject) -> None:
    """Whoever spells a payment otherwise, wherever in it, has presented none."""
    payment = data.draw(payments())
    # Only the chain can tell what access key is nobody's.
    by_chain = isinstance(payment.key, AccessKey)
    await till.refuses(attack.make(payment, data.draw), attack.words, by_chain=by_chain)


@settings(EXAMPLES, max_examples=150)
@given(data=st.data())
async def test_no_byte_of_a_payment_can_be_another(till: Till, data: st.DataObject) -> None:
    """A payment in which any bytes are changed, put in or left out is not the payer's any more."""
    payment = data.draw(payments())
    good = envelope(payment)
    at = data.draw(st.integers(0, len(good) - 1))
    bad = good[:at] + data.draw(st.binary(max_size=3)) + good[at + data.draw(st.integers(0, 3)) :]
    by_chain = isinstance(payment.key, AccessKey)
    if bad != good:
        await till.refuses(payment.present_bytes(bad), "", by_chain=by_chain)


items = st.recursive(
    st.binary(max_size=40), lambda children: st.lists(children, max_size=5).map(tuple), max_leaves=20
)
envelopes = st.builds(
    lambda number, rest: bytes([number]) + rest,
    st.sampled_from([0x76, 0x78]),
    st.one_of(
        st.binary(max_size=300),
        items.map(rlp.encode),
        st.lists(items, min_size=12, max_size=16).map(lambda fields: rlp.encode(tuple(fields))),
    ),
)


@settings(EXAMPLES, max_examples=150)
@given(payment=payments(), data=st.binary(min_size=1, max_size=300) | envelopes)
async def test_what_is_no_transaction_is_told_so(till: Till, payment: Payment, data: bytes) -> None:
    """Any bytes, and any items in the form of an envelope, get a sentence and nothing else."""
    await till.refuses(payment.present_bytes(data), "")


@settings(EXAMPLES, max_examples=150)
@given(payment=payments(), other=transactions, data=st.data())
async def test_any_transaction_is_a_payment_or_refused(
    till: Till, payment: Payment, other: Transaction, data: st.DataObject
) -> None:
    """A transaction of which any members are anything is taken only with all that makes it the payment."""
    good = payment.transaction()
    taken = {name: getattr(other, name) for name in data.draw(st.sets(st.sampled_from(MEMBERS), min_size=1))}
    signed = replace(good, **taken).sign(payment.key)
    credential = payment.present_bytes(signed.encode())
    try:
        await till.takes(credential)
    except PaymentUnavailable:
        raise
    except PaymentError:
        return
    free = {"gas_limit", "max_fee_per_gas", "max_priority_fee_per_gas", "nonce", "valid_after"}
    if not payment.terms.fee_payer:
        free |= {"nonce_key", "fee_token"}
    if other.key_authorization is None:
        free |= {"key_authorization"}  # the node knows the key already
    assert {name for name in taken if getattr(good, name) != taken[name]} <= free


kinds: st.SearchStrategy[JSONValue] = st.sampled_from(["transaction", "proof", "hash"])
hexadecimal: st.SearchStrategy[JSONValue] = st.binary(max_size=31).map(lambda shown: "0x" + shown.hex())


@settings(EXAMPLES, max_examples=150)
@given(payload=json_objects, kind=kinds | json_values, data=st.data())
async def test_any_payload_is_a_payment_or_refused(
    till: Till, payload: JSONObject, kind: JSONValue, data: st.DataObject
) -> None:
    """Whatever JSON a client sends, for a price or for none, it gets a sentence and nothing else."""
    shown = data.draw(json_values | hexadecimal)
    name = "hash" if kind == "hash" else "signature"
    amount = data.draw(st.sampled_from([0, 1]))
    challenge = challenge_for([Transfer(token=CURRENCY, recipient=RECIPIENTS[0], amount=amount)])
    source = data.draw(st.none() | st.text() | st.just(format_source(CHAIN_ID, ROOT.address)))
    presented = Credential(challenge=challenge, payload={**payload, "type": kind, name: shown}, source=source)
    await till.refuses(presented, "")
