from __future__ import annotations

import secrets
import time

import pytest

from coinslot.methods.tempo.keys import PrivateKey
from coinslot.methods.tempo.wire import (
    EXPIRING_NONCE_KEY,
    CallScope,
    KeyAuthorization,
    SelectorRule,
    TokenLimit,
    Transaction,
)
from coinslot.methods.tempo.wire.p256 import P256Key
from coinslot.methods.tempo.wire.signatures import AccessKey, SigningKey
from coinslot.sandbox.tempo import ThreadedDevnet
from coinslot.sandbox.tempo.requests import MAX_CALLS
from sandbox_authorizations import spelled
from sandbox_rpc import PATH_USD, RPC, pay, payment, raw, request
from tempo_strategies import Passkey

ALPHA_USD = "0x20c0000000000000000000000000000000000001"
GRANT = 10**12
TOO_MUCH = 2 * GRANT
INSUFFICIENT_BALANCE = "0x832f98b5"


@pytest.mark.parametrize("others", [0, 1, 3])
def test_a_batch_that_works_simulates(rpc: RPC, payer: PrivateKey, shop: str, others: int) -> None:
    """`eth_call` of a batch that can be paid returns what its last call did, and changes nothing."""
    asked = request(*[pay(shop)] * (others + 1), sender=payer.address)
    assert int(rpc("eth_call", asked, "latest"), 16) == 1
    assert rpc.balance(shop) == 0


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("method", ["eth_call", "eth_estimateGas", "eth_fillTransaction"])
def test_a_batch_that_cannot_be_paid_fails(
    rpc: RPC, payer: PrivateKey, shop: str, method: str, place: int
) -> None:
    """An underfunded transfer anywhere in a batch is a revert, with the token's own reason as its data."""
    calls = [pay(shop)] * 3
    calls[place] = pay(shop, TOO_MUCH)
    error = rpc.error(method, request(*calls, sender=payer.address))
    assert error["code"] == 3
    assert error["message"].startswith("execution reverted")
    assert error["data"].startswith(INSUFFICIENT_BALANCE)


