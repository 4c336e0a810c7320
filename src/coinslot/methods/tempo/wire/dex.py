"""The stablecoin DEX, a contract that every Tempo chain has: paying in one token with another.

A swapped payment makes two calls before its transfers: the DEX may take at most so much of the one token, and
gives an exact amount of the other for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from coinslot.methods.tempo.keys import checksum_address, parse_address
from coinslot.methods.tempo.wire import abi
from coinslot.methods.tempo.wire.transaction import Call

ADDRESS: Final = checksum_address("0xdec0000000000000000000000000000000000000")

_APPROVE: Final = abi.selector("approve(address,uint256)")
_SWAP: Final = abi.selector("swapExactAmountOut(address,address,uint128,uint128)")
_QUOTE: Final = abi.selector("quoteSwapExactAmountOut(address,address,uint128)")

_AMOUNT_BITS: Final = 128


class Swap(Struct, frozen=True, kw_only=True):
    """`amount_out` of `token_out`, for at most `max_amount_in` of `token_in`.

    Amounts are in base units of their token, below 2**128; addresses are EIP-55 checksummed.
    """

    token_in: str
    token_out: str
    amount_out: int
    max_amount_in: int


def swap_calls(swap: Swap) -> tuple[Call, Call]:
    """The approval and the exchange. Raises `AddressError` or `AmountError`."""
    max_amount_in = abi.amount_word(swap.max_amount_in, _AMOUNT_BITS)
    amount_out = abi.amount_word(swap.amount_out, _AMOUNT_BITS)
    tokens = abi.address_word(swap.token_in) + abi.address_word(swap.token_out)
    return (
        Call(parse_address(swap.token_in), 0, _APPROVE + abi.address_word(ADDRESS) + max_amount_in),
        Call(parse_address(ADDRESS), 0, _SWAP + tokens + amount_out + max_amount_in),
    )


def decode_swap(calls: Sequence[Call]) -> Swap | None:
    """The swap that the first two of `calls` make, or None if they make none.

    They are a swap only in the bytes that `swap_calls` gives: approved is what the exchange may take at most,
    to the DEX and to nobody else, and no native value moves.
    """
    if len(calls) < 2 or len(calls[1].data) != 4 + 4 * abi.WORD:
        return None
    words = abi.read_words(calls[1].data[4:], 4)
    token_in, token_out = abi.read_address(words[0]), abi.read_address(words[1])
    amount_out, max_amount_in = int.from_bytes(words[2]), int.from_bytes(words[3])
    if token_in is None or token_out is None or max(amount_out, max_amount_in) >> _AMOUNT_BITS:
        return None
    swap = Swap(token_in=token_in, token_out=token_out, amount_out=amount_out, max_amount_in=max_amount_in)
    return swap if swap_calls(swap) == tuple(calls[:2]) else None


def quote_swap(token_in: str, token_out: str, amount_out: int) -> bytes:
    """Calldata of `quoteSwapExactAmountOut`: what `amount_out` of `token_out` costs in `token_in`.

    Raises `AddressError` or `AmountError`.
    """
    tokens = abi.address_word(token_in) + abi.address_word(token_out)
    return _QUOTE + tokens + abi.amount_word(amount_out, _AMOUNT_BITS)


def read_quote(data: bytes) -> int:
    """The base units that a quote returned. Raises `ABIError`."""
    (word,) = abi.read_words(data, 1)
    return abi.read_number(word, _AMOUNT_BITS)
