"""Keys and their authorizations in the node's requests."""

from __future__ import annotations

import time
from typing import Any

import pytest
from msgspec.structs import replace

from coinslot.methods import tempo
from coinslot.methods.tempo.key_requests import authorization_object, key_type, signing_members
from coinslot.methods.tempo.keys import PrivateKey
from coinslot.methods.tempo.wire import AccessKey
from coinslot.methods.tempo.wire.key_authorization import (
    CallScope,
    KeyAuthorization,
    SelectorRule,
    TokenLimit,
)
from coinslot.sandbox.tempo import ThreadedDevnet
from sandbox_rpc import RPC
from tempo_buying import ALPHA_USD, PATH_USD, RECIPIENT

ROOT = PrivateKey(b"\x11" * 32)
P256 = tempo.P256Key(b"\x11" * 32)
AUTHORIZATION = KeyAuthorization(chain_id=42431, key_type="p256", key_address=P256.address)


class Foreign:
    """A key that is somewhere else, and says no more than it has to."""

    address = ROOT.address

    def sign(self, hash32: bytes) -> bytes:
        return ROOT.sign(hash32)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (ROOT, {"keyType": "secp256k1"}),
        (P256, {"keyType": "p256"}),
        (Foreign(), {"keyType": "secp256k1"}),
        (AccessKey(P256, ROOT.address), {"keyType": "p256", "keyId": P256.address}),
        (AccessKey(ROOT, P256.address), {"keyType": "secp256k1", "keyId": ROOT.address}),
    ],
)
def test_a_request_says_what_will_sign(key: Any, expected: dict[str, str]) -> None:
    """The kind of key, and which one it is if it is not the account's own."""
    assert signing_members(key) == expected
    assert key_type(key) == expected["keyType"]


def test_an_authorization_is_told_in_full() -> None:
    """Every member that it has, under the node's names; of those that it has not, only the end is null."""
    bare = authorization_object(AUTHORIZATION.sign(ROOT))
    assert list(bare) == ["chainId", "keyType", "keyId", "expiry", "signature"]
    assert (bare["chainId"], bare["keyType"], bare["expiry"]) == ("0xa5bf", "p256", None)
    assert signing_members(AccessKey(P256, ROOT.address), AUTHORIZATION.sign(ROOT)) == {
        "keyType": "p256",
        "keyId": P256.address,
        "keyAuthorization": bare,
    }
    full = KeyAuthorization(
        chain_id=42431,
        key_type="secp256k1",
        key_address=ROOT.address,
        expiry=256,
        limits=(TokenLimit(PATH_USD, 5, 86400), TokenLimit(ALPHA_USD, 0)),
        scopes=(
            CallScope(PATH_USD, (SelectorRule(b"\x01\x02\x03\x04", (RECIPIENT,)),)),
            CallScope(ALPHA_USD),
        ),
        witness=b"\x22" * 32,
        is_admin=True,
        account=P256.address,
    )
    told = authorization_object(full.sign(P256))
    signature = told.pop("signature")
    assert told == {
        "chainId": "0xa5bf",
        "keyType": "secp256k1",
        "keyId": ROOT.address,
        "expiry": "0x100",
        "limits": [
            {"token": PATH_USD, "limit": "0x5", "period": "0x15180"},
            {"token": ALPHA_USD, "limit": "0x0", "period": "0x0"},
        ],
        "allowedCalls": [
            {"target": PATH_USD, "selectorRules": [{"selector": "0x01020304", "recipients": [RECIPIENT]}]},
            {"target": ALPHA_USD, "selectorRules": []},
        ],
        "witness": "0x" + "22" * 32,
        "isAdmin": True,
        "account": P256.address,
    }
    assert isinstance(signature, dict)
    assert list(signature) == ["type", "r", "s", "pubKeyX", "pubKeyY", "preHash"]
    assert (signature["type"], signature["preHash"]) == ("p256", False)


def test_a_passkeys_signature_is_told_with_its_data() -> None:
    """What the passkey saw stands between the type and the four numbers."""
    numbers = bytes(range(128))
    signed = replace(AUTHORIZATION, signature=b"\x02" + b"client data" + numbers)
    signature = authorization_object(signed)["signature"]
    assert signature == {
        "type": "webAuthn",
        "r": "0x" + numbers[:32].hex(),
        "s": "0x" + numbers[32:64].hex(),
        "pubKeyX": "0x" + numbers[64:96].hex(),
        "pubKeyY": "0x" + numbers[96:].hex(),
        "webauthnData": "0x" + b"client data".hex(),
    }


@pytest.mark.parametrize("curve", [PrivateKey, tempo.P256Key], ids=["secp256k1", "p256"])
def test_the_node_reads_it(devnet_t4: ThreadedDevnet, curve: Any) -> None:
    """An estimate for a key that the transaction itself authorizes is higher by what that takes."""
    root = curve.generate()
    devnet_t4.fund(root.address)
    key = tempo.authorize(
        root,
        limits=[tempo.limit("1", PATH_USD, per="day")],
        expires=time.time() + 60,
        key=tempo.P256Key.generate(),
    )
    rpc = RPC(devnet_t4.rpc_url)
    request = {"type": "0x76", "from": root.address, "to": PATH_USD, "data": "0x95d89b41"}
    plain = int(rpc("eth_estimateGas", {**request, **signing_members(root)}), 16)
    authorizing = int(rpc("eth_estimateGas", {**request, **signing_members(key, key.authorization)}), 16)
    assert authorizing > plain + 500_000
    rpc.close()
