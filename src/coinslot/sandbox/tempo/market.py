"""Liquidity on the stablecoin DEX, so that any of the chain's tokens can be paid with any other.

The chain starts with an empty DEX. It trades each token against pathUSD only, and finds the way from one to
another by itself. Orders here are 0.01% beside par, and flip: what was sold is offered to be bought back.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coinslot.methods.tempo.keys import parse_address
from coinslot.methods.tempo.wire import Call, abi, dex
from coinslot.sandbox.tempo.node import Node
from coinslot.sandbox.tempo.treasury import spend

DEPTH: Final = 10**15
"""Base units on each side of each pair: a billion, at six decimals."""

SPREAD: Final = 10
"""Ticks from par to an order, and the least there can be. A tick is 0.001% of the price."""

_CREATE_PAIR: Final = abi.selector("createPair(address)")
_PLACE_FLIP: Final = abi.selector("placeFlip(address,uint128,bool,int16,int16)")
_APPROVE: Final = abi.selector("approve(address,uint256)")

_GAS: Final = 30_000_000


async def open_market(node: Node, chain_id: int, tokens: tuple[str, ...]) -> None:
    """Create a pair of each of `tokens` with the first, and place its orders. Raises `RPCError`."""
    await spend(node, chain_id, _calls(*tokens), gas=_GAS)


def _calls(quote: str, *bases: str) -> Iterator[Call]:
    yield _approve(quote, 2 * DEPTH * len(bases))
    for base in bases:
        yield _approve(base, 2 * DEPTH)
        yield _exchange(_CREATE_PAIR + abi.address_word(base))
        for is_bid, tick in ((True, -SPREAD), (False, SPREAD)):
            order = abi.address_word(base) + abi.amount_word(DEPTH) + abi.number_word(is_bid)
            yield _exchange(_PLACE_FLIP + order + _tick_word(tick) + _tick_word(-tick))


def _approve(token: str, amount: int) -> Call:
    data = _APPROVE + abi.address_word(dex.ADDRESS) + abi.amount_word(amount)
    return Call(to=parse_address(token), value=0, data=data)


def _exchange(data: bytes) -> Call:
    return Call(to=parse_address(dex.ADDRESS), value=0, data=data)


def _tick_word(tick: int) -> bytes:
    return tick.to_bytes(abi.WORD, signed=True)
