"""The watch on the chain: every transfer to an address of ours is taken note of, once, in order.

The next block to look at is in the state, so a sandbox that was stopped catches up. Real Stripe sandboxes do
not watch testnets; this one is for a chain on this machine.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from coinslot.sandbox.stripe import deposits
from coinslot.sandbox.stripe.chain import NETWORK, Chain
from coinslot.sandbox.stripe.deposits import SeenTransfer
from coinslot.sandbox.stripe.state import State
from coinslot.sandbox.stripe.store import Store

SPAN: Final = 200
"""Blocks that are asked for at once."""

_NEXT: Final = f"chain:{NETWORK}:next"


async def watch(store: Store, chain: Chain) -> bool:
    """Look at the blocks that are new. Whether something was paid. Raises `RpcError`."""
    height = await chain.height()
    first = await store.run(lambda state: _first(state, height))
    paid = False
    while first <= height:
        last = min(first + SPAN - 1, height)
        seen = await chain.transfers(first, last)
        paid |= await store.run(partial(_take_note, seen=seen, last=last))
        first = last + 1
    return paid


def _first(state: State, height: int) -> int:
    """The block to begin with: the next one, or the whole of a chain that has begun anew."""
    noted = state.note(_NEXT)
    if noted is None:
        state.keep_note(_NEXT, str(height))
        return height
    return int(noted) if int(noted) <= height + 1 else 0


def _take_note(state: State, seen: list[SeenTransfer], last: int) -> bool:
    noted = [deposits.see(state, each) for each in seen]
    state.keep_note(_NEXT, str(last + 1))
    return any(each is not None and each.payment_intent is not None for each in noted)
