from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from coinslot.methods.tempo.keys import PrivateKey
from sandbox_rpc import PATH_USD, RPC, pay, request

TOO_MUCH = 2 * 10**12


def payload(*requests: Mapping[str, object]) -> dict[str, Any]:
    return {"blockStateCalls": [{"calls": list(requests)}], "validation": False}


def test_each_transaction_has_one_result(rpc: RPC, payer: PrivateKey, shop: str) -> None:
    """A batch, a single call and a plain call give three results, the batch's with all its logs."""
    single = request(pay(shop, 5), sender=payer.address)
    batch = request(pay(shop, 1), pay(shop, 2), sender=payer.address)
    plain = {"from": payer.address, "to": PATH_USD, "data": "0x" + pay(shop).data.hex()}
    simulated = rpc("tempo_simulateV1", payload(batch, single, plain), "latest")
    results = simulated["blocks"][0]["calls"]
    assert [result["status"] for result in results] == ["0x1"] * 3
    assert [[int(log["data"], 16) for log in result["logs"]] for result in results] == [[1, 2], [5], [1]]


def test_the_tokens_of_a_simulation_are_named(rpc: RPC, payer: PrivateKey, shop: str) -> None:
    """`tempo_simulateV1` names the tokens that are called; what is no token is left out."""
    elsewhere = {"from": payer.address, "to": "0x20c0000000000000000000000000000000009999", "data": "0x"}
    simulated = rpc("tempo_simulateV1", payload(request(pay(shop), sender=payer.address), elsewhere))
    assert simulated["tokenMetadata"] == {
        PATH_USD: {"name": "PathUSD", "symbol": "PathUSD", "currency": "USD"}
    }


def test_a_failing_call_fails_its_transaction(rpc: RPC, payer: PrivateKey, shop: str) -> None:
    """A batch with an underfunded call has status 0, no logs, and the reason."""
    batch = request(pay(shop), pay(shop, TOO_MUCH), sender=payer.address)
    result = rpc("tempo_simulateV1", payload(batch), "latest")["blocks"][0]["calls"][0]
    assert (result["status"], result["logs"]) == ("0x0", [])
    assert result["returnData"].startswith("0x832f98b5")


def test_a_fee_is_nobodys_call(rpc: RPC, payer: PrivateKey, shop: str) -> None:
    """Transactions with and without fees have one result each, without the fee's own transfer in its logs."""
    fees = {"gas": "0xf4240", "maxFeePerGas": hex(50 * 10**9), "maxPriorityFeePerGas": hex(10**9)}
    batch = request(pay(shop, 1), pay(shop, 2), sender=payer.address, **fees)
    single = request(pay(shop, 5), sender=payer.address)
    blocks = {"blockStateCalls": [{"calls": [batch, single]}, {"calls": [batch]}], "validation": False}
    simulated = rpc("tempo_simulateV1", blocks, "latest")["blocks"]
    amounts = [
        [[int(log["data"], 16) for log in result["logs"]] for result in block["calls"]] for block in simulated
    ]
    assert amounts == [[[1, 2], [5]], [[1, 2]]]


def test_an_expired_transaction_is_refused(rpc: RPC, payer: PrivateKey, shop: str) -> None:
    """`validBefore` counts in a simulation too."""
    late = request(pay(shop), sender=payer.address, validBefore=hex(int(time.time()) - 5))
    assert "transaction expired" in rpc.error("tempo_simulateV1", payload(late), "latest")["message"]


def test_eth_simulate_v1_survives_tempo_transactions(rpc: RPC, payer: PrivateKey, shop: str) -> None:
    """`eth_simulateV1` of a Tempo Transaction is answered; the node alone would crash."""
    blocks = rpc("eth_simulateV1", payload(request(pay(shop), sender=payer.address)), "latest")
    assert blocks[0]["calls"][0]["status"] == "0x1"
    assert rpc.error("eth_simulateV1", payload({"type": "0x76", "from": payer.address}))["code"] == -32602


def test_broken_payloads_are_refused(rpc: RPC) -> None:
    """A payload of another shape is an error of its parameters."""
    for broken in ({}, {"blockStateCalls": [5]}, {"blockStateCalls": [{"calls": [5]}]}, 5):
        for method in ("eth_simulateV1", "tempo_simulateV1"):
            error = rpc.error(method, broken)
            assert error["code"] == -32602, (method, broken)
