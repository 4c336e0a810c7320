from __future__ import annotations

from typing import Any

import pytest

from coinslot.methods import tempo
from coinslot.methods.tempo.blocks import Blocks
from coinslot.methods.tempo.keys import PrivateKey
from coinslot.methods.tempo.rpc import Rpc, RpcRefused, RpcUnanswered
from faulty_node import FaultyNode, answers, refuses
from tempo_payments import issue, mined, unsigned


async def test_a_time_is_found_in_few_questions(
    node: FaultyNode, charge: tempo.TempoCharge, payer: PrivateKey
) -> None:
    """The first block at a time or after it, by bisection; the next time is found in fewer questions."""
    for _ in range(3):
        await mined(node, unsigned(issue(charge)).sign(payer))
    rpc = Rpc(node.url)
    blocks = Blocks(rpc)
    latest, _ = await blocks.read("latest")
    times = await blocks.times(range(latest + 1))
    for wanted in (0, times[0], times[latest // 3], times[latest // 2] + 1, times[latest], times[latest] + 1):
        node.methods.clear()
        expected = next((number for number in sorted(times) if times[number] >= wanted), latest + 1)
        assert await blocks.first(wanted, latest) == expected
        assert len(node.methods) <= (latest + 1).bit_length()
    node.methods.clear()
    await blocks.first(times[latest], latest)
    assert node.methods == []
    await rpc.aclose()


@pytest.mark.parametrize(
    "answer",
    [None, [], {}, {"number": "0x1"}, {"number": 1, "timestamp": 1}, {"number": "1", "timestamp": "0x"}],
)
async def test_what_is_no_block_is_no_answer(answer: Any, lonely_node: FaultyNode) -> None:
    """A node that makes no sense is not believed."""
    rpc = Rpc(lonely_node.url)
    lonely_node.behaviours["eth_getBlockByNumber"] = answers(answer)
    for asked in (Blocks(rpc).read("latest"), Blocks(rpc).times([1])):
        with pytest.raises(RpcUnanswered, match="not a block"):
            await asked
    lonely_node.behaviours["eth_getBlockByNumber"] = refuses(-32000, "no such block")
    with pytest.raises(RpcRefused):
        await Blocks(rpc).times([1, 2])
    await rpc.aclose()
