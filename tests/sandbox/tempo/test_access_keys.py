from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from coinslot.methods.tempo.keys import PrivateKey, parse_address
from coinslot.methods.tempo.wire import Call, KeyAuthorization, TokenLimit, abi, dex, keychain
from coinslot.methods.tempo.wire.p256 import P256Key
from coinslot.methods.tempo.wire.signatures import AccessKey, SigningKey
from coinslot.sandbox.tempo import DevnetError, ThreadedDevnet
from sandbox_authorizations import spelled
from sandbox_rpc import GWEI, PATH_USD, RPC, pay, payment, raw, request
from tempo_strategies import Passkey

ALPHA_USD = "0x20c0000000000000000000000000000000000001"
LIMIT_EXCEEDED = "0x" + abi.selector("SpendingLimitExceeded()").hex()
GAS = 3_000_000
FEES = {"gas": hex(GAS), "maxFeePerGas": hex(50 * GWEI), "maxPriorityFeePerGas": hex(GWEI)}

KINDS: dict[str, Callable[[], SigningKey]] = {
    "secp256k1": PrivateKey.generate,
    "p256": P256Key.generate,
    "webAuthn": lambda: Passkey(P256Key.generate()),
}


@pytest.fixture
def root(devnet_t4: ThreadedDevnet) -> PrivateKey:
    """An account with money, and without access keys."""
    key = PrivateKey.generate()
    devnet_t4.fund(key.address)
    return key


@pytest.fixture
def key() -> PrivateKey:
    """A key that nobody has authorized."""
    return PrivateKey.generate()


def granted(root: PrivateKey, key: SigningKey, **members: Any) -> KeyAuthorization:
    """An authorization, signed."""
    fields: dict[str, Any] = {"chain_id": 42431, "key_type": "secp256k1", "key_address": key.address}
    return KeyAuthorization(**fields | members).sign(root)


def asked(root: PrivateKey, key: SigningKey, *calls: Call, **members: object) -> dict[str, object]:
    """A request that is to be simulated for an access key."""
    return request(*calls, sender=root.address, keyId=key.address, feeToken=PATH_USD, **members)


@pytest.mark.parametrize("kind", KINDS)
def test_an_authorized_key_pays_until_it_is_revoked(
    devnet_t4: ThreadedDevnet, rpc_t4: RPC, root: PrivateKey, shop: str, kind: str
) -> None:
    """After `authorize_key` a key of each kind pays for the account; after `revoke_key` it does not."""
    key = KINDS[kind]()
    access = AccessKey(key, root.address)
    devnet_t4.authorize_key(root, key.address, key_type=kind)
    receipt = rpc_t4(
        "eth_sendRawTransactionSync", raw(payment(pay(shop, 5), nonce=0, gas_limit=GAS).sign(access))
    )
    assert (receipt["status"], receipt["from"]) == ("0x1", root.address.lower())
    devnet_t4.revoke_key(root, key.address)
    error = rpc_t4.error("eth_sendRawTransactionSync", raw(payment(pay(shop), nonce=0).sign(access)))
    assert "KeyAlreadyRevoked" in error["message"]
    assert rpc_t4.balance(shop) == 5


def test_authorizing_costs_the_account_nothing(
    devnet_t4: ThreadedDevnet, rpc_t4: RPC, root: PrivateKey, key: PrivateKey
) -> None:
    """The sponsor pays for authorizing and revoking, also for an account that has nothing."""
    before = rpc_t4.balance(root.address)
    devnet_t4.authorize_key(root, key.address)
    devnet_t4.revoke_key(root, key.address)
    assert rpc_t4.balance(root.address) == before
    devnet_t4.authorize_key(PrivateKey.generate(), key.address)


async def test_what_is_authorized_is_what_was_said(
    devnet_t4: ThreadedDevnet, rpc_t4: RPC, root: PrivateKey, key: PrivateKey
) -> None:
    """Kind, expiry and limits are the chain's afterwards; the sponsor itself may have access keys too."""
    expiry = int(time.time()) + 3600
    devnet_t4.authorize_key(
        root, key.address, key_type="p256", expiry=expiry, limits={PATH_USD: 500, ALPHA_USD: 7}
    )
    data = keychain.get_key(root.address, key.address)
    found = rpc_t4("eth_call", {"to": keychain.ADDRESS, "data": "0x" + data.hex()}, "latest")
    info = keychain.read_key(bytes.fromhex(found[2:]))
    assert (info.key_type, info.expiry, info.enforces_limits) == ("p256", expiry, True)
    for token, limit in ((PATH_USD, 500), (ALPHA_USD, 7)):
        data = keychain.get_remaining_limit(root.address, key.address, token)
        left = rpc_t4("eth_call", {"to": keychain.ADDRESS, "data": "0x" + data.hex()}, "latest")
        assert keychain.read_limit(bytes.fromhex(left[2:])) == limit
    devnet_t4.authorize_key(devnet_t4.sponsor, key.address)


