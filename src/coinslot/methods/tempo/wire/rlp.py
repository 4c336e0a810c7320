"""Recursive Length Prefix, the encoding of Ethereum's transactions (Yellow Paper, appendix B).

An item is a byte string or a sequence of items. Each has exactly one encoding, and `decode` reads no other.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from coinslot.errors import CoinslotError

Item: TypeAlias = "bytes | Items"
Items: TypeAlias = "tuple[Item, ...]"

MAX_DEPTH: Final = 16  # of sequences that `decode` follows; a Tempo transaction has eight at most


class RLPError(CoinslotError):
    """Bytes that are not the one encoding of an item."""


def encode(item: Item) -> bytes:
    """The encoding of an item."""
    if isinstance(item, tuple):
        payload = b"".join(map(encode, item))
        return _prefix(0xC0, len(payload)) + payload
    if len(item) == 1 and item[0] < 0x80:
        return item
    return _prefix(0x80, len(item)) + item


def decode(data: bytes) -> Item:
    """The item that `data` encodes, all of it. Raises `RLPError`."""
    item, end = _read(data, 0, len(data), MAX_DEPTH)
    if end != len(data):
        raise RLPError("bytes follow the end of the item")
    return item


def encode_integer(value: int) -> bytes:
    """The byte string that stands for a number from 0 on: big-endian, without leading zeros."""
    return value.to_bytes((value.bit_length() + 7) // 8)


def read_integer(item: Item, bits: int = 256) -> int:
    """The number of at most so many bits that an item is. Raises `RLPError`."""
    data = read_string(item)
    if data[:1] == b"\x00":
        raise RLPError("an integer has leading zeros")
    number = int.from_bytes(data)
    if number >> bits:
        raise RLPError(f"an integer does not fit {bits} bits")
    return number


def read_string(item: Item, size: int | None = None) -> bytes:
    """The byte string that an item is, of `size` bytes if that is given. Raises `RLPError`."""
    if not isinstance(item, bytes):
        raise RLPError("a sequence stands where a byte string belongs")
    if size is not None and len(item) != size:
        raise RLPError(f"a byte string has {len(item)} bytes where {size} belong")
    return item


def read_sequence(item: Item, size: int | None = None) -> Items:
    """The items of the sequence that an item is, `size` of them if that is given. Raises `RLPError`."""
    if isinstance(item, bytes):
        raise RLPError("a byte string stands where a sequence belongs")
    if size is not None and len(item) != size:
        raise RLPError(f"a sequence has {len(item)} items where {size} belong")
    return item


def _prefix(base: int, size: int) -> bytes:
    if size <= 55:
        return bytes([base + size])
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([base + 55 + len(length)]) + length


def _read(data: bytes, at: int, limit: int, depth: int) -> tuple[Item, int]:
    """The item that starts at `at` and ends before `limit`, and where it ends."""
    start, end, is_sequence = _span(data, at, limit)
    if not is_sequence:
        return data[start:end], end
    if depth == 0:
        raise RLPError(f"sequences are nested more than {MAX_DEPTH} deep")
    items = []
    while start < end:
        item, start = _read(data, start, end, depth - 1)
        items.append(item)
    return tuple(items), end


def _span(data: bytes, at: int, limit: int) -> tuple[int, int, bool]:
    """Where the payload of the item at `at` starts and ends, and whether it is a sequence."""
    if at >= limit:
        raise RLPError("the input ends before the item")
    first, start = data[at], at + 1
    if first < 0x80:
        return at, start, False
    is_sequence = first >= 0xC0
    size = first - (0xC0 if is_sequence else 0x80)
    if size > 55:
        start += size - 55
        size = int.from_bytes(data[at + 1 : start])
        if start > limit or size <= 55 or data[at + 1] == 0:
            raise RLPError("a length is cut off, or not in its shortest form")
    if start + size > limit:
        raise RLPError("an item is longer than what holds it")
    if size == 1 and not is_sequence and data[start] < 0x80:
        raise RLPError("a byte below 0x80 is not in its shortest form")
    return start, start + size, is_sequence
