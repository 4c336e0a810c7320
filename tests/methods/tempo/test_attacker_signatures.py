"""Payments whose signatures are almost the payer's, and arbitrary bytes in a payment's place."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from coinslot.methods.tempo.keys import keccak256, parse_address
from coinslot.methods.tempo.wire import Transaction, rlp
from coinslot.methods.tempo.wire.p256 import P256Key
from coinslot.methods.tempo.wire.signatures import AccessKey, SigningKey
from coinslot.methods.tempo.wire.source import format_source
from coinslot.protocol import Credential
from faulty_node import FaultyNode
from tempo_attacks import (
    CHAIN_ID,
    EXAMPLES,
    KEYS,
    PASSKEY,
    STRANGER,
    Attack,
    Draw,
    Make,
    Payment,
    payments,
    twin,
)
from tempo_strategies import AUTHENTICATOR_DATA, P256, ROOT, client_data
from tempo_till import Till

NOT_THE_PAYER = "source is not the account that signed"
NOT_MADE = "not made by the public key that it names"
NOT_AUTHORIZED = r"access key 0x\w{40} is not authorized for 0x\w{40}|authorizes another key than the one"
UNREADABLE = "payload's transaction cannot be read: .{10,}"


def keys(kind: str) -> dict[str, Any]:
    """The shape of payments by keys of a kind, as the account's own and as access keys."""
    return {"keys": tuple(name for name in KEYS if name.endswith(kind))}


@pytest.fixture
async def till(lonely_node: FaultyNode) -> AsyncIterator[Till]:
    """A till on a node that would let anything through."""
    till = Till(lonely_node)
    yield till
    await till.aclose()


def fields_of(payment: Payment, transaction: Transaction | None = None) -> tuple[bytes, list[rlp.Item]]:
    """The type and the fields of the envelope that is presented."""
    payload = payment.present(transaction).payload
    data = bytes.fromhex(str(payload["signature"])[2:])
    fields = rlp.decode(data[1:])
    assert isinstance(fields, tuple)
    return data[:1], list(fields)


def with_signature(payment: Payment, signature: rlp.Item) -> Credential:
    """The payment with this in the place of its signature."""
    envelope_type, fields = fields_of(payment)
    return payment.present_bytes(envelope_type + rlp.encode((*fields[:-1], signature)))


def signature(edit: Callable[[bytearray, Draw], bytes]) -> Make:
    """Alter the good signature."""

    def make(payment: Payment, draw: Draw) -> Credential:
        good = bytearray(payment.key.sign(payment.transaction().signing_hash()))
        return with_signature(payment, edit(good, draw))

    return make


def login(
    edit: Callable[[bytes, Draw], bytes] = lambda authenticator, draw: authenticator,
    say: Callable[[bytes, Draw], bytes] = lambda hash32, draw: client_data(hash32),
) -> Make:
    """Sign another login with the passkey, as the account's own or as an access key."""

    def make(payment: Payment, draw: Draw) -> Credential:
        class Dishonest:
            address = PASSKEY.address

            def sign(self, hash32: bytes) -> bytes:
                """What this passkey says of the hash."""
                return PASSKEY.sign_login(edit(AUTHENTICATOR_DATA, draw), say(hash32, draw))

        key: SigningKey = Dishonest()
        if isinstance(payment.key, AccessKey):
            key = AccessKey(key, payment.key.address)
        return with_signature(payment, key.sign(payment.transaction().signing_hash()))

    return make


def flags(value: int) -> Callable[[bytes, Draw], bytes]:
    """Other flags in the authenticator data."""
    return lambda authenticator, draw: authenticator[:32] + bytes([value]) + authenticator[33:]


def says(template: str) -> Callable[[bytes, Draw], bytes]:
    """Other client data; `{}` is the challenge."""

    def say(hash32: bytes, draw: Draw) -> bytes:
        challenge = client_data(hash32).split(b'"')[7].decode()
        return template.replace("{}", challenge).encode()

    return say


