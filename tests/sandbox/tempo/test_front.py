from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from coinslot.methods.tempo.keys import PrivateKey
from coinslot.sandbox.tempo.faucet import GENESIS_TOKENS, GRANT
from coinslot.sandbox.tempo.front import FATAL
from sandbox_rpc import PATH_USD, RPC, pay, payment, raw

OWN_METHODS = (
    "eth_call",
    "eth_estimateGas",
    "eth_fillTransaction",
    "eth_getBlockReceipts",
    "eth_getTransactionReceipt",
    "eth_sendRawTransaction",
    "eth_sendRawTransactionSync",
    "eth_signRawTransaction",
    "eth_simulateV1",
    "tempo_fundAddress",
    "tempo_simulateV1",
)
words = st.sampled_from([PATH_USD, "0x", "0x76", "latest", "0x0", "", "0x20c0", "0x" + "ff" * 32])
member_names = st.sampled_from(
    [
        *("to", "from", "data", "input", "value", "calls", "type", "gas"),
        *("nonceKey", "nonce", "validBefore", "feeToken", "blockStateCalls"),
        *("feePayer", "feePayerSignature", "maxFeePerGas", "keyId", "keyAuthorization", "accessList"),
    ]
)
params = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(member_names, inner, max_size=4),
    max_leaves=10,
)


@pytest.mark.parametrize("method", sorted(FATAL))
def test_what_crashes_the_node_is_refused(rpc: RPC, payer: PrivateKey, shop: str, method: str) -> None:
    """A method on which the node crashes is refused with an error, and the node lives on."""
    receipt = rpc("eth_sendRawTransactionSync", raw(payment(pay(shop)).sign(payer)))
    by_hash = "ByHash" in method or method.startswith("debug")
    block = receipt["blockHash"] if "BlockHash" in method else receipt["blockNumber"]
    parameters = [receipt["transactionHash"]] if by_hash else [block, "0x0"]
    assert rpc.error(method, *parameters)["code"] == -32004
    assert int(rpc("eth_chainId"), 16) == 42431


def test_the_faucet_gives_a_million_of_each_token(rpc: RPC, shop: str) -> None:
    """`tempo_fundAddress` returns the hashes of mined transactions, and the tokens are there; and again."""
    for times in (1, 2):
        hashes = rpc("tempo_fundAddress", shop)
        assert all(rpc("eth_getTransactionReceipt", each)["status"] == "0x1" for each in hashes)
        assert {rpc.balance(shop, token) for token in GENESIS_TOKENS} == {times * GRANT}


@pytest.mark.parametrize("address", ["0x12", "", None, 5, {}, "0x" + "zz" * 20])
def test_the_faucet_wants_an_address(rpc: RPC, address: object) -> None:
    """What is not an address gets nothing but an error."""
    assert rpc.error("tempo_fundAddress", address)["code"] == -32602


def test_other_methods_are_the_nodes(rpc: RPC) -> None:
    """A method that the front does not know is answered by the node, errors included."""
    assert rpc("anvil_nodeInfo")["network"] == "tempo"
    assert rpc.error("tempo_noSuchThing")["code"] == -32601


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(method=st.sampled_from(OWN_METHODS), parameters=st.lists(params, max_size=3))
def test_any_parameters_are_answered(rpc: RPC, method: str, parameters: list[object]) -> None:
    """Arbitrary parameters give an answer, never a failure of the sandbox or a dead node."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
    answer = rpc.send(body)
    assert "result" in answer or "the sandbox" not in answer["error"]["message"]
