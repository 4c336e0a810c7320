from __future__ import annotations

import contextlib
import json
import subprocess
from typing import Any

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from coinslot.methods.tempo.wire import CallScope, KeyAuthorization, SelectorRule, TokenLimit
from coinslot.methods.tempo.wire.signatures import SigningKey
from coinslot.sandbox.tempo.authorizations import read_authorization, read_secp256k1
from coinslot.sandbox.tempo.jsonrpc import RPCError
from peer_programs import Peer
from sandbox_authorizations import spelled
from tempo_strategies import P256, PASSKEY, ROOT, key_authorizations

ADDRESS = "0x" + "12" * 20
OTHER = "0x" + "34" * 20


TO_VIEM = """
import { KeyAuthorization } from 'ox/tempo'
import { createInterface } from 'node:readline'

for await (const line of createInterface({ input: process.stdin })) {
  const authorization = KeyAuthorization.deserialize(line)
  const text = (_, value) => (typeof value === 'bigint' ? '0x' + value.toString(16) : value)
  console.log(JSON.stringify([KeyAuthorization.toRpc(authorization), authorization], text))
}
"""


@given(key_authorizations, st.sampled_from([ROOT, P256, PASSKEY]))
def test_what_viem_writes_is_read(authorization: KeyAuthorization, root: SigningKey) -> None:
    """Every authorization, by whatever kind of key, is read as what it is."""
    signed = authorization.sign(root)
    assert read_authorization(spelled(signed)) == signed


def test_a_prehashed_signature_is_read() -> None:
    """A P-256 signature over the hash of the hash keeps its mark."""
    signed = KeyAuthorization(chain_id=1, key_type="p256", key_address=ADDRESS).sign(P256)
    assert signed.signature is not None
    members = spelled(signed)
    members["signature"]["preHash"] = True
    read = read_authorization(members)
    assert read is not None
    assert read.signature == signed.signature[:-1] + b"\x01"


def test_no_authorization_is_none() -> None:
    """A request without one has none."""
    assert read_authorization(None) is None


@pytest.mark.parametrize("v", [0, 1, 27, 28, "0x0", "0x1b"])
def test_a_parity_may_be_a_v(v: object) -> None:
    """Where a signature has no `yParity`, its `v` will do."""
    assert read_secp256k1({"r": "0x1", "s": "0x2", "v": v})[64] in (27, 28)  # type: ignore[dict-item]  # JSON


def test_both_spellings_of_viem_are_read(mppx: Peer) -> None:
    """What viem makes of an authorization is read: in a request, and as mppx's server hands it on."""
    scope = CallScope(
        ADDRESS, (SelectorRule(b"\xa9\x05\x9c\xbb", (ADDRESS,)), SelectorRule(b"\x01\x02\x03\x04"))
    )
    limits = (TokenLimit(ADDRESS, 10**30), TokenLimit(OTHER, 5, 3600))
    plain = KeyAuthorization(chain_id=42431, key_type="secp256k1", key_address=OTHER)
    full = replace(plain, key_type="p256", expiry=2**33, limits=limits, scopes=(scope, CallScope(OTHER)))
    signed = [each.sign(root) for each in (plain, full) for root in (ROOT, P256, PASSKEY)]
    done = subprocess.run(
        [*mppx.interpreter, "--input-type=module", "-e", TO_VIEM],
        input="".join(f"0x{each.encode().hex()}\n" for each in signed),
        cwd=mppx.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    spellings = [json.loads(line) for line in done.stdout.splitlines()]
    assert [[read_authorization(each) for each in both] for both in spellings] == [
        [each] * 2 for each in signed
    ]


GOOD = spelled(KeyAuthorization(chain_id=1, key_type="p256", key_address=ADDRESS).sign(ROOT))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"chainId": None, "keyId": None}, "keyId is missing"),
        ({"keyId": "0x12"}, "an address is"),
        ({"keyType": "ed25519"}, "a key is of type"),
        ({"expiry": -5}, "not a quantity"),
        ({"expiry": hex(2**64)}, "does not fit 64 bits"),
        ({"limits": {}}, "an array is missing"),
        ({"limits": [5]}, "an object is missing"),
        ({"allowedCalls": [{"target": ADDRESS, "selectorRules": [{"selector": "0xzz"}]}]}, "hexadecimal"),
        ({"allowedCalls": [{"target": ADDRESS, "selectorRules": [{"selector": "0x12"}]}]}, "has 4 bytes"),
        ({"witness": "0x12"}, "has 32 bytes"),
        ({"signature": None}, "an object is missing"),
        ({"signature": {"signature": {}, "publicKey": 5}}, "an object is missing"),
        ({"signature": {"signature": {}, "metadata": {}}}, "authenticatorData is missing"),
        ({"signature": {"signature": {}}, "scopes": [{}]}, "address is missing"),
        ({"signature": {"type": "keychain", "r": "0x1", "s": "0x1"}}, "signature's type"),
        ({"signature": {"type": "secp256k1", "r": "0x1", "s": "0x1", "yParity": 5}}, "yParity"),
        ({"signature": {"type": "p256", "r": 2**256}}, "not a quantity"),
        ({"signature": {"type": "p256", "r": "0x" + "1" * 64}}, None),
    ],
)
def test_what_is_broken_is_refused(changes: dict[str, Any], reason: str | None) -> None:
    """What cannot be read is an error of the request that says what it is about."""
    if reason is None:
        assert read_authorization(GOOD | changes) is not None  # What is missing is 0; the chain judges it.
        return
    with pytest.raises(RPCError, match=reason) as caught:
        read_authorization(GOOD | changes)
    assert caught.value.code == -32602


@given(
    st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=2))
)
def test_reading_is_total(value: Any) -> None:
    """Whatever stands in the place of an authorization or of a part of it is read or refused."""
    for name in (None, *GOOD):
        with contextlib.suppress(RPCError):
            read_authorization(value if name is None else GOOD | {name: value})