def last_byte(*values: int) -> Callable[[bytearray, Draw], bytes]:
    return lambda good, draw: bytes(good[:-1]) + bytes([draw(st.sampled_from(values))])


def other_parity(good: bytearray, draw: Draw) -> bytes:
    return bytes(good[:-1]) + bytes([55 - good[-1]])


def points(edit: Callable[[bytes], bytes]) -> Callable[[bytearray, Draw], bytes]:
    """Alter r, s, x and y of a signature on P-256."""

    def alter(good: bytearray, draw: Draw) -> bytes:
        start = len(good) - (129 if len(good) in (130, 151) else 128)
        return bytes(good[:start]) + edit(bytes(good[start : start + 128])) + bytes(good[start + 128 :])

    return alter


def by_a_stranger(payment: Payment, draw: Draw) -> Credential:
    """Somebody else signs, and says who the payer is."""
    strangers: list[SigningKey] = [STRANGER, AccessKey(P256, STRANGER.address)]
    key = draw(st.sampled_from(strangers))
    stranger = dataclasses.replace(payment, key=key, key_authorization=None)
    return replace(stranger.present(), source=payment.present().source)


def of_another_transaction(payment: Payment, draw: Draw) -> Credential:
    """The payer's signature of a payment with less gas."""
    other = replace(payment.transaction(), gas_limit=1_000_000)
    return with_signature(payment, fields_of(payment, other)[1][-1])


def with_source(source: Callable[[str], str]) -> Make:
    """Say something else of who pays, which is the account that signed."""
    return lambda payment, draw: replace(payment.present(), source=source(payment.key.address))


def cut(good: bytearray, draw: Draw) -> bytes:
    """What is left is not as long as a signature of another type."""
    return bytes(good[: draw(st.integers(0, len(good) - 1).filter(lambda size: size not in (65, 86)))])


def for_another_account(good: bytearray, draw: Draw) -> bytes:
    return bytes(good[:1]) + parse_address(STRANGER.address) + bytes(good[21:])


SECP256K1 = keys("secp256k1")
ON_P256 = {"keys": (*keys("p256")["keys"], *keys("webAuthn")["keys"])}
WEBAUTHN = keys("webAuthn")
OWN = {"keys": ("secp256k1", "p256", "webAuthn")}
STRANGERS_POINT = P256Key.from_hex("0x" + "66" * 32).sign(bytes(32))[65:129]
GET, CREATE = '{"type":"webauthn.get","challenge":"{}"}', '{"type":"webauthn.create","challenge":"{}"}'

