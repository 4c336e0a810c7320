"""Proofs that are almost the payer's, of this challenge; the typed data is put together anew here."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from msgspec.structs import replace

from coinslot.methods.tempo.keys import keccak256, parse_address
from coinslot.methods.tempo.wire import Transfer, attribution_memo
from coinslot.methods.tempo.wire.signatures import AccessKey
from coinslot.methods.tempo.wire.source import format_source
from coinslot.protocol import Challenge, Credential
from faulty_node import FaultyNode
from tempo_attacks import (
    CHAIN_ID,
    CURRENCY,
    EXAMPLES,
    KEYS,
    NOW,
    RECIPIENTS,
    STRANGER,
    Draw,
    Payment,
    challenge_for,
    identifiers,
    payments,
    twin,
)
from tempo_payments import REALM
from tempo_strategies import ROOT, spelled_addresses
from tempo_till import NOBODYS, Till, key_words, point_out

NOT_THEIRS = "The proof is not the source's: "
NOT_AUTHORIZED = r"access key 0x\w{40} is not authorized for 0x\w{40}"

Field = tuple[str, str, Any]


@dataclass(frozen=True)
class Typed:
    """EIP-712 typed data. A field has a type, a name and a value."""

    domain: tuple[Field, ...]
    fields: tuple[Field, ...]
    primary: str = "Proof"

    def digest(self) -> bytes:
        """What is signed."""
        return keccak256(
            b"\x19\x01" + _struct("EIP712Domain", self.domain) + _struct(self.primary, self.fields)
        )


def _struct(name: str, fields: tuple[Field, ...]) -> bytes:
    spelled = ",".join(f"{kind} {field}" for kind, field, _ in fields)
    encoded = keccak256(f"{name}({spelled})".encode())
    for kind, _, value in fields:
        if kind == "string":
            encoded += keccak256(value.encode())
        elif kind == "address":
            encoded += parse_address(value).rjust(32, b"\x00")
        else:
            encoded += int(value).to_bytes(32)
    return keccak256(encoded)


def typed(challenge: Challenge, account: str, version: int) -> Typed:
    """What a proof of this version is."""
    fields = (
        ("address", "account", account),
        ("string", "challengeId", challenge.id),
        ("string", "realm", REALM),
    )
    return Typed(
        domain=(
            ("string", "name", "MPP"),
            ("string", "version", str(version)),
            ("uint256", "chainId", CHAIN_ID),
        ),
        fields={3: fields, 2: fields[1:], 1: fields[1:2]}[version],
    )


def asked(identifier: str) -> Challenge:
    """A challenge that asks for a proof."""
    return challenge_for([Transfer(token=CURRENCY, recipient=RECIPIENTS[0], amount=0)], identifier=identifier)


def shown(challenge: Challenge, signature: bytes, account: str | None) -> Credential:
    return Credential(
        challenge=challenge,
        payload={"type": "proof", "signature": "0x" + signature.hex()},
        source=None if account is None else format_source(CHAIN_ID, account),
    )


@pytest.fixture
async def till(lonely_node: FaultyNode) -> AsyncIterator[Till]:
    """A till on a node that knows all keys."""
    till = Till(lonely_node)
    yield till
    await till.aclose()


@pytest.mark.parametrize(
    ("key", "version"),
    [(key, version) for key in KEYS for version in (3, 2, 1)],
)
@settings(EXAMPLES, max_examples=3)
@given(identifier=identifiers)
async def test_a_proof_of_any_version_is_taken_of_any_key(
    key: str, version: int, till: Till, identifier: str
) -> None:
    """What the attacks alter is taken unaltered, and says who it was if it cannot have been relayed."""
    challenge, signer = asked(identifier), KEYS[key]
    till.node.methods.clear()
    signature = signer.sign(typed(challenge, signer.address, version).digest())
    proof = await till.takes(shown(challenge, signature, signer.address))
    assert proof.payer == (None if version == 1 else signer.address)
    assert (proof.amount, proof.reference) == (0, identifier)
    # A key that only the signature tells is asked about in each version.
    assert till.node.methods.count("eth_call") <= 3 * isinstance(signer, AccessKey)


Alter = Callable[[Typed, Draw], Typed]


def domain(*changed: Field) -> Alter:
    """Another domain: fields take the place of those of their name, or stand behind them."""
    return lambda good, draw: dataclasses.replace(good, domain=_with(good.domain, changed, draw))


def message(*changed: Field) -> Alter:
    """Another message, in the same way."""
    return lambda good, draw: dataclasses.replace(good, fields=_with(good.fields, changed, draw))


def _with(fields: tuple[Field, ...], changed: tuple[Field, ...], draw: Draw) -> tuple[Field, ...]:
    drawn = {
        name: (kind, name, draw(value) if isinstance(value, st.SearchStrategy) else value)
        for kind, name, value in changed
    }
    names = {name for _, name, _ in fields}
    kept = tuple(drawn.get(field[1], field) for field in fields)
    return kept + tuple(field for name, field in drawn.items() if name not in names)


def without(index: int) -> Alter:
    """A field less."""
    return lambda good, draw: dataclasses.replace(
        good, fields=good.fields[:index] + good.fields[index + 1 :] or (("string", "x", ""),)
    )


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)

TYPED: dict[str, Alter] = {
    "another domain": domain(("string", "name", words.filter(lambda name: name != "MPP"))),
    "another chain": domain(
        ("uint256", "chainId", st.integers(0, 2**64).filter(lambda number: number != CHAIN_ID))
    ),
    "a contract": domain(("address", "verifyingContract", CURRENCY)),
    "another version": domain(("string", "version", words.filter(lambda name: name not in "123"))),
    "the version before": domain(("string", "version", "2")),
    "another challenge": message(("string", "challengeId", words)),
    "another realm": message(("string", "realm", words.filter(lambda realm: realm != REALM))),
    "another account": message(("address", "account", spelled_addresses)),
    "a field more": message(("string", "x", words)),
    "the first field less": without(0),
    "the second field less": without(1),
    "the last field less": without(2),
    "another order": lambda good, draw: dataclasses.replace(good, fields=good.fields[::-1]),
    "another primary type": lambda good, draw: dataclasses.replace(good, primary="Login"),
}
"""Typed data that is not quite a proof of version 3."""


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("alter", TYPED)
@settings(EXAMPLES, max_examples=3)
@given(data=st.data())
async def test_other_typed_data_is_no_proof(alter: str, key: str, till: Till, data: st.DataObject) -> None:
    """Versions are not mixed, and whatever else the payer's key has signed opens nothing."""
    challenge, signer = asked(data.draw(identifiers)), KEYS[key]
    digest = TYPED[alter](typed(challenge, signer.address, 3), data.draw).digest()
    presented = shown(challenge, signer.sign(digest), signer.address)
    await till.refuses(presented, f"{NOT_THEIRS}|{NOT_AUTHORIZED}", by_chain=isinstance(signer, AccessKey))
    assert not till.node.methods or isinstance(signer, AccessKey)