def test_hardforks_before_t3_authorize_too(shop: str) -> None:
    """Where the keychain has its older functions, those are called."""
    with ThreadedDevnet(hardfork="T2") as devnet:
        rpc = RPC(devnet.rpc_url)
        root, key = PrivateKey.generate(), PrivateKey.generate()
        devnet.fund(root.address)
        devnet.authorize_key(root, key.address, limits={PATH_USD: 10**6})
        sent = payment(pay(shop, 5), nonce=0, gas_limit=GAS).sign(AccessKey(key, root.address))
        assert rpc("eth_sendRawTransactionSync", raw(sent))["status"] == "0x1"
        too_much = asked(root, key, pay(shop, 10**6), keyType="secp256k1")
        assert rpc.error("eth_call", too_much, "latest")["data"] == LIMIT_EXCEEDED
        rpc.close()


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"expiry": 1}, "the keychain refused: ExpiryInPast"),
        ({"expiry": -1}, "expiry does not fit"),
        ({"key_type": "ed25519"}, "a key is of type"),
        ({"limits": {"0x12": 5}}, "an address is"),
    ],
)
def test_what_cannot_be_authorized_is_refused(
    devnet_t4: ThreadedDevnet, root: PrivateKey, key: PrivateKey, members: dict[str, Any], reason: str
) -> None:
    """The chain's refusal, or what is wrong before the chain is asked, is the error's message."""
    with pytest.raises(DevnetError, match=reason):
        devnet_t4.authorize_key(root, key.address, **members)


def test_a_key_is_authorized_once(devnet_t4: ThreadedDevnet, root: PrivateKey, key: PrivateKey) -> None:
    """Authorizing again, revoking what is not there, and reviving what was revoked are refused."""
    with pytest.raises(DevnetError, match="the keychain refused: KeyNotFound"):
        devnet_t4.revoke_key(root, key.address)
    devnet_t4.authorize_key(root, key.address)
    with pytest.raises(DevnetError, match="the keychain refused: KeyAlreadyExists"):
        devnet_t4.authorize_key(root, key.address)
    devnet_t4.revoke_key(root, key.address)
    with pytest.raises(DevnetError, match="the keychain refused: KeyAlreadyRevoked"):
        devnet_t4.authorize_key(root, key.address)
    for revoke in (devnet_t4.authorize_key, devnet_t4.revoke_key):
        with pytest.raises(DevnetError, match="an address is"):
            revoke(root, "0x12")


def test_a_key_that_may_not_sign_is_told_so(
    devnet_t4: ThreadedDevnet, rpc_t4: RPC, root: PrivateKey, key: PrivateKey, shop: str
) -> None:
    """What an unknown, expired or mistyped key signs is refused with the chain's reason, and no hang."""
    sent = payment(pay(shop), nonce=0, gas_limit=GAS)

    def check(reason: str, signer: PrivateKey) -> None:
        signed = raw(sent.sign(AccessKey(signer, root.address)))
        for method in ("eth_sendRawTransaction", "eth_sendRawTransactionSync"):
            assert reason in rpc_t4.error(method, signed)["message"]

    check("KeyNotFound", key)
    devnet_t4.authorize_key(root, key.address, key_type="p256")
    check("SignatureTypeMismatch", key)
    ephemeral = PrivateKey.generate()
    devnet_t4.authorize_key(root, ephemeral.address, expiry=int(time.time()) + 2)
    time.sleep(3.5)
    check("KeyExpired", ephemeral)


def test_an_older_signature_is_told_so(rpc_t4: RPC, root: PrivateKey, key: PrivateKey, shop: str) -> None:
    """A keychain signature of the first version is refused by name."""
    sent = payment(pay(shop), nonce=0)
    signature = b"\x03" + parse_address(root.address) + key.sign(sent.signing_hash())
    assert (
        "legacy V1"
        in rpc_t4.error("eth_sendRawTransactionSync", raw(replace(sent, signature=signature)))["message"]
    )


def test_a_transaction_authorizes_the_key_that_signs_it(
    rpc_t4: RPC, root: PrivateKey, key: PrivateKey, shop: str
) -> None:
    """A first payment carries the key's authorization; carried a second time, that is refused."""
    authorization = granted(root, key, limits=(TokenLimit(PATH_USD, 10**6),))
    access = AccessKey(key, root.address)
    sent = payment(pay(shop, 5), nonce=0, gas_limit=GAS, key_authorization=authorization)
    assert rpc_t4("eth_sendRawTransactionSync", raw(sent.sign(access)))["status"] == "0x1"
    again = replace(sent, gas_limit=GAS + 1).sign(access)
    assert "KeyAlreadyExists" in rpc_t4.error("eth_sendRawTransactionSync", raw(again))["message"]


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"chain_id": 4217}, "chain_id mismatch: expected 42431, got 4217"),
        ({"chain_id": 0}, "chain_id mismatch"),
        ({"expiry": 1}, "is in the past"),
        ({"key_address": "0x" + "12" * 20}, "access keys cannot authorize other keys"),
        ({"key_type": "p256"}, "does not match the keychain signature type"),
    ],
)
def test_a_wrong_authorization_is_told_so(
    rpc_t4: RPC, root: PrivateKey, key: PrivateKey, shop: str, members: dict[str, Any], reason: str
) -> None:
    """An authorization that the chain would not take is refused with the chain's reason, and no hang."""
    authorization = granted(root, key, **members)
    sent = payment(pay(shop), nonce=0, gas_limit=GAS, key_authorization=authorization)
    error = rpc_t4.error("eth_sendRawTransactionSync", raw(sent.sign(AccessKey(key, root.address))))
    assert reason in error["message"]


