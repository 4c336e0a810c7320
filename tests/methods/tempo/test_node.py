from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from coinslot.methods import tempo
from coinslot.methods.tempo.node import Node, WrongChain, transaction_object
from coinslot.methods.tempo.rpc import Rpc, RpcUnanswered
from coinslot.methods.tempo.wire import Call, Transaction
from faulty_node import FaultyNode, answers, first, refuses
from tempo_payments import OTHER, issue, unsigned

RECIPIENT = "0x742d35Cc6634c0532925a3b844bC9e7595F8fE00"
PATH_USD = "0x20C0000000000000000000000000000000000000"


def some_transaction() -> Transaction:
    return unsigned(issue(tempo.charge(RECIPIENT)))


def test_a_single_call_stands_where_every_node_looks() -> None:
    """`to` and `data` at the top level, the fields of Tempo beside them, and no batch."""
    transaction = some_transaction()
    described = transaction_object(transaction, OTHER)
    assert described == {
        "type": "0x76",
        "from": OTHER,
        "to": PATH_USD,
        "value": "0x0",
        "data": "0x" + transaction.calls[0].data.hex(),
        "chainId": "0xa5bf",
        "nonceKey": hex(2**256 - 1),
        "nonce": "0x0",
        "validBefore": hex(transaction.valid_before or 0),
        "feeToken": PATH_USD,
        "gas": hex(1_000_000),
        "maxFeePerGas": hex(20 * 10**9),
        "maxPriorityFeePerGas": "0x0",
    }


def test_the_last_call_of_a_batch_stands_there_too() -> None:
    """Nodes append the call at the top level to those in `calls`."""
    leading = Call(b"\x01" * 20, 0, b"\x02")
    transaction = some_transaction()
    batch = replace(transaction, calls=(leading, *transaction.calls), valid_after=7)
    described = transaction_object(batch, OTHER)
    assert described["calls"] == [{"to": "0x" + "01" * 20, "value": "0x0", "data": "0x02"}]
    assert described["to"] == PATH_USD
    assert described["validAfter"] == "0x7"


def test_an_estimate_is_asked_for_without_gas_and_fees() -> None:
    """What is to be found out is not given."""
    described = transaction_object(some_transaction(), OTHER, priced=False)
    assert not {"gas", "maxFeePerGas", "maxPriorityFeePerGas"} & described.keys()


async def test_a_node_without_a_chain_to_be_on_may_be_on_any(node: FaultyNode) -> None:
    """It says which, once, and is held to it no further."""
    asked = Node(Rpc(node.url))
    await asked.check_chain()
    assert await asked.chain_id() == 42431
    assert node.methods == ["eth_chainId"]
    strict = Node(Rpc(node.url), 4217)
    for _ in range(2):
        with pytest.raises(WrongChain, match="is on chain 42431, not on 4217"):
            await strict.check_chain()
    assert node.methods == ["eth_chainId"] * 3
    for each in (asked, strict):
        await each.aclose()


async def test_waiting_for_a_receipt_outlasts_a_nodes_moods(lonely_node: FaultyNode) -> None:
    """Refusals, nonsense and absence are waited out."""
    receipt = {"transactionHash": "0x11", "status": "0x1", "logs": []}
    outcomes = iter([refuses(-32603, "no"), answers("nonsense"), answers(None), answers(receipt)])

    async def next_one(request: Any, forward: Any) -> Any:
        return await next(outcomes)(request, forward)

    lonely_node.always = next_one
    waiting = Node(Rpc(lonely_node.url))
    assert (await waiting.wait_for_receipt("0x11")).succeeded
    await waiting.aclose()


@pytest.mark.parametrize(
    "receipt",
    [
        {},
        {"transactionHash": "0x22", "status": "0x1"},
        {"transactionHash": 7, "status": "0x1"},
        {"transactionHash": "0x11", "status": "0x2"},
        {"transactionHash": "0x11"},
        "0x1",
        [],
    ],
    ids=str,
)
async def test_a_receipt_of_something_else_is_no_answer(lonely_node: FaultyNode, receipt: Any) -> None:
    """Only the receipt of the transaction that was asked about, with a status, is one."""
    lonely_node.always = answers(receipt)
    asked = Node(Rpc(lonely_node.url))
    with pytest.raises(RpcUnanswered, match=r"not (a|the) receipt"):
        await asked.receipt("0x11")
    await asked.aclose()


async def test_a_faucet_answers_with_transactions(lonely_node: FaultyNode) -> None:
    """Anything but a list of hashes is no answer."""
    asked = Node(Rpc(lonely_node.url))
    lonely_node.always = first(answers([]))
    with pytest.raises(RpcUnanswered, match="list of transactions"):
        await asked.fund(OTHER, 5)
    await asked.aclose()