@pytest.mark.parametrize("key", KEYS)
@settings(EXAMPLES, max_examples=3)
@given(identifier=identifiers)
async def test_no_other_signature_is_a_proof(key: str, till: Till, identifier: str) -> None:
    """Neither the digest as a text message, nor the challenge as it is, has been signed as a proof."""
    challenge, signer = asked(identifier), KEYS[key]
    digest = typed(challenge, signer.address, 3).digest()
    for signed in (
        keccak256(b"\x19Ethereum Signed Message:\n32" + digest),
        keccak256(digest),
        keccak256(challenge.id.encode()),
        keccak256(b"\x04" + digest + parse_address(signer.address)),
    ):
        presented = shown(challenge, signer.sign(signed), signer.address)
        await till.refuses(
            presented, f"{NOT_THEIRS}|{NOT_AUTHORIZED}", by_chain=isinstance(signer, AccessKey)
        )


@pytest.mark.parametrize("version", [3, 2, 1])
@pytest.mark.parametrize("key", KEYS)
@settings(EXAMPLES, max_examples=2)
@given(identifier=identifiers)
async def test_a_proof_has_one_spelling(key: str, version: int, till: Till, identifier: str) -> None:
    """What anybody could make of a proof is none, and neither is a part of one, or one within another."""
    challenge, signer = asked(identifier), KEYS[key]
    good = signer.sign(typed(challenge, signer.address, version).digest())
    account = parse_address(signer.address)
    for bad, reason in (
        (twin(good), "s is in the upper half of the range|another challenge than is signed for here"),
        (good + b"\x00", NOT_THEIRS),
        (good[:-1], NOT_THEIRS),
        (b"\x03" + account + good, "only version 2 of that type is supported"),
        (b"\x04" + account + b"\x04" + account + good, "where only a key's own signature can be"),
        (b"\x04" + account, "signature is empty"),
    ):
        await till.refuses(shown(challenge, bad, signer.address), reason)


