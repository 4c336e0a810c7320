from __future__ import annotations

import pytest

from coinslot.methods import tempo
from coinslot.methods.tempo.client.survey import BuyerNode
from coinslot.methods.tempo.keys import PrivateKey
from coinslot.methods.tempo.rpc import Rpc, RpcRefused
from faulty_node import FaultyNode, refuses
from tempo_payments import issue, new_address, unsigned

PATH_USD = tempo.TESTNET.currency.address


async def test_a_survey_is_made_with_what_the_node_has(node: FaultyNode, millionaire: PrivateKey) -> None:
    """Balance, gas and fees of a transaction without a price; no tip where none is suggested."""
    asked = BuyerNode(Rpc(node.url))
    draft = unsigned(issue(tempo.charge(new_address())))
    conditions = await asked.survey(draft, millionaire, PATH_USD)
    assert conditions.means.balance == 10**12
    assert isinstance(conditions.gas, int)
    assert 30_000 < conditions.gas < 1_000_000
    assert conditions.base_fee > 0
    node.behaviours["eth_maxPriorityFeePerGas"] = refuses(-32601, "Method not found")
    assert (await asked.survey(draft, millionaire, PATH_USD)).priority_fee == 0
    node.behaviours["eth_gasPrice"] = refuses(-32601, "Method not found")
    with pytest.raises(RpcRefused):
        await asked.survey(draft, millionaire, PATH_USD)
    await asked.aclose()