def test_somebody_elses_authorization_is_told_so(
    rpc_t4: RPC, root: PrivateKey, key: PrivateKey, shop: str
) -> None:
    """Only the account itself can authorize a key for it."""
    sent = payment(pay(shop), nonce=0, gas_limit=GAS, key_authorization=granted(key, key))
    error = rpc_t4.error("eth_sendRawTransactionSync", raw(sent.sign(AccessKey(key, root.address))))
    assert "must be signed by root account" in error["message"]


@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize("method", ["eth_call", "eth_estimateGas"])
def test_a_simulation_knows_the_key(
    devnet_t4: ThreadedDevnet,
    rpc_t4: RPC,
    root: PrivateKey,
    key: PrivateKey,
    shop: str,
    method: str,
    others: int,
) -> None:
    """With `keyId`, only a key that may sign passes, or one that is authorized along."""
    calls = [pay(shop)] * (others + 1)
    unknown = asked(root, key, *calls, keyType="secp256k1")
    assert "KeyNotFound" in rpc_t4.error(method, unknown)["message"]
    rpc_t4(method, unknown | {"keyAuthorization": spelled(granted(root, key))})
    wrong = {"keyAuthorization": spelled(granted(key, key))}
    assert "must be signed by root account" in rpc_t4.error(method, unknown | wrong)["message"]
    devnet_t4.authorize_key(root, key.address)
    rpc_t4(method, unknown)
    rpc_t4(method, unknown | {"keyType": None})
    again = {"keyAuthorization": spelled(granted(root, key))}
    assert "KeyAlreadyExists" in rpc_t4.error(method, unknown | again)["message"]
    mistyped = unknown | {"keyType": "webAuthn", "keyData": "0x0578"}
    assert "SignatureTypeMismatch" in rpc_t4.error(method, mistyped)["message"]
    devnet_t4.revoke_key(root, key.address)
    assert "KeyAlreadyRevoked" in rpc_t4.error(method, unknown)["message"]


def test_a_simulation_keeps_to_limits(
    devnet_t4: ThreadedDevnet, rpc_t4: RPC, root: PrivateKey, key: PrivateKey, shop: str
) -> None:
    """All that calls transfer or approve counts against a key's limits, and so does the account's fee."""
    devnet_t4.authorize_key(root, key.address, limits={PATH_USD: 10_000})

    def exceeds(*calls: Call, **members: object) -> bool:
        answer = rpc_t4.send(
            {"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [asked(root, key, *calls, **members)]}
        )
        return bool(answer.get("error", {}).get("data") == LIMIT_EXCEEDED)

    def approve(amount: int) -> Call:
        data = (
            abi.selector("approve(address,uint256)") + abi.address_word(dex.ADDRESS) + abi.amount_word(amount)
        )
        return Call(parse_address(PATH_USD), 0, data)

    assert not exceeds(pay(shop, 10_000))
    assert exceeds(pay(shop, 10_001))
    assert exceeds(pay(shop, 5_000), pay(shop, 5_001))
    assert exceeds(pay(shop, 1, token=ALPHA_USD))
    assert not exceeds(approve(4_000), pay(shop, 6_000))
    assert exceeds(approve(4_000), pay(shop, 6_001))
    assert exceeds(pay(shop, 9_999), **FEES)
    assert not exceeds(pay(shop, 9_999), **FEES, feePayer=devnet_t4.sponsor.address)
    lane = secrets.randbits(60) | 1
    approval = payment(approve(4_000), nonce_key=lane, nonce=0, valid_for=None, gas_limit=GAS)
    rpc_t4("eth_sendRawTransactionSync", raw(approval.sign(root)))
    assert not exceeds(approve(4_000), pay(shop, 10_000))
    assert not exceeds(approve(5_000), pay(shop, 9_000))


def test_the_chain_agrees_on_limits(
    devnet_t4: ThreadedDevnet, rpc_t4: RPC, root: PrivateKey, key: PrivateKey, shop: str
) -> None:
    """What a simulation finds to exceed a limit, the chain reverts; a fee has to fit in as well."""
    devnet_t4.authorize_key(root, key.address, limits={PATH_USD: 10_000})
    access = AccessKey(key, root.address)
    for amount, status in ((10_001, "0x0"), (9_999, "0x0"), (2_000, "0x1")):
        sent = payment(pay(shop, amount), nonce=0, gas_limit=GAS).sign(access)
        assert rpc_t4("eth_sendRawTransactionSync", raw(sent))["status"] == status
