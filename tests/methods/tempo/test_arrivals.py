"""Transfers to and from addresses, read from a chain's logs."""

from __future__ import annotations

from typing import Any

import pytest

from coinslot.methods.tempo.arrivals import Arrival
from coinslot.methods.tempo.keys import PrivateKey
from coinslot.methods.tempo.node import Node
from coinslot.methods.tempo.rpc import Rpc, RpcRefused, RpcUnanswered
from coinslot.sandbox.tempo import ThreadedDevnet
from faulty_node import Answer, FaultyNode, Forward, Request, answers, edits, refuses
from tempo_buying import ALPHA_USD, PATH_USD, give
from tempo_payments import new_address

TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"


async def arrived(node: FaultyNode, **asked: Any) -> list[Arrival]:
    """What there is of it, from the first block to the latest unless said otherwise."""
    asking = Node(Rpc(node.url))
    try:
        latest, _ = await asking.latest_block()
        between = {"since_block": 0, "until_block": latest, **asked}
        return [each async for each in asking.transfers(**between)]
    finally:
        await asking.aclose()


async def test_every_token_is_seen_once_with_its_place(devnet: ThreadedDevnet, node: FaultyNode) -> None:
    """Two transfers of one transaction are two, in their order, and told apart by their places."""
    here = new_address()
    await give(devnet, here, path_usd=5, alpha_usd=7)
    one, other = await arrived(node, to=[here.lower()])
    assert (one.token, one.amount, one.recipient) == (PATH_USD, 5, here)
    assert (other.token, other.amount, other.sender) == (ALPHA_USD, 7, one.sender)
    assert one.transaction == other.transaction
    assert (one.block, one.index) < (other.block, other.index)
    assert await arrived(node, to=[here], since_block=one.block + 1) == []
    assert await arrived(node, to=[new_address()], sent_by=[one.sender]) == []
    assert [each for each in await arrived(node, sent_by=[one.sender]) if each.recipient == here] == [
        one,
        other,
    ]


async def test_more_addresses_than_fit_one_question(devnet: ThreadedDevnet, node: FaultyNode) -> None:
    """All of them are asked about."""
    first, last = new_address(), new_address()
    await give(devnet, first, path_usd=1)
    await give(devnet, last, path_usd=2)
    crowd = [first, *(PrivateKey.generate().address for _ in range(250)), last]
    assert [each.amount for each in await arrived(node, to=crowd)] == [1, 2]
    assert node.methods.count("eth_getLogs") == 2


async def test_a_refused_range_is_asked_for_in_smaller_pieces(
    devnet: ThreadedDevnet, node: FaultyNode
) -> None:
    """Until the node answers, and nothing between the pieces is lost."""
    here = new_address()
    for _ in range(3):
        await give(devnet, here, path_usd=1)

    async def two_blocks_at_most(request: Request, forward: Forward) -> Answer:
        (asked,) = request["params"]
        if int(asked["toBlock"], 16) - int(asked["fromBlock"], 16) > 1:
            return await refuses(-32005, "range too large")(request, forward)
        return await forward()

    (whole,) = {len(await arrived(node, to=[here]))}
    latest = (await arrived(node, to=[here]))[-1].block
    node.behaviours["eth_getLogs"] = two_blocks_at_most
    pieces = await arrived(node, to=[here], since_block=max(latest - 20, 0))
    assert len(pieces) == whole == 3


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (refuses(-32005, "never"), RpcRefused),
        (refuses(-32601, "no such method"), RpcRefused),
        (answers({}), RpcUnanswered),
        (answers(None), RpcUnanswered),
        (answers([None]), RpcUnanswered),
        (answers([{"topics": 1}]), RpcUnanswered),
    ],
)
async def test_a_node_that_does_not_tell(lonely_node: FaultyNode, behaviour: Any, error: Any) -> None:
    """Silence is never taken for "nothing came"."""
    lonely_node.behaviours["eth_getLogs"] = behaviour
    asking = Node(Rpc(lonely_node.url))
    with pytest.raises(error):
        _ = [each async for each in asking.transfers(to=[new_address()], since_block=1, until_block=64)]
    await asking.aclose()


async def test_logs_that_prove_nothing_are_passed_over(devnet: ThreadedDevnet, node: FaultyNode) -> None:
    """Any contract can write `Transfer` logs: only those of tokens count. One has a place in its block."""
    here = new_address()
    await give(devnet, here, path_usd=5)

    def another(**members: Any) -> None:
        node.behaviours["eth_getLogs"] = edits(lambda logs: [{**log, **members} for log in logs])

    another(address="0x" + "ab" * 20)
    assert await arrived(node, to=[here]) == []
    another(topics=[TRANSFER])
    assert await arrived(node, to=[here]) == []
    another(logIndex=None)
    with pytest.raises(RpcUnanswered):
        await arrived(node, to=[here])


async def test_somebody_has_to_be_named(lonely_node: FaultyNode) -> None:
    """Nobody reads all transfers of a chain by mistake."""
    asking = Node(Rpc(lonely_node.url))
    with pytest.raises(ValueError, match="whose transfers"):
        _ = [each async for each in asking.transfers(since_block=1, until_block=2)]
    await asking.aclose()
