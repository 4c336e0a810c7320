"""Who signed: every kind of signature there is, as viem makes it, as it is made here, and broken."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from coinslot.methods.tempo.keys import AddressError, PrivateKey, SignatureError, keccak256
from coinslot.methods.tempo.wire import rlp
from coinslot.methods.tempo.wire.p256 import P256Key
from coinslot.methods.tempo.wire.signatures import (
    AccessKey,
    Signer,
    SigningKey,
    check_primitive,
    check_spelling,
    from_items,
    recover_primitive,
    recover_signer,
    to_items,
)
from tempo_strategies import (
    P256,
    PASSKEY,
    ROOT,
    SECP256K1,
    SIGNERS,
    fee_payer_signatures,
    hashes,
    primitive_signatures,
    signatures,
)

SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

HASH = keccak256(b"a payment")

EXPECTED = {
    "secp256k1": Signer(SECP256K1.address),
    "P256": Signer(P256.address, key_type="p256"),
    "WebAuthn": Signer(P256.address, key_type="webAuthn"),
    "keychain of secp256k1": Signer(ROOT.address, SECP256K1.address),
    "keychain of P256": Signer(ROOT.address, P256.address, "p256"),
    "keychain of WebAuthn": Signer(ROOT.address, P256.address, "webAuthn"),
}


class Vector(msgspec.Struct):
    """A signature that viem made, and whose it is, unless it is one that is refused."""

    type: str
    hash: str
    signature: str
    signer: dict[str, str] = {}


class Vectors(msgspec.Struct):
    """The part of viem_vectors.json that concerns signatures."""

    signatures: list[Vector]


VECTORS = {
    vector.type: vector
    for vector in msgspec.json.decode(
        (Path(__file__).parents[1] / "viem_vectors.json").read_bytes(), type=Vectors
    ).signatures
}
LEGACY = VECTORS.pop("keychain, version 1")


def raw(text: str) -> bytes:
    """The bytes of 0x-prefixed hexadecimal."""
    return bytes.fromhex(text.removeprefix("0x"))


each_vector = pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)
each_key = pytest.mark.parametrize(("name", "key"), SIGNERS.items(), ids=SIGNERS)


@each_vector
def test_recovers_what_viem_signs(vector: Vector) -> None:
    """Each kind of signature names account, access key and kind of key, as viem has them."""
    expected = Signer(vector.signer["account"], vector.signer.get("accessKey"), vector.signer["keyType"])
    assert recover_signer(raw(vector.hash), raw(vector.signature)) == expected


@pytest.mark.parametrize("name", [name for name in SIGNERS if "WebAuthn" not in name])
def test_signs_as_viem_does(name: str) -> None:
    """The same key makes the very signature that viem makes."""
    vector = VECTORS[name]
    assert SIGNERS[name].sign(raw(vector.hash)) == raw(vector.signature)


@settings(max_examples=30)
@given(hashes)
def test_a_signature_names_its_signer(hash32: bytes) -> None:
    """What any key signs, recovers to its account, and to the access key if it was one."""
    for name, key in SIGNERS.items():
        assert recover_signer(hash32, key.sign(hash32)) == EXPECTED[name]
        assert key.address == EXPECTED[name].account


@each_key
@settings(max_examples=150)
@given(data=st.data())
def test_one_changed_byte_is_another_signer(name: str, key: SigningKey, data: st.DataObject) -> None:
    """With a byte changed, a signature of any kind is somebody else's or none."""
    changed = bytearray(key.sign(HASH))
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(SignatureError):
        signer = recover_signer(HASH, bytes(changed))
        assert signer != EXPECTED[name]
        assert signer.access_key is None or signer.access_key != EXPECTED[name].access_key


