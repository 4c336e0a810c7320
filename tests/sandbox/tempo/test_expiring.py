from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec.structs import replace

from coinslot.methods.tempo.keys import PrivateKey
from coinslot.methods.tempo.wire.p256 import P256Key
from coinslot.methods.tempo.wire.signatures import AccessKey, SigningKey
from coinslot.sandbox.tempo import ThreadedDevnet, expiring
from coinslot.sandbox.tempo.expiring import ExpiringNonces
from coinslot.sandbox.tempo.jsonrpc import RPCError
from coinslot.sandbox.tempo.node import Node
from sandbox_rpc import RPC, pay, payment, raw
from tempo_strategies import Passkey

SEND = ["eth_sendRawTransaction", "eth_sendRawTransactionSync"]


@pytest.mark.parametrize("nonce", [0, 1, 2**48 - 1, 2**63, 2**64 - 2])
def test_any_nonce_pays(rpc: RPC, payer: PrivateKey, shop: str, nonce: int) -> None:
    """An expiring transaction settles whatever its nonce is, and in whatever order nonces come."""
    for amount in (1, 2):
        sent = payment(pay(shop, amount), nonce=nonce).sign(payer)
        assert rpc("eth_sendRawTransactionSync", raw(sent))["status"] == "0x1"
    assert rpc.balance(shop) == 3


def test_one_nonce_pays_once_each_time(rpc: RPC, payer: PrivateKey, shop: str) -> None:
    """Hundreds of payments with one nonce, as fast as they go, all settle, and none of them twice."""
    amounts = range(1, 301)
    for amount in amounts:
        sent = payment(pay(shop, amount), nonce=0).sign(payer)
        assert rpc("eth_sendRawTransactionSync", raw(sent))["status"] == "0x1"
    assert rpc.balance(shop) == sum(amounts)


SENDERS: dict[str, Callable[[], SigningKey]] = {
    "p256": P256Key.generate,
    "webAuthn": lambda: Passkey(P256Key.generate()),
}


@pytest.mark.parametrize("kind", SENDERS)
@pytest.mark.parametrize("method", SEND)
def test_keys_on_p256_pay(devnet: ThreadedDevnet, rpc: RPC, shop: str, method: str, kind: str) -> None:
    """P-256 and WebAuthn accounts have expiring nonces too: any nonce, in any order, and no replay."""
    key = SENDERS[kind]()
    devnet.fund(key.address)
    for nonce in (2**48, 7, 8):
        sent = payment(pay(shop, 5), nonce=nonce).sign(key)
        rpc(method, raw(sent))
        assert "ExpiringNonceReplay" in rpc.error(method, raw(sent))["message"]
    assert rpc.balance(shop) == 15


@pytest.mark.parametrize("lane", [{}, {"nonce_key": 7, "nonce": 0}, {"nonce_key": 0, "nonce": 0}])
@pytest.mark.parametrize("method", SEND)
def test_access_keys_need_a_later_hardfork(
    rpc: RPC, payer: PrivateKey, shop: str, method: str, lane: dict[str, int]
) -> None:
    """An access key's signature on T0 is refused at once, in a sentence that names the hardfork to use."""
    access = AccessKey(PrivateKey.generate(), payer.address)
    message = rpc.error(method, raw(payment(pay(shop), **lane).sign(access)))["message"]
    assert "type 0x04) is not valid before T1C" in message
    assert "hardfork T4" in message


@pytest.mark.parametrize("kind", [b"\x02", b"\x03", b"\x05"])
def test_who_cannot_be_told_is_refused(rpc: RPC, payer: PrivateKey, shop: str, kind: bytes) -> None:
    """A signature from which no account follows is refused, with what is wrong with it."""
    unsigned = payment(pay(shop))
    broken = replace(unsigned, signature=kind + bytes(20) + payer.sign(unsigned.signing_hash()))
    assert "cannot tell whose" in rpc.error("eth_sendRawTransactionSync", raw(broken))["message"]