SIGNATURES = [
    Attack(
        "the upper half",
        signature(lambda good, draw: twin(bytes(good))),
        "s is in the upper half of the range",
    ),
    Attack("a bare parity", signature(last_byte(0, 1)), "neither 27 nor 28", SECP256K1),
    Attack("no parity", signature(last_byte(2, 26, 29, 35, 37, 255)), "neither 27 nor 28", SECP256K1),
    Attack(
        "the other parity",
        signature(other_parity),
        f"{NOT_THE_PAYER}|signature belongs to no key|names another sender",
        {"keys": ("secp256k1",)},
    ),
    Attack(
        "the other parity of an access key",
        signature(other_parity),
        f"{NOT_AUTHORIZED}|signature belongs to no key",
        {"keys": ("access key of type secp256k1",)},
        by_chain=True,
    ),
    Attack("any prehash", signature(last_byte(2, 27, 255)), "neither 0 nor 1", keys("p256")),
    Attack("hashed before", signature(last_byte(1)), NOT_MADE, keys("p256")),
    Attack(
        "no point", signature(points(lambda rsxy: rsxy[:127] + b"\x00")), "no point of the curve", ON_P256
    ),
    Attack("zeros", signature(points(lambda rsxy: bytes(64) + rsxy[64:])), NOT_MADE, ON_P256),
    Attack(
        "another's point",
        signature(points(lambda rsxy: rsxy[:64] + STRANGERS_POINT)),
        NOT_MADE,
        ON_P256,
    ),
    Attack("a stranger's", by_a_stranger, f"{NOT_THE_PAYER}|names another sender"),
    Attack(
        "of another transaction",
        of_another_transaction,
        f"{NOT_THE_PAYER}|{NOT_MADE}|names another sender|another challenge than is signed|belongs to no key",
        OWN,
    ),
    Attack(
        "an access key's of another transaction",
        of_another_transaction,
        f"{NOT_AUTHORIZED}|{NOT_MADE}|another challenge than is signed|belongs to no key",
        {"keys": tuple(set(KEYS) - set(OWN["keys"]))},
        by_chain=True,
    ),
    Attack(
        "an access key's for another account",
        signature(for_another_account),
        f"{NOT_THE_PAYER}|{NOT_MADE}|names another sender|another challenge than is signed",
        {"keys": tuple(set(KEYS) - set(OWN["keys"]))},
    ),
    Attack(
        "of the first version of keychains",
        signature(lambda good, draw: b"\x03" + parse_address(ROOT.address) + bytes(good)),
        "type keychain; only version 2 of that type is supported",
        OWN,
    ),
    Attack(
        "an access key's access key",
        signature(lambda good, draw: b"\x04" + parse_address(ROOT.address) + bytes(good)),
        "keychain \\(version 2\\) where only a key's own signature can be",
        {"keys": tuple(set(KEYS) - set(OWN["keys"]))},
    ),
    Attack(
        "of an unknown type",
        signature(lambda good, draw: bytes([draw(st.integers(6, 255))]) + bytes(good)),
        "of no known type",
        OWN,
    ),
    Attack("none", signature(lambda good, draw: b""), "signature is empty"),
    Attack("a list", lambda payment, draw: with_signature(payment, (b"",)), UNREADABLE),
    Attack("cut", signature(cut), "signature|client data"),
    Attack("no user", login(flags(0)), "saw no user", WEBAUTHN),
    Attack("a registration", login(flags(0x45)), "holds a credential", WEBAUTHN),
    Attack("extensions", login(flags(0x85)), "has extensions", WEBAUTHN),
    Attack("a new passkey", login(say=says(CREATE)), "another type than is signed", WEBAUTHN),
    Attack(
        "another login",
        login(say=lambda hash32, draw: client_data(keccak256(hash32))),
        "another challenge than is signed",
        WEBAUTHN,
    ),
    Attack("an escaped login", login(say=says(GET.replace(".", "\\u002e"))), "another type", WEBAUTHN),
    Attack("a list of logins", login(say=says(f"[{GET}]")), "not a JSON object", WEBAUTHN),
    Attack("a login twice", login(say=says(GET[:-1] + ',"challenge":"{}"}')), "is not JSON", WEBAUTHN),
    Attack("a login and more", login(say=says(GET + " x")), "is not JSON", WEBAUTHN),
    Attack(
        "a long login",
        login(say=says('{"type":"webauthn.get","challenge":"{}","x":"' + "x" * 2048 + '"}')),
        "more than 2048 bytes",
        WEBAUTHN,
    ),
    Attack(
        "a source elsewhere",
        with_source(lambda own: f"did:pkh:eip155:1:{own}"),
        "on chain 1, not",
    ),
    Attack("no source", with_source(lambda own: own), "not of the form did:pkh"),
    Attack(
        "another source",
        with_source(lambda own: format_source(CHAIN_ID, STRANGER.address)),
        NOT_THE_PAYER,
    ),
]
"""What is wrong about who signed, and with what."""


@pytest.mark.parametrize("attack", SIGNATURES, ids=repr)
@EXAMPLES
@given(data=st.data())
async def test_only_the_payers_signature_counts(attack: Attack, till: Till, data: st.DataObject) -> None:
    """Whatever signs, in whatever envelope, a signature that is almost the payer's is refused."""
    payment = data.draw(payments(**attack.shape))
    await till.refuses(attack.make(payment, data.draw), attack.words, by_chain=attack.by_chain)