@each_key
def test_a_cut_signature_is_refused(name: str, key: SigningKey) -> None:
    """No prefix of a signature is one, and nothing may follow it."""
    signature = key.sign(HASH)
    for size in range(len(signature)):
        with pytest.raises(SignatureError):
            recover_signer(HASH, signature[:size])
    with pytest.raises(SignatureError):
        recover_signer(HASH, signature + b"\x00")


@pytest.mark.parametrize("name", SIGNERS)
def test_the_upper_half_of_s_is_refused(name: str) -> None:
    """On both curves and inside of every kind, the twin that anyone can make of a signature is none."""
    signature = bytearray(SIGNERS[name].sign(HASH))
    if "secp256k1" in name:
        at, order = len(signature) - 33, SECP256K1_ORDER
        signature[-1] = 55 - signature[-1]
    else:
        at, order = len(signature) - 96 - ("P256" in name), P256_ORDER
    twin = order - int.from_bytes(signature[at : at + 32])
    signature[at : at + 32] = twin.to_bytes(32)
    with pytest.raises(SignatureError, match="upper half"):
        recover_signer(HASH, bytes(signature))


@pytest.mark.parametrize("name", ["secp256k1", "keychain of secp256k1"])
@pytest.mark.parametrize("v", [0, 1, 2, 29, 35, 255])
def test_v_is_27_or_28(name: str, v: int) -> None:
    """Nodes read a bare parity too and rewrite it, so that the transaction has another hash."""
    signature = SIGNERS[name].sign(HASH)[:-1] + bytes([v])
    for check in (check_spelling, lambda signature: recover_signer(HASH, signature)):
        with pytest.raises(SignatureError, match="neither 27 nor 28"):
            check(signature)


@pytest.mark.parametrize("name", ["P256", "keychain of P256"])
@pytest.mark.parametrize("prehash", [2, 27, 255])
def test_prehash_is_0_or_1(name: str, prehash: int) -> None:
    """Nodes take any other byte for a 1 and rewrite it, so that the transaction has another hash."""
    signature = SIGNERS[name].sign(HASH)[:-1] + bytes([prehash])
    for check in (check_spelling, lambda signature: recover_signer(HASH, signature)):
        with pytest.raises(SignatureError, match="neither 0 nor 1"):
            check(signature)


def test_hashed_before_is_another_signature() -> None:
    """A signature over the hash is none over the hash's hash."""
    for signature in (P256.sign(HASH), raw(VECTORS["P256, hashed before"].signature)):
        flipped = signature[:-1] + bytes([1 - signature[-1]])
        with pytest.raises(SignatureError, match="not made by"):
            recover_signer(HASH, flipped)


def test_the_first_keychain_version_is_refused_by_name() -> None:
    """Its signatures are good for every account of a key; Tempo has not taken them since T1C."""
    with pytest.raises(SignatureError, match=r"of type keychain; only version 2"):
        recover_signer(raw(LEGACY.hash), raw(LEGACY.signature))


def test_an_access_key_signs_for_one_account() -> None:
    """The same signature under another account is another key's."""
    signature = AccessKey(SECP256K1, ROOT.address).sign(HASH)
    moved = b"\x04" + raw(P256.address) + signature[21:]
    assert recover_signer(HASH, moved).access_key != SECP256K1.address
    plain = b"\x04" + raw(ROOT.address) + SECP256K1.sign(HASH)
    assert recover_signer(HASH, plain).access_key != SECP256K1.address


def test_an_access_key_has_no_access_keys() -> None:
    """A keychain signature inside another is refused, and so is one where only an account's own counts."""
    nested = AccessKey(AccessKey(SECP256K1, ROOT.address), ROOT.address).sign(HASH)
    with pytest.raises(SignatureError, match=r"keychain \(version 2\)"):
        recover_signer(HASH, nested)
    signature = AccessKey(P256, ROOT.address).sign(HASH)
    for refuse in (check_primitive, lambda signature: recover_primitive(HASH, signature)):
        with pytest.raises(SignatureError, match=r"keychain \(version 2\)"):
            refuse(signature)
    check_primitive(P256.sign(HASH))


