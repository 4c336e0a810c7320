"""Hypothesis strategies for what is on Tempo's wire, and keys to sign it with."""

from __future__ import annotations

import hashlib

from hypothesis import strategies as st

from coinslot.methods.tempo.keys import PrivateKey, checksum_address
from coinslot.methods.tempo.wire import rlp
from coinslot.methods.tempo.wire.key_authorization import (
    KEY_TYPES,
    CallScope,
    KeyAuthorization,
    SelectorRule,
    TokenLimit,
)
from coinslot.methods.tempo.wire.p256 import P256Key
from coinslot.methods.tempo.wire.signatures import AccessKey, SigningKey
from coinslot.methods.tempo.wire.transaction import (
    EXPIRING_NONCE_KEY,
    FEE_PAYER_PLACEHOLDER,
    Call,
    Transaction,
)
from coinslot.protocol.encoding import encode_base64url

AUTHENTICATOR_DATA = hashlib.sha256(b"example.com").digest() + b"\x05" + (7).to_bytes(4)
"""What a passkey of example.com says: user present and verified, seventh login."""


def client_data(hash32: bytes) -> bytes:
    """What a browser says about a login that has this hash as its challenge."""
    challenge = encode_base64url(hash32)
    return f'{{"type":"webauthn.get","challenge":"{challenge}","origin":"https://example.com"}}'.encode()


class Passkey:
    """A P-256 key in an authenticator, which signs a browser's logins."""

    key_type = "webAuthn"

    def __init__(self, key: P256Key) -> None:
        self.key = key
        self.address = key.address

    def sign(self, hash32: bytes) -> bytes:
        """A WebAuthn signature, as it goes into an envelope."""
        return self.sign_login(AUTHENTICATOR_DATA, client_data(hash32))

    def sign_login(self, authenticator_data: bytes, client: bytes) -> bytes:
        """A WebAuthn signature of any login."""
        digest = hashlib.sha256(authenticator_data + hashlib.sha256(client).digest()).digest()
        return b"\x02" + authenticator_data + client + self.key.sign(digest)[1:129]


ROOT = PrivateKey.from_hex("0x" + "11" * 32)
SECP256K1 = PrivateKey.from_hex("0x" + "44" * 32)
P256 = P256Key.from_hex("0x" + "44" * 32)
PASSKEY = Passkey(P256)

SIGNERS: dict[str, SigningKey] = {
    "secp256k1": SECP256K1,
    "P256": P256,
    "WebAuthn": PASSKEY,
    "keychain of secp256k1": AccessKey(SECP256K1, ROOT.address),
    "keychain of P256": AccessKey(P256, ROOT.address),
    "keychain of WebAuthn": AccessKey(PASSKEY, ROOT.address),
}
"""A key for each kind of signature there is, by the name of that kind."""

hashes = st.binary(min_size=32, max_size=32)
addresses = st.binary(min_size=20, max_size=20)
spelled_addresses = addresses.map(checksum_address)
moments = st.none() | st.integers(1, 2**64 - 1)
fees = st.integers(0, 2**128 - 1)
amounts = st.integers(0, 2**256 - 1)

primitive_signatures = st.one_of(
    st.builds(
        lambda r_and_s, v: r_and_s + bytes([v]),
        st.binary(min_size=64, max_size=64),
        st.sampled_from([27, 28]),
    ),
    st.builds(
        lambda body, prehash: b"\x01" + body + bytes([prehash]),
        st.binary(min_size=128, max_size=128),
        st.sampled_from([0, 1]),
    ),
    st.binary(min_size=66, max_size=300).map(lambda body: b"\x02" + body),
)
"""The form of signatures by an account's own key; nobody has made them."""

signatures = primitive_signatures | st.builds(
    lambda account, inner: b"\x04" + account + inner, addresses, primitive_signatures
)
fee_payer_signatures = st.builds(
    lambda r_and_s, v: r_and_s + bytes([v]), st.binary(min_size=64, max_size=64), st.sampled_from([27, 28])
)

sequences: st.SearchStrategy[rlp.Items] = st.lists(
    st.recursive(
        st.binary(max_size=40), lambda children: st.lists(children, max_size=3).map(tuple), max_leaves=6
    ),
    max_size=3,
).map(tuple)

token_limits = st.builds(TokenLimit, spelled_addresses, amounts, st.just(0) | st.integers(0, 2**64 - 1))
selector_rules = st.builds(
    SelectorRule,
    st.binary(min_size=4, max_size=4),
    st.lists(spelled_addresses, max_size=3).map(tuple),
)
call_scopes = st.builds(CallScope, spelled_addresses, st.lists(selector_rules, max_size=3).map(tuple))

key_authorizations = st.builds(
    KeyAuthorization,
    chain_id=st.integers(0, 2**64 - 1),
    key_type=st.sampled_from(KEY_TYPES),
    key_address=spelled_addresses,
    expiry=moments,
    limits=st.none() | st.lists(token_limits, max_size=3).map(tuple),
    scopes=st.none() | st.lists(call_scopes, max_size=3).map(tuple),
    witness=st.none() | hashes,
    is_admin=st.booleans(),
    account=st.none() | spelled_addresses,
)
"""Key authorizations that nobody has signed."""

calls = st.builds(Call, st.none() | addresses, amounts, st.binary(max_size=110))

transactions = st.builds(
    Transaction,
    chain_id=st.integers(1, 2**64 - 1),
    max_priority_fee_per_gas=fees,
    max_fee_per_gas=fees,
    gas_limit=st.integers(1, 2**64 - 1),
    calls=st.lists(calls, min_size=1, max_size=4).map(tuple),
    access_list=st.just(()) | sequences,
    nonce_key=st.just(EXPIRING_NONCE_KEY) | st.integers(0, EXPIRING_NONCE_KEY),
    nonce=st.integers(0, 2**64 - 1),
    valid_before=moments,
    valid_after=moments,
    fee_token=st.none() | addresses,
    fee_payer_signature=st.none() | st.just(FEE_PAYER_PLACEHOLDER) | fee_payer_signatures,
    authorization_list=st.just(()) | sequences,
    key_authorization=st.none() | key_authorizations.map(lambda authorization: authorization.sign(ROOT)),
    signature=st.none() | signatures,
)
"""Transactions with anything in them that the envelope can hold."""