def test_the_last_nonce_is_refused_at_once(rpc: RPC, payer: PrivateKey, shop: str) -> None:
    """The one nonce that cannot be emulated is an error that says so, and no hang."""
    last = payment(pay(shop), nonce=2**64 - 1).sign(payer)
    assert "cannot emulate" in rpc.error("eth_sendRawTransactionSync", raw(last))["message"]


@pytest.mark.parametrize("second", SEND)
@pytest.mark.parametrize("first", SEND)
def test_a_replay_is_refused(rpc: RPC, payer: PrivateKey, shop: str, first: str, second: str) -> None:
    """The same transaction pays once, by whichever method it comes again."""
    sent = raw(payment(pay(shop, 5)).sign(payer))
    rpc(first, sent)
    assert "ExpiringNonceReplay" in rpc.error(second, sent)["message"]
    assert rpc.balance(shop) == 5


def test_copies_at_once_pay_once(rpc: RPC, payer: PrivateKey, shop: str) -> None:
    """Of eight copies that arrive together one pays and seven are replays."""
    sent = raw(payment(pay(shop, 5)).sign(payer))

    def send(_: int) -> bool:
        client = RPC(rpc.url)
        try:
            return (
                "result"
                in client.post(
                    b'{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransactionSync","params":["%s"]}'
                    % sent.encode()
                ).json()
            )
        finally:
            client.close()

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(send, range(8))) == [False] * 7 + [True]
    assert rpc.balance(shop) == 5


@pytest.mark.usefixtures("hasty")
def test_a_pending_transaction_is_already_known(shop: str) -> None:
    """What was sent and is not mined yet is answered as a pool does, not as the chain."""
    with ThreadedDevnet() as devnet:
        rpc = RPC(devnet.rpc_url)
        payer = PrivateKey.generate()
        devnet.fund(payer.address)
        rpc("evm_setAutomine", False)
        rpc("evm_setIntervalMining", 0)
        sent = raw(payment(pay(shop)).sign(payer))
        rpc("eth_sendRawTransaction", sent)
        error = rpc.error("eth_sendRawTransactionSync", sent)
        assert (error["code"], error["message"]) == (-32000, "already known")
        rpc.close()


def test_a_refused_transaction_is_not_remembered(devnet: ThreadedDevnet, rpc: RPC, shop: str) -> None:
    """What the node refused may be sent again when the reason is gone."""
    payer = PrivateKey.generate()
    sent = raw(payment(pay(shop)).sign(payer))
    assert "insufficient" in rpc.error("eth_sendRawTransactionSync", sent)["message"]
    devnet.fund(payer.address)
    assert rpc("eth_sendRawTransactionSync", sent)["status"] == "0x1"


@pytest.mark.parametrize("method", SEND)
@pytest.mark.parametrize(
    ("valid_for", "reason"),
    [
        (None, "requires valid_before"),
        (-5, "expired"),
        (2, "current time"),
        (400, "too far in the future: must be within 300s"),
    ],
)
def test_valid_before_is_enforced(
    rpc: RPC, payer: PrivateKey, shop: str, method: str, valid_for: int | None, reason: str
) -> None:
    """An expiring transaction needs a `validBefore` that is neither past, nor imminent, nor far away."""
    sent = payment(pay(shop), valid_for=valid_for).sign(payer)
    assert reason in rpc.error(method, raw(sent))["message"]
    assert rpc.balance(shop) == 0


@pytest.mark.parametrize("method", SEND)
@pytest.mark.parametrize(
    ("nonce", "valid_for", "reason"),
    [(0, 60, "too far in the future: must be within 30s"), (5, 25, "nonce == 0"), (0, -5, "expired")],
)
def test_t4_keeps_its_own_rules(
    rpc_t4: RPC, shop: str, method: str, nonce: int, valid_for: int, reason: str
) -> None:
    """On T4 the nonce is 0 and the window 30 s; a violation is an error and no hang."""
    payer = PrivateKey.generate()
    rpc_t4("tempo_fundAddress", payer.address)
    sent = payment(pay(shop), nonce=nonce, valid_for=valid_for).sign(payer)
    assert reason in rpc_t4.error(method, raw(sent))["message"]