@pytest.mark.parametrize("inner", [b"", b"\x00", b"\x05" * 70, b"\x03" * 86])
def test_an_access_key_signs_in_a_known_way(inner: bytes) -> None:
    """What is behind the account has to be a signature."""
    with pytest.raises(SignatureError):
        recover_signer(HASH, b"\x04" + bytes(20) + inner)


@given(hashes | st.binary(max_size=40), signatures | st.binary(max_size=300))
def test_recovery_is_total(hash32: bytes, signature: bytes) -> None:
    """Arbitrary bytes, and arbitrary content in the right form, give a signer or SignatureError."""
    with suppress(SignatureError):
        signer = recover_signer(hash32, signature)
        assert len(hash32) == 32
        assert len(signer.account) == 42


@pytest.mark.parametrize("size", [0, 31, 33])
@each_key
def test_only_hashes_are_signed(name: str, key: SigningKey, size: int) -> None:
    """A message of another length than a hash is neither signed nor has it a signer."""
    with pytest.raises(SignatureError, match="32 bytes"):
        recover_signer(bytes(size), key.sign(HASH))
    if name != "WebAuthn":  # a passkey's hash is text
        with pytest.raises(ValueError, match="32 bytes"):
            key.sign(bytes(size))


@given(signatures)
def test_well_spelled_signatures_pass(signature: bytes) -> None:
    """Whether a node would rewrite a signature does not depend on who made it."""
    check_spelling(signature)


@given(primitive_signatures)
def test_an_accounts_own_signature_passes(signature: bytes) -> None:
    """Whether it is by an access key does not depend on what is in it."""
    check_primitive(signature)


def test_nothing_is_no_signature() -> None:
    """Empty bytes are refused, and so are those behind an account."""
    for empty in (b"", b"\x04" + bytes(20)):
        with pytest.raises(SignatureError, match="empty"):
            check_spelling(empty)


@given(fee_payer_signatures)
def test_fee_payers_signatures_round_trip(signature: bytes) -> None:
    """As items and back, they are the same bytes, and the items have no leading zeros."""
    items = to_items(signature)
    assert from_items(items) == signature
    assert all(isinstance(item, bytes) and item[:1] != b"\x00" for item in items)


@pytest.mark.parametrize(
    "items",
    [
        (b"", b"\x01"),
        (b"\x02", b"\x01", b"\x01"),
        (b"\x00", b"\x01", b"\x01"),
        (b"", b"\x00\x01", b"\x01"),
        (b"", b"\x01", b"\x01" + bytes(32)),
        (b"", (), b"\x01"),
    ],
    ids=str,
)
def test_other_items_are_no_signature(items: rlp.Items) -> None:
    """Parity, r and s are integers that fit, without leading zeros."""
    with pytest.raises(rlp.RLPError):
        from_items(items)


def test_an_access_key_keeps_its_account() -> None:
    """The account may be spelled in any case; what is no address is refused."""
    key = AccessKey(P256, ROOT.address.lower())
    assert (key.address, key.key_address, key.authorization) == (ROOT.address, P256.address, None)
    with pytest.raises(AddressError):
        AccessKey(P256, "0x" + "5e" * 32)


def test_repr_shows_no_secret() -> None:
    """An access key shows its address and its account's, and the key that it is only as that key does."""
    for key in (PrivateKey.from_hex("5e" * 32), P256Key.from_hex("5e" * 32)):
        text = repr(AccessKey(key, ROOT.address))
        assert "5e5e" not in text
        assert key.address in text
        assert ROOT.address in text


def test_passkeys_are_signing_keys() -> None:
    """Whoever has a signer of his own, in hardware say, needs an address and `sign`."""
    key: SigningKey = PASSKEY
    assert recover_signer(HASH, AccessKey(key, ROOT.address).sign(HASH)).key_type == "webAuthn"
