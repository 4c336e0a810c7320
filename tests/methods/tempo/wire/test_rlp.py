"""RLP: one encoding for each item, the same as the reference package's."""

from __future__ import annotations

import pytest
import rlp as reference  # type: ignore[import-untyped]  # ships no annotations
from hypothesis import example, given, strategies as st

from coinslot.methods.tempo.wire import rlp

items: st.SearchStrategy[rlp.Item] = st.recursive(
    st.binary(max_size=80), lambda children: st.lists(children, max_size=6).map(tuple), max_leaves=20
)


def as_tuples(item: object) -> object:
    """The reference package decodes sequences as lists."""
    return tuple(as_tuples(child) for child in item) if isinstance(item, (list, tuple)) else item


@given(items)
@example(b"\x00")
@example(b"\x7f")
@example(b"\x80")
@example(bytes(55))
@example(bytes(56))
@example(bytes(256))
@example(bytes(65536))
@example((bytes(54),))
@example((bytes(55),))
def test_encodes_as_the_reference_does(item: rlp.Item) -> None:
    """Every item has the encoding that the reference package gives it."""
    assert rlp.encode(item) == reference.encode(item)


@given(items)
def test_decodes_what_it_encodes(item: rlp.Item) -> None:
    """Decoding gives the item back."""
    assert rlp.decode(rlp.encode(item)) == item


@given(st.binary(max_size=120) | items.map(rlp.encode), st.binary(max_size=3), st.integers(0, 200))
def test_any_bytes_decode_as_in_the_reference(data: bytes, tail: bytes, cut: int) -> None:
    """Arbitrary, cut and lengthened bytes are read when the reference reads them, else raise RLPError."""
    data = data[:cut] + tail
    try:
        expected = as_tuples(reference.decode(data, strict=True))
    except reference.exceptions.DecodingError:
        with pytest.raises(rlp.RLPError):
            rlp.decode(data)
    else:
        assert rlp.decode(data) == expected


@given(st.binary(max_size=120))
def test_what_decodes_has_one_encoding(data: bytes) -> None:
    """Whatever decodes, encodes to the same bytes again."""
    try:
        item = rlp.decode(data)
    except rlp.RLPError:
        return
    assert rlp.encode(item) == data


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("", id="nothing"),
        pytest.param("8100", id="a small byte with a length"),
        pytest.param("817f", id="the largest small byte with a length"),
        pytest.param("b801ff", id="a long form for one byte"),
        pytest.param("b837" + "00" * 55, id="a long form for 55 bytes"),
        pytest.param("b90038" + "00" * 56, id="a length with a leading zero"),
        pytest.param("b8", id="a length that is cut off"),
        pytest.param("bfffffffffffffffff", id="a length of almost 2**64"),
        pytest.param("83aabb", id="a string that is cut off"),
        pytest.param("c2820102", id="a string longer than its sequence"),
        pytest.param("c3c20101c0", id="a byte after the end"),
        pytest.param("f800", id="a long form for the empty sequence"),
    ],
)
def test_refuses_other_spellings(data: str) -> None:
    """Each form that is not the shortest, or not complete, is refused."""
    with pytest.raises(rlp.RLPError):
        rlp.decode(bytes.fromhex(data))


def nested(depth: int) -> bytes:
    """`depth` sequences, each in the next."""
    item: rlp.Item = ()
    for _ in range(depth - 1):
        item = (item,)
    return rlp.encode(item)


def test_follows_nesting_to_its_limit() -> None:
    """Sequences are read to the named depth and refused one beyond it."""
    deepest = nested(rlp.MAX_DEPTH)
    assert rlp.encode(rlp.decode(deepest)) == deepest
    with pytest.raises(rlp.RLPError, match="nested"):
        rlp.decode(nested(rlp.MAX_DEPTH + 1))


def test_deep_nesting_does_not_exhaust_the_stack() -> None:
    """Thousands of sequences within each other are refused like any other mistake."""
    data = b"\xc0"
    for _ in range(10_000):
        size = len(data)
        width = (size.bit_length() + 7) // 8
        data = (bytes([0xC0 + size]) if size <= 55 else bytes([0xF7 + width]) + size.to_bytes(width)) + data
    with pytest.raises(rlp.RLPError, match="nested"):
        rlp.decode(data)


@given(st.integers(0, 2**256 - 1))
def test_integers_round_trip(number: int) -> None:
    """A number becomes the shortest byte string and the same number again; zero is the empty one."""
    data = rlp.encode_integer(number)
    assert rlp.read_integer(data) == number
    assert len(data) == (number.bit_length() + 7) // 8


@pytest.mark.parametrize(
    ("item", "bits"),
    [
        pytest.param(b"\x00", 256, id="a zero byte"),
        pytest.param(b"\x00\x01", 256, id="a leading zero"),
        pytest.param(b"\x01" + bytes(32), 256, id="257 bits"),
        pytest.param(b"\x02", 1, id="two in one bit"),
        pytest.param(b"\x01" + bytes(8), 64, id="65 bits"),
        pytest.param((), 256, id="a sequence"),
    ],
)
def test_other_integers_are_refused(item: rlp.Item, bits: int) -> None:
    """An integer has no leading zeros, fits its bits, and is no sequence."""
    with pytest.raises(rlp.RLPError):
        rlp.read_integer(item, bits)


def test_items_are_of_the_kind_that_is_read() -> None:
    """A byte string is no sequence, a sequence no byte string, and a size that is asked for is checked."""
    assert rlp.read_string(b"abc", 3) == rlp.read_string(b"abc") == b"abc"
    assert rlp.read_sequence((b"", b""), 2) == rlp.read_sequence((b"", b"")) == (b"", b"")
    strings: list[tuple[rlp.Item, int | None]] = [(b"abc", 2), (b"abc", 4), ((), None)]
    for item, size in strings:
        with pytest.raises(rlp.RLPError):
            rlp.read_string(item, size)
    sequences: list[tuple[rlp.Item, int | None]] = [((b"",), 0), ((b"",), 2), (b"", None)]
    for item, size in sequences:
        with pytest.raises(rlp.RLPError):
            rlp.read_sequence(item, size)
