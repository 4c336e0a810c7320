"""Calldata and return data of contracts: words of 32 bytes (Solidity's Contract ABI Specification).

Only what Tempo's payments need of it, and only the one encoding that a compiler makes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from coinslot.errors import AmountError, CoinslotError
from coinslot.methods.tempo.keys import ADDRESS_LENGTH, checksum_address, keccak256, parse_address

WORD: Final = 32

_PADDING: Final = bytes(WORD - ADDRESS_LENGTH)


class ABIError(CoinslotError, ValueError):
    """Return data that is not what the function returns."""


class Tail(bytes):
    """The encoding of a value of dynamic size: it stands after the words of what holds it."""


def selector(signature: str) -> bytes:
    """The four bytes with which a call of this function begins, say `transfer(address,uint256)`."""
    return keccak256(signature.encode())[:4]


def address_word(address: str) -> bytes:
    """An address as a word. Raises `AddressError`."""
    return _PADDING + parse_address(address)


def amount_word(amount: int, bits: int = 256) -> bytes:
    """An amount of so many bits as a word. Raises `AmountError`."""
    if not 0 <= amount < 1 << bits:
        raise AmountError(f"an amount on Tempo is from 0 to 2**{bits} - 1 base units")
    return amount.to_bytes(WORD)


def number_word(number: int) -> bytes:
    """A number or a truth value as a word."""
    return number.to_bytes(WORD)


def sequence(members: Sequence[bytes]) -> bytes:
    """The members of a struct, or a function's arguments: words as they are, each `Tail` by its place."""
    at = WORD * sum(1 if isinstance(member, Tail) else len(member) // WORD for member in members)
    heads: list[bytes] = []
    tails: list[bytes] = []
    for member in members:
        if isinstance(member, Tail):
            heads.append(number_word(at))
            tails.append(member)
            at += len(member)
        else:
            heads.append(member)
    return b"".join(heads + tails)


def array(members: Sequence[bytes]) -> Tail:
    """An array of words, of structs of words, or of `Tail`s."""
    return Tail(number_word(len(members)) + sequence(members))


def read_words(data: bytes, count: int) -> list[bytes]:
    """The words of return data that has so many. Raises `ABIError`."""
    if len(data) != WORD * count:
        raise ABIError(f"a contract returned {len(data)} bytes where {WORD * count} belong")
    return [data[at : at + WORD] for at in range(0, len(data), WORD)]


def read_number(word: bytes, bits: int) -> int:
    """The number of so many bits that a word is. Raises `ABIError`."""
    number = int.from_bytes(word)
    if number >> bits:
        raise ABIError(f"a contract returned a number of more than {bits} bits")
    return number


def read_address(word: bytes) -> str | None:
    """The EIP-55 address that a word is, or None if it is padded with other than zeros."""
    return checksum_address(word[len(_PADDING) :]) if word.startswith(_PADDING) else None
