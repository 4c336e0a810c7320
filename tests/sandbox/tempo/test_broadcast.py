from __future__ import annotations

import time

import pytest

from coinslot.methods.tempo.keys import PrivateKey
from sandbox_rpc import RPC, pay, payment, raw


def test_sync_takes_a_timeout(rpc: RPC, payer: PrivateKey, shop: str) -> None:
    """The second parameter of `eth_sendRawTransactionSync` is taken, and the receipt comes back."""
    sent = payment(pay(shop, 7)).sign(payer)
    receipt = rpc("eth_sendRawTransactionSync", raw(sent), 20_000)
    assert receipt["transactionHash"] == "0x" + sent.hash().hex()
    assert rpc.balance(shop) == 7


def test_a_timeout_that_passes_is_told_with_the_hash(rpc: RPC, payer: PrivateKey, shop: str) -> None:
    """A transaction that is not mined in the caller's time is error 4, with its hash (EIP-7966)."""
    out_of_turn = payment(pay(shop), nonce_key=7, nonce=3).sign(payer)
    error = rpc.error("eth_sendRawTransactionSync", raw(out_of_turn), 200)
    assert (error["code"], error["data"]) == (4, "0x" + out_of_turn.hash().hex())


@pytest.mark.parametrize("timeout", ["20", -1, 0, True, {}])
def test_a_timeout_that_is_none_is_refused(rpc: RPC, timeout: object) -> None:
    """A timeout is a positive number of milliseconds."""
    assert rpc.error("eth_sendRawTransactionSync", "0x76", timeout)["code"] == -32602


@pytest.mark.parametrize("transaction", ["76", "0x7", "0xzz", 5, None, {}])
def test_what_is_not_hexadecimal_is_refused(rpc: RPC, transaction: object) -> None:
    """A raw transaction is hexadecimal digits after 0x."""
    for method in ("eth_sendRawTransaction", "eth_sendRawTransactionSync"):
        assert rpc.error(method, transaction)["code"] == -32602


def test_bytes_that_are_no_transaction_are_the_nodes_to_refuse(rpc: RPC) -> None:
    """The node's own error for undecodable bytes comes through."""
    assert "decode" in rpc.error("eth_sendRawTransactionSync", "0x76c0")["message"]


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("endpoint", ["rpc", "rpc_t4"])
def test_a_dropped_transaction_is_told(request: pytest.FixtureRequest, shop: str, endpoint: str) -> None:
    """Too little gas to be included is an error within seconds; the node alone would say nothing for 30."""
    rpc: RPC = request.getfixturevalue(endpoint)
    payer = PrivateKey.generate()
    rpc("tempo_fundAddress", payer.address)
    starved = raw(payment(pay(shop), gas_limit=25_000, nonce=0).sign(payer))
    assert "dropped" in rpc.error("eth_sendRawTransactionSync", starved)["message"]


@pytest.mark.usefixtures("hasty")
def test_a_dropped_transaction_is_not_remembered(rpc: RPC, payer: PrivateKey, shop: str) -> None:
    """What the node dropped was never included, so sending it again is no replay."""
    starved = raw(payment(pay(shop), gas_limit=25_000).sign(payer))
    for method in ("eth_sendRawTransaction", "eth_sendRawTransactionSync"):
        assert "dropped" in rpc.error(method, starved)["message"]


def test_an_unaffordable_fee_is_refused(rpc: RPC, payer: PrivateKey, shop: str) -> None:
    """An account that cannot pay the fee is told so by the node."""
    poor = PrivateKey.generate()
    rpc("eth_sendRawTransactionSync", raw(payment(pay(poor.address, 10)).sign(payer)))
    error = rpc.error("eth_sendRawTransactionSync", raw(payment(pay(shop)).sign(poor)))
    assert "insufficient" in error["message"]


def test_a_transaction_that_is_not_valid_yet_is_refused(rpc: RPC, payer: PrivateKey, shop: str) -> None:
    """A `validAfter` in the future is an error on every lane; the node would mine without pause till then."""
    start = int(time.time()) + 60
    for lane in ({}, {"nonce_key": 7, "nonce": 0}):
        early = payment(pay(shop), valid_after=start, valid_for=120, **lane).sign(payer)
        assert "not valid yet" in rpc.error("eth_sendRawTransaction", raw(early))["message"]
