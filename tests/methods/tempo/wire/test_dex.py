"""Swaps, as viem encodes them; and that nothing else is taken for one."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings, strategies as st
from msgspec.structs import replace

from coinslot.errors import AmountError
from coinslot.methods.tempo.keys import AddressError, parse_address
from coinslot.methods.tempo.wire import dex
from coinslot.methods.tempo.wire.abi import ABIError
from coinslot.methods.tempo.wire.dex import Swap, decode_swap, quote_swap, read_quote, swap_calls
from coinslot.methods.tempo.wire.transaction import Call
from tempo_strategies import calls, spelled_addresses


class Vector(msgspec.Struct, rename="camel"):
    """A swap that viem has encoded."""

    token_in: str
    token_out: str
    amount_out: str
    max_amount_in: str
    approve: str
    swap: str
    quote: str
    quoted: str


class Dex(msgspec.Struct):
    """The DEX, and what is asked of it."""

    address: str
    swaps: list[Vector]


class Vectors(msgspec.Struct):
    """The part of viem_vectors.json that concerns the DEX."""

    dex: Dex


VECTORS = msgspec.json.decode(
    (Path(__file__).parents[1] / "viem_vectors.json").read_bytes(), type=Vectors
).dex
each_vector = pytest.mark.parametrize("vector", VECTORS.swaps, ids=lambda vector: vector.amount_out)

SWAP = Swap(
    token_in="0x20C000000000000000000000b9537d11c60E8b50",
    token_out="0x20C0000000000000000000000000000000000000",
    amount_out=1_000_000,
    max_amount_in=1_010_000,
)
APPROVE, EXCHANGE = swap_calls(SWAP)

uint128 = st.integers(0, 2**128 - 1)
swaps = st.builds(
    Swap, token_in=spelled_addresses, token_out=spelled_addresses, amount_out=uint128, max_amount_in=uint128
)


def raw(text: str) -> bytes:
    """The bytes of 0x-prefixed hexadecimal."""
    return bytes.fromhex(text.removeprefix("0x"))


def test_the_dex_is_where_viem_has_it() -> None:
    """Its address is the same."""
    assert VECTORS.address == dex.ADDRESS


@each_vector
def test_encodes_as_viem_does(vector: Vector) -> None:
    """Approval, exchange and quote are viem's calldata, and what the quote returned is read."""
    swap = Swap(
        token_in=vector.token_in,
        token_out=vector.token_out,
        amount_out=int(vector.amount_out),
        max_amount_in=int(vector.max_amount_in),
    )
    approve = Call(parse_address(vector.token_in), 0, raw(vector.approve))
    exchange = Call(parse_address(VECTORS.address), 0, raw(vector.swap))
    assert swap_calls(swap) == (approve, exchange)
    assert decode_swap((approve, exchange)) == swap
    assert quote_swap(swap.token_in, swap.token_out, swap.amount_out) == raw(vector.quote)
    assert read_quote(raw(vector.quoted)) == swap.max_amount_in


@given(swaps, st.lists(calls, max_size=3))
def test_swaps_round_trip(swap: Swap, after: list[Call]) -> None:
    """What was encoded is read, whatever calls come after it."""
    assert decode_swap([*swap_calls(swap), *after]) == swap


@given(st.lists(calls, max_size=3))
def test_decoding_is_total(some: list[Call]) -> None:
    """Arbitrary calls are no swap."""
    assert decode_swap(some) is None


@settings(max_examples=300)
@given(st.data())
def test_one_changed_byte_is_another_swap(data: st.DataObject) -> None:
    """With a byte of calldata changed it is no swap, or one with another amount out or another token out."""
    which = data.draw(st.integers(0, 1))
    changed = bytearray((APPROVE, EXCHANGE)[which].data)
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    altered = [APPROVE, EXCHANGE]
    altered[which] = replace(altered[which], data=bytes(changed))
    decoded = decode_swap(altered)
    if decoded is not None:
        assert decoded != SWAP
        assert (decoded.token_in, decoded.max_amount_in) == (SWAP.token_in, SWAP.max_amount_in)


@pytest.mark.parametrize(
    "altered",
    [
        pytest.param((), id="no calls"),
        pytest.param((APPROVE,), id="the approval alone"),
        pytest.param((EXCHANGE,), id="the exchange alone"),
        pytest.param((EXCHANGE, APPROVE), id="the other order"),
        pytest.param((APPROVE, APPROVE, EXCHANGE), id="a call between"),
        pytest.param((replace(APPROVE, value=1), EXCHANGE), id="native value with the approval"),
        pytest.param((APPROVE, replace(EXCHANGE, value=1)), id="native value with the exchange"),
        pytest.param((replace(APPROVE, to=None), EXCHANGE), id="an approval that creates a contract"),
        pytest.param((replace(APPROVE, to=EXCHANGE.to), EXCHANGE), id="an approval of another token"),
        pytest.param((APPROVE, replace(EXCHANGE, to=APPROVE.to)), id="another exchange"),
        pytest.param(
            (replace(APPROVE, data=APPROVE.data[:16] + bytes(20) + APPROVE.data[36:]), EXCHANGE),
            id="another spender",
        ),
        pytest.param(
            (swap_calls(replace(SWAP, max_amount_in=1_010_001))[0], EXCHANGE),
            id="more approved than is taken",
        ),
        pytest.param(
            (swap_calls(replace(SWAP, max_amount_in=1_009_999))[0], EXCHANGE),
            id="less approved than is taken",
        ),
        pytest.param(
            (replace(APPROVE, data=APPROVE.data + b"\x00"), EXCHANGE), id="more calldata to approve"
        ),
        pytest.param((APPROVE, replace(EXCHANGE, data=EXCHANGE.data + bytes(32))), id="more to exchange"),
        pytest.param((APPROVE, replace(EXCHANGE, data=EXCHANGE.data[:-1])), id="calldata cut off"),
        pytest.param(
            (APPROVE, replace(EXCHANGE, data=EXCHANGE.data[:68] + b"\x01" + EXCHANGE.data[69:])),
            id="an amount of more than 128 bits",
        ),
    ],
)
def test_what_is_no_swap(altered: tuple[Call, ...]) -> None:
    """A swap is an approval for the DEX of what it may take at most, and the exchange, and nothing else."""
    assert decode_swap(altered) is None


@pytest.mark.parametrize("amount", [-1, 2**128])
def test_amounts_have_128_bits(amount: int) -> None:
    """The DEX counts in fewer bits than tokens do."""
    for wrong in (replace(SWAP, amount_out=amount), replace(SWAP, max_amount_in=amount)):
        with pytest.raises(AmountError):
            swap_calls(wrong)
    with pytest.raises(AmountError):
        quote_swap(SWAP.token_in, SWAP.token_out, amount)


def test_tokens_are_addresses() -> None:
    """What is no address has no calldata."""
    with pytest.raises(AddressError):
        swap_calls(replace(SWAP, token_in="AlphaUSD"))
    with pytest.raises(AddressError):
        quote_swap(SWAP.token_in, "AlphaUSD", 1)


@pytest.mark.parametrize("data", [b"", bytes(31), bytes(33), bytes(64), b"\x01" + bytes(31)], ids=len)
def test_other_quotes_are_refused(data: bytes) -> None:
    """A quote is one word of at most 128 bits."""
    with pytest.raises(ABIError):
        read_quote(data)
