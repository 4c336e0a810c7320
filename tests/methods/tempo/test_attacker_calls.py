"""Payments whose calls are almost those that pay: calldata, functions, value, and swaps in front."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TypeAlias

import pytest
from hypothesis import assume, given, strategies as st
from msgspec.structs import replace

from coinslot.methods.tempo.keys import keccak256
from coinslot.methods.tempo.wire import Call, Swap, swap_calls
from coinslot.protocol import Credential
from faulty_node import FaultyNode
from tempo_attacks import COUNT, CURRENCY, EXAMPLES, MORE, Attack, Draw, Make, Payment, payments, splice
from tempo_strategies import addresses, calls as any_call, spelled_addresses
from tempo_till import Till

NO_TRANSFER = "call is not a transfer or transferWithMemo of a token"
NOT_ALONE = f"{NO_TRANSFER}|sends native value|creates a contract"

SWAPPED = {"swapped": True}


@pytest.fixture
async def till(lonely_node: FaultyNode) -> AsyncIterator[Till]:
    """A till on a node that would let anything through."""
    till = Till(lonely_node)
    yield till
    await till.aclose()


CallsEdit: TypeAlias = Callable[[tuple[Call, ...], int, Draw], tuple[Call, ...]]


def calls(edit: CallsEdit) -> Make:
    """Alter the calls, of which the first that is a transfer has this index."""

    def make(payment: Payment, draw: Draw) -> Credential:
        good = payment.transaction()
        return payment.present(replace(good, calls=edit(good.calls, payment.first, draw)))

    return make


def one_call(edit: Callable[[Call, Draw], Call]) -> Make:
    """Alter one of the calls that are transfers."""

    def at_any(made: tuple[Call, ...], first: int, draw: Draw) -> tuple[Call, ...]:
        index = draw(st.integers(first, len(made) - 1))
        return splice(made, index, edit(made[index], draw))

    return calls(at_any)


def one_of_the_swap(edit: Callable[[Call, Draw], Call], *which: int) -> Make:
    """Alter the approval (0) or the exchange (1) in front of the transfers."""

    def at_any(made: tuple[Call, ...], first: int, draw: Draw) -> tuple[Call, ...]:
        index = draw(st.sampled_from(which or (0, 1)))
        return splice(made, index, edit(made[index], draw))

    return calls(at_any)


def another_swap(edit: Callable[[Swap, int, Draw], Swap]) -> Make:
    """Swap on other terms, well spelled; the sum of the transfers is known."""

    def make(payment: Payment, draw: Draw) -> Credential:
        assert payment.swap is not None
        total = sum(transfer.amount for transfer in payment.transfers)
        swap = edit(payment.swap, total, draw)
        good = payment.transaction()
        return payment.present(replace(good, calls=(*swap_calls(swap), *good.calls[2:])))

    return make


def put(call: Call, at: int, new: bytes) -> Call:
    """Other bytes at one place of the calldata."""
    return replace(call, data=call.data[:at] + new + call.data[at + len(new) :])


def dirty(call: Call, draw: Draw) -> Call:
    """A bit where the padding of the first address should be zero."""
    return put(call, 4 + draw(st.integers(0, 11)), bytes([1 << draw(st.integers(0, 7))]))


def cut(call: Call, draw: Draw) -> Call:
    return replace(call, data=call.data[: draw(st.integers(0, len(call.data) - 1))])


def lengthen(call: Call, draw: Draw) -> Call:
    return replace(call, data=call.data + draw(st.binary(min_size=1, max_size=64)))


def another_function(call: Call, draw: Draw) -> Call:
    """The same arguments for another function, of those that tokens have or of any."""
    known = ["transfer(address,uint256)", "transferWithMemo(address,uint256,bytes32)"]
    others = ["approve(address,uint256)", "mint(address,uint256)", "transferFrom(address,address,uint256)"]
    selectors = st.sampled_from([keccak256(name.encode())[:4] for name in known + others])
    selector = draw(selectors | st.binary(min_size=4, max_size=4))
    assume(selector != call.data[:4])
    return put(call, 0, selector)


def worth_something(call: Call, draw: Draw) -> Call:
    return replace(call, value=draw(st.integers(1, 2**256 - 1)))


def _inserted(made: list[Call], call: Call, draw: Draw) -> list[Call]:
    made.insert(draw(st.integers(0, len(made))), call)
    return made


CALLS = [
    Attack("native value", one_call(worth_something), "sends native value"),
    Attack("a contract", one_call(lambda call, draw: replace(call, to=None)), "creates a contract"),
    Attack("cut calldata", one_call(cut), NO_TRANSFER),
    Attack("longer calldata", one_call(lengthen), NO_TRANSFER),
    Attack("a dirty address", one_call(dirty), NO_TRANSFER),
    Attack("another function", one_call(another_function), NO_TRANSFER),
    Attack(
        "a packed address",
        one_call(lambda call, draw: replace(call, data=call.data[:4] + call.data[16:] + bytes(12))),
        NO_TRANSFER,
    ),
    Attack(
        "a call beside",
        calls(lambda made, first, draw: tuple(_inserted(list(made), draw(any_call), draw))),
        NOT_ALONE,
    ),
    Attack("only the swap", calls(lambda made, first, draw: made[:2]), COUNT, SWAPPED),
    Attack("only the approval", calls(lambda made, first, draw: splice(made, 1)), NO_TRANSFER, SWAPPED),
    Attack("only the exchange", calls(lambda made, first, draw: made[1:]), NO_TRANSFER, SWAPPED),
    Attack("two swaps", calls(lambda made, first, draw: made[:2] + made), NO_TRANSFER, SWAPPED),
    Attack("the swap at the end", calls(lambda made, first, draw: made[2:] + made[:2]), NO_TRANSFER, SWAPPED),
    Attack(
        "the swap the other way round",
        calls(lambda made, first, draw: (made[1], made[0], *made[2:])),
        NO_TRANSFER,
        SWAPPED,
    ),
    Attack(
        "an approval of somebody else",
        one_of_the_swap(lambda call, draw: put(call, 16, draw(addresses)), 0),
        NO_TRANSFER,
        SWAPPED,
    ),
    Attack(
        "an approval of more",
        one_of_the_swap(lambda call, draw: put(call, 36, draw(st.sampled_from([b"\x01", b"\xff" * 32]))), 0),
        NO_TRANSFER,
        SWAPPED,
    ),
    Attack(
        "an approval of less",
        one_of_the_swap(lambda call, draw: put(call, 36, bytes(32)), 0),
        NO_TRANSFER,
        SWAPPED,
    ),
    Attack(
        "an approval of another token",
        one_of_the_swap(lambda call, draw: replace(call, to=draw(addresses)), 0),
        NO_TRANSFER,
        SWAPPED,
    ),
    Attack(
        "an exchange elsewhere",
        one_of_the_swap(lambda call, draw: replace(call, to=draw(addresses)), 1),
        NO_TRANSFER,
        SWAPPED,
    ),
    Attack("a swap of native value", one_of_the_swap(worth_something), NOT_ALONE, SWAPPED),
    Attack("a swap with longer calldata", one_of_the_swap(lengthen), NO_TRANSFER, SWAPPED),
    Attack("a swap with cut calldata", one_of_the_swap(cut), NO_TRANSFER, SWAPPED),
    Attack("a swap with a dirty address", one_of_the_swap(dirty), NO_TRANSFER, SWAPPED),
    Attack("a swap by another function", one_of_the_swap(another_function), NO_TRANSFER, SWAPPED),
    Attack(
        "a swap for another token",
        another_swap(lambda swap, total, draw: replace(swap, token_out=draw(spelled_addresses))),
        "swap is not for 0x20C0",
        SWAPPED,
    ),
    Attack(
        "a swap of the token itself",
        another_swap(lambda swap, total, draw: replace(swap, token_in=CURRENCY)),
        "swap is not for 0x20C0",
        SWAPPED,
    ),
    Attack(
        "a swap for more",
        another_swap(
            lambda swap, total, draw: replace(swap, amount_out=draw(st.integers(total + 1, 2**128 - 1)))
        ),
        MORE,
        SWAPPED,
    ),
]
"""What is wrong about the calls themselves."""


@pytest.mark.parametrize("attack", CALLS, ids=repr)
@EXAMPLES
@given(data=st.data())
async def test_calls_that_do_anything_else_are_refused(
    attack: Attack, till: Till, data: st.DataObject
) -> None:
    """Whatever shape the payment has, with one call spelled or meant otherwise it is refused."""
    payment = data.draw(payments(**attack.shape))
    await till.refuses(attack.make(payment, data.draw), attack.words, by_chain=attack.by_chain)
