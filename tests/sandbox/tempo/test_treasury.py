from __future__ import annotations

import asyncio

import pytest

from coinslot.sandbox.tempo import ThreadedDevnet
from coinslot.sandbox.tempo.jsonrpc import RPCError
from coinslot.sandbox.tempo.node import Node
from coinslot.sandbox.tempo.treasury import spend
from sandbox_rpc import RPC, pay


async def test_spending_is_done_on_return(devnet: ThreadedDevnet, rpc: RPC, shop: str) -> None:
    """Any number of transactions at once are mined when their calls return."""
    node = Node(devnet.rpc_url)
    hashes = await asyncio.gather(*(spend(node, 42431, [pay(shop)], gas=700_000) for _ in range(5)))
    assert len(set(hashes)) == 5
    assert await asyncio.to_thread(rpc.balance, shop) == 5
    await node.aclose()


async def test_a_failure_is_an_error(devnet: ThreadedDevnet, shop: str) -> None:
    """What is reverted is not passed over."""
    node = Node(devnet.rpc_url)
    with pytest.raises(RPCError, match="was reverted"):
        await spend(node, 42431, [pay(shop, 2**100)], gas=700_000)
    await node.aclose()