def test_calls_see_what_earlier_calls_did(rpc: RPC, payer: PrivateKey, shop: str) -> None:
    """Two transfers that could each be paid alone, but not one after the other, fail together."""
    twice = [pay(shop, GRANT * 2 // 3)] * 2
    rpc("eth_call", request(twice[0], sender=payer.address), "latest")
    assert rpc.error("eth_call", request(*twice, sender=payer.address), "latest")["code"] == 3


def test_a_single_call_may_stand_in_to_and_data(rpc: RPC, payer: PrivateKey, shop: str) -> None:
    """A request with its one call in `to` and `data` is simulated alike, also with the fees it will carry."""
    fees = {"gas": "0x7a120", "maxFeePerGas": "0xba43b7400", "maxPriorityFeePerGas": "0x3b9aca00"}
    for amount, works in ((1, True), (TOO_MUCH, False)):
        call = pay(shop, amount)
        asked = {
            "type": "0x76",
            "from": payer.address,
            "to": PATH_USD,
            "data": "0x" + call.data.hex(),
            **fees,
        }
        if works:
            assert int(rpc("eth_call", asked, "latest"), 16) == 1
        else:
            assert rpc.error("eth_call", asked, "latest")["code"] == 3


def test_the_top_level_call_is_the_last_of_the_batch(rpc: RPC, payer: PrivateKey, shop: str) -> None:
    """A call in `to` and `data` beside `calls` is appended to them, and not ignored."""
    asked = request(pay(shop), sender=payer.address)
    asked |= {"to": PATH_USD, "data": "0x" + pay(shop, TOO_MUCH).data.hex()}
    assert rpc.error("eth_call", asked, "latest")["code"] == 3


@pytest.mark.parametrize("others", [0, 1])
def test_a_validity_window_is_kept(rpc: RPC, payer: PrivateKey, shop: str, others: int) -> None:
    """`eth_call` of a transaction that is too late, or too early, says so."""
    now = int(time.time())
    calls = [pay(shop)] * (others + 1)
    expiring = {"nonceKey": hex(EXPIRING_NONCE_KEY), "nonce": hex(secrets.randbits(48))}
    late = request(*calls, sender=payer.address, validBefore=hex(now - 5), **expiring)
    assert "transaction expired" in rpc.error("eth_call", late, "latest")["message"]
    early = request(*calls, sender=payer.address, validAfter=hex(now + 60), **expiring)
    assert "not valid yet" in rpc.error("eth_call", early, "latest")["message"]


@pytest.mark.parametrize("others", [0, 1, 4])
def test_the_estimate_is_enough_and_not_wild(rpc: RPC, payer: PrivateKey, shop: str, others: int) -> None:
    """A batch sent with the gas that was estimated for it succeeds, and takes at least a third of it."""
    calls = [pay(shop), *([pay(shop, token=ALPHA_USD)] * others)]
    expiring = {
        "nonceKey": hex(EXPIRING_NONCE_KEY),
        "nonce": "0x5",
        "validBefore": hex(int(time.time()) + 25),
    }
    gas = int(rpc("eth_estimateGas", request(*calls, sender=payer.address, **expiring)), 16)
    receipt = rpc("eth_sendRawTransactionSync", raw(payment(*calls, gas_limit=gas).sign(payer)))
    assert receipt["status"] == "0x1"
    assert gas / 3 < int(receipt["gasUsed"], 16) <= gas


def test_the_estimate_is_enough_on_t4(rpc_t4: RPC, shop: str) -> None:
    """The same under T4's gas rules, where new balances cost far more."""
    payer = PrivateKey.generate()
    rpc_t4("tempo_fundAddress", payer.address)
    calls = [pay(shop), pay(PrivateKey.generate().address)]
    expiring = {
        "nonceKey": hex(EXPIRING_NONCE_KEY),
        "nonce": "0x0",
        "validBefore": hex(int(time.time()) + 25),
    }
    gas = int(rpc_t4("eth_estimateGas", request(*calls, sender=payer.address, **expiring)), 16)
    sent = payment(*calls, gas_limit=gas, nonce=0).sign(payer)
    assert rpc_t4("eth_sendRawTransactionSync", raw(sent))["status"] == "0x1"


@pytest.mark.parametrize("kind", ["p256", "webAuthn"])
def test_the_estimate_is_enough_for_every_key(
    any_devnet: ThreadedDevnet, any_rpc: RPC, shop: str, kind: str
) -> None:
    """With `keyType`, an account of that kind can send with the gas that was estimated for it."""
    key: SigningKey = P256Key.generate() if kind == "p256" else Passkey(P256Key.generate())
    any_devnet.fund(key.address)
    expiring = {"nonceKey": hex(EXPIRING_NONCE_KEY), "nonce": "0x0", "keyType": kind, "keyData": "0x0578"}
    expiring["validBefore"] = hex(int(time.time()) + 25)
    gas = int(any_rpc("eth_estimateGas", request(pay(shop), sender=key.address, **expiring)), 16)
    sent = payment(pay(shop), gas_limit=gas, nonce=0).sign(key)
    assert any_rpc("eth_sendRawTransactionSync", raw(sent))["status"] == "0x1"


@pytest.mark.parametrize("scopes", [None, 1, 2])
@pytest.mark.parametrize("limits", [None, 0, 1, 4])
def test_the_estimate_is_enough_to_authorize(
    devnet_t4: ThreadedDevnet, rpc_t4: RPC, shop: str, limits: int | None, scopes: int | None
) -> None:
    """With `keyAuthorization`, the gas is enough for all that it writes, and not three times as much."""
    root, key = PrivateKey.generate(), P256Key.generate()
    devnet_t4.fund(root.address)
    tokens = (PATH_USD, *(f"0x20c000000000000000000000000000000000000{index}" for index in (1, 2, 3)))
    rule = SelectorRule(bytes.fromhex("a9059cbb"), (shop,))
    authorization = KeyAuthorization(
        chain_id=42431,
        key_type="p256",
        key_address=key.address,
        limits=None if limits is None else tuple(TokenLimit(token, 10**9, 3600) for token in tokens[:limits]),
        scopes=None if scopes is None else tuple(CallScope(token, (rule,)) for token in tokens[:scopes]),
    ).sign(root)
    calls = [pay(shop)]
    asked = request(*calls, sender=root.address, keyId=key.address, keyType="p256")
    asked["keyAuthorization"] = spelled(authorization)
    if limits == 0:
        assert rpc_t4.error("eth_estimateGas", asked)["code"] == 3
        return
    gas = int(rpc_t4("eth_estimateGas", asked), 16)
    sent = payment(*calls, gas_limit=gas, nonce=0, key_authorization=authorization)
    receipt = rpc_t4("eth_sendRawTransactionSync", raw(sent.sign(AccessKey(key, root.address))))
    assert receipt["status"] == "0x1"
    assert gas / 3 < int(receipt["gasUsed"], 16) <= gas


def test_a_filled_transaction_can_be_signed_and_sent(rpc: RPC, payer: PrivateKey, shop: str) -> None:
    """`eth_fillTransaction` returns the batch that was asked for, with everything that a payment needs."""
    deadline = int(time.time()) + 25
    asked = request(
        *(pay(shop), pay(shop)),
        sender=payer.address,
        nonceKey=hex(EXPIRING_NONCE_KEY),
        nonce="0x123456789abc",
        validBefore=hex(deadline),
        feeToken=PATH_USD,
    )
    filled = rpc("eth_fillTransaction", asked)
    assert [call["input"] for call in filled["tx"]["calls"]] == [call["data"] for call in asked["calls"]]  # type: ignore[attr-defined]  # a list
    assert int(filled["tx"]["validBefore"], 16) == deadline
    read = Transaction.decode(bytes.fromhex(filled["raw"][2:]))
    assert (read.nonce, read.valid_before, read.gas_limit) == (
        0x123456789ABC,
        deadline,
        int(filled["tx"]["gas"], 16),
    )
    assert rpc("eth_sendRawTransactionSync", raw(read.sign(payer)))["status"] == "0x1"
    assert rpc.balance(shop) == 2


def test_requests_that_are_not_tempo_transactions_are_the_nodes(
    rpc: RPC, payer: PrivateKey, shop: str
) -> None:
    """A plain call keeps its meaning, and its revert."""
    plain = {"from": payer.address, "to": PATH_USD, "data": "0x" + pay(shop, TOO_MUCH).data.hex()}
    assert rpc.error("eth_call", plain, "latest")["data"].startswith(INSUFFICIENT_BALANCE)


@pytest.mark.parametrize(
    "broken",
    [
        {"calls": 5},
        {"calls": [5]},
        {"calls": [{"to": PATH_USD, "data": 5}]},
        {"calls": [{"to": PATH_USD, "value": "ten"}]},
        {"calls": [{"data": "0x"}] * MAX_CALLS},
        {"calls": [{"to": 5, "data": "0x"}]},
        {"calls": [{"to": PATH_USD, "data": "0xzz"}]},
        {"calls": [{"to": PATH_USD, "data": "0x"}], "validBefore": {}},
        {"type": {}, "calls": []},
        {"type": "0x76", "to": PATH_USD, "data": "0x12345"},
        {"type": "0x76"},
    ],
)
@pytest.mark.parametrize("method", ["eth_call", "eth_estimateGas", "eth_fillTransaction"])
def test_broken_requests_are_refused(rpc: RPC, method: str, broken: dict[str, object]) -> None:
    """A request that cannot be read is an error of its parameters or the node's, never the sandbox's own."""
    error = rpc.error(method, {"from": "0x" + "11" * 20, **broken})
    assert error["code"] in (-32602, -32603, 3)
    assert "sandbox failed" not in error["message"]