def test_t4_pays(rpc_t4: RPC, shop: str) -> None:
    """A payment by T4's rules settles there."""
    payer = PrivateKey.generate()
    rpc_t4("tempo_fundAddress", payer.address)
    for amount in (1, 2):
        sent = payment(pay(shop, amount), nonce=0).sign(payer)
        assert rpc_t4("eth_sendRawTransactionSync", raw(sent))["status"] == "0x1"
    assert rpc_t4.balance(shop) == 3


def test_payers_do_not_wait_for_each_other(devnet: ThreadedDevnet, rpc: RPC, shop: str) -> None:
    """Forty payments of four payers at once, each payer's with nonces of its own, all settle."""
    payers = [PrivateKey.generate() for _ in range(4)]
    for payer in payers:
        devnet.fund(payer.address)
    sent = [raw(payment(pay(shop)).sign(payer)) for payer in payers for _ in range(10)]

    def send(transaction: str) -> str:
        client = RPC(rpc.url)
        try:
            status: str = client("eth_sendRawTransactionSync", transaction)["status"]
        finally:
            client.close()
        return status

    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(send, sent)) == {"0x1"}
    assert rpc.balance(shop) == len(sent)


async def test_another_fee_payer_makes_no_other_transaction(devnet: ThreadedDevnet, shop: str) -> None:
    """What the sender signed is seen once, whoever signs for the fee."""
    now = int(time.time())
    sent = payment(pay(shop), fee_token=None, fee_payer_signature=b"\x00").sign(PrivateKey.generate())
    first, second = (replace(sent, fee_payer_signature=bytes([index]) * 64 + b"\x1b") for index in (1, 2))
    node = Node(devnet.rpc_url)
    nonces = ExpiringNonces(node, 42431)
    async with nonces.lane(first, now):
        pass
    with pytest.raises(RPCError):
        async with nonces.lane(second, now):
            pytest.fail("a second fee payer got in")
    await node.aclose()


async def test_what_is_too_late_is_forgotten(devnet: ThreadedDevnet, shop: str) -> None:
    """Memory of a transaction ends with its `validBefore`."""
    now = int(time.time())
    payer = PrivateKey.generate()
    node = Node(devnet.rpc_url)
    nonces = ExpiringNonces(node, 42431)
    for _ in range(3):
        async with nonces.lane(payment(pay(shop), valid_for=10).sign(payer), now):
            pass
    assert len(nonces) == 3
    async with nonces.lane(payment(pay(shop), valid_for=100).sign(payer), now + 11):
        pass
    assert len(nonces) == 1
    nonces.forget_all()
    assert len(nonces) == 0
    await node.aclose()


async def test_memory_has_a_limit(devnet: ThreadedDevnet, shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When there is no room to remember one more transaction, it is refused, and not taken unremembered."""
    monkeypatch.setattr(expiring, "CAPACITY", 2)
    now = int(time.time())
    payer = PrivateKey.generate()
    node = Node(devnet.rpc_url)
    nonces = ExpiringNonces(node, 42431)
    for _ in range(2):
        async with nonces.lane(payment(pay(shop)).sign(payer), now):
            pass
    with pytest.raises(RPCError, match="ExpiringNonceSetFull"):
        async with nonces.lane(payment(pay(shop)).sign(payer), now):
            pytest.fail("one too many got in")
    await node.aclose()


def test_a_rewound_chain_takes_a_payment_again(shop: str) -> None:
    """After `evm_revert` the transactions that are undone may be sent again."""
    with ThreadedDevnet() as devnet:
        rpc = RPC(devnet.rpc_url)
        payer = PrivateKey.generate()
        devnet.fund(payer.address)
        snapshot = rpc("evm_snapshot")
        sent = raw(payment(pay(shop, 5)).sign(payer))
        rpc("eth_sendRawTransactionSync", sent)
        rpc("evm_revert", snapshot)
        assert rpc.balance(shop) == 0
        assert rpc("eth_sendRawTransactionSync", sent)["status"] == "0x1"
        rpc.close()