@pytest.mark.parametrize("version", [3, 2, 1])
@pytest.mark.parametrize("key", KEYS)
@settings(EXAMPLES, max_examples=2)
@given(identifier=identifiers)
async def test_nobody_proves_for_somebody_else(key: str, version: int, till: Till, identifier: str) -> None:
    """Whoever signs it, in whatever version, a proof is of the account whose key it is and of no other."""
    challenge, signer = asked(identifier), KEYS[key]
    for account in (STRANGER.address, ROOT.address):
        if account == signer.address:
            continue
        signature = signer.sign(typed(challenge, account, version).digest())
        await till.refuses(shown(challenge, signature, account), NOT_THEIRS)
        as_key = AccessKey(signer, account).sign(typed(challenge, account, version).digest())
        if isinstance(signer, AccessKey):
            await till.refuses(shown(challenge, as_key, account), "where only a key's own signature can be")
        elif account == STRANGER.address:
            await till.refuses(shown(challenge, as_key, account), NOT_AUTHORIZED, by_chain=True)
    good = signer.sign(typed(challenge, signer.address, version).digest())
    await till.refuses(shown(challenge, good, None), "needs the credential's source")
    elsewhere = replace(shown(challenge, good, None), source=f"did:pkh:eip155:1:{signer.address}")
    await till.refuses(elsewhere, "on chain 1, not on 42431")


@EXAMPLES
@given(payment=payments())
async def test_a_proof_pays_nothing(till: Till, payment: Payment) -> None:
    """Who asks for money gets no proof for it, and who asks for a proof no money."""
    digest = typed(payment.challenge, payment.key.address, 3).digest()
    proof = shown(payment.challenge, payment.key.sign(digest), payment.key.address)
    await till.refuses(proof, "price of zero is paid with a payload of type `proof`, and no other")
    for paid in (payment.present(), point_out(payment)):
        free = replace(paid, challenge=asked(payment.challenge.id))
        await till.refuses(free, "price of zero is paid with a payload of type `proof`, and no other")


@pytest.mark.parametrize("name", [name for name in KEYS if name.startswith("access")])
@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (None, NOT_AUTHORIZED),
        ({"expiry": 0}, NOT_AUTHORIZED),
        ({"expiry": 0, "is_revoked": True}, r"access key 0x\w{40} was revoked"),
        ({"is_revoked": True}, r"access key 0x\w{40} was revoked"),
        ({"expiry": 1}, r"access key 0x\w{40} has expired"),
        ({"expiry": int(NOW)}, r"access key 0x\w{40} has expired"),
        ({"key_type": "another"}, r"access key 0x\w{40} is authorized as another type of key"),
    ],
    ids=[
        "unknown",
        "without end",
        "revoked",
        "revoked with an end",
        "long over",
        "just over",
        "of another type",
    ],
)
async def test_a_key_that_may_not_sign_does_nothing(
    state: dict[str, Any] | None, reason: str, name: str, till: Till
) -> None:
    """What the chain says of a key counts, for proofs and for payments alike."""
    signer = KEYS[name]
    assert isinstance(signer, AccessKey)
    if state and "key_type" in state:
        state = {"key_type": "p256" if name.endswith("secp256k1") else "secp256k1"}
    till.keychain[signer.key_address] = NOBODYS if state is None else key_words(signer.key_address, **state)
    challenge = asked("a challenge")
    signature = signer.sign(typed(challenge, signer.address, 3).digest())
    await till.refuses(shown(challenge, signature, signer.address), reason, by_chain=True)
    due = Transfer(
        token=CURRENCY, recipient=RECIPIENTS[0], amount=1, memo=attribution_memo("a challenge", REALM)
    )
    for sponsored in (False, True):
        payment = Payment(challenge_for([due], sponsored=sponsored), signer, (due,))
        await till.refuses(payment.present(), reason, by_chain=True)
