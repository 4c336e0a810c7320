"""Key authorizations, byte for byte as viem writes them, and nothing else."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings, strategies as st
from msgspec.structs import replace

from coinslot.methods.tempo.keys import AddressError, PrivateKey, SignatureError
from coinslot.methods.tempo.wire import rlp
from coinslot.methods.tempo.wire.key_authorization import (
    CallScope,
    KeyAuthorization,
    KeyAuthorizationError,
    SelectorRule,
    TokenLimit,
)
from coinslot.methods.tempo.wire.p256 import P256Key
from coinslot.methods.tempo.wire.signatures import AccessKey
from tempo_strategies import (
    P256,
    PASSKEY,
    ROOT,
    SECP256K1,
    key_authorizations,
    primitive_signatures,
    sequences,
)


class LimitFields(msgspec.Struct):
    """A token limit as viem was given it."""

    token: str
    limit: str
    period: int = 0


class ScopeFields(msgspec.Struct):
    """A scope as viem was given it: one contract, and perhaps one function."""

    address: str
    selector: str | None = None
    recipients: list[str] = []


class Fields(msgspec.Struct, rename="camel"):
    """A key authorization as viem was given it."""

    chain_id: str
    type: str
    address: str
    expiry: int | None = None
    limits: list[LimitFields] | None = None
    scopes: list[ScopeFields] | None = None
    witness: str | None = None
    is_admin: bool = False
    account: str | None = None


class Vector(msgspec.Struct, rename="camel"):
    """A key authorization that viem has serialized and signed."""

    name: str
    fields: Fields
    unsigned: str
    signing_hash: str
    serialized: str
    signed_by: str


class Vectors(msgspec.Struct, rename="camel"):
    """The part of viem_vectors.json that concerns key authorizations."""

    private_key: str
    key_authorizations: list[Vector]


VECTORS = msgspec.json.decode((Path(__file__).parents[1] / "viem_vectors.json").read_bytes(), type=Vectors)
each_vector = pytest.mark.parametrize("vector", VECTORS.key_authorizations, ids=lambda vector: vector.name)

TOKEN = "0x20C0000000000000000000000000000000000000"
OTHER = "0x742d35Cc6634C0532925a3b844bC9e7595F8fE00"

FULL = KeyAuthorization(
    chain_id=42431,
    key_type="p256",
    key_address=P256.address,
    expiry=1_893_456_000,
    limits=(TokenLimit(TOKEN, 5_000_000, 86_400), TokenLimit(OTHER, 1)),
    scopes=(CallScope(TOKEN, (SelectorRule(b"\x95\x77\x7d\x59", (OTHER,)),)), CallScope(OTHER)),
    witness=bytes(range(32)),
    is_admin=True,
    account=ROOT.address,
).sign(ROOT)
FIELDS = rlp.read_sequence(FULL.to_items()[0])


def raw(text: str) -> bytes:
    """The bytes of 0x-prefixed hexadecimal."""
    return bytes.fromhex(text.removeprefix("0x"))


def scopes(fields: list[ScopeFields]) -> tuple[CallScope, ...]:
    """The scopes by contract, as they are in the encoding."""
    rules: dict[str, list[SelectorRule]] = {}
    for scope in fields:
        of_target = rules.setdefault(scope.address, [])
        if scope.selector is not None:
            of_target.append(SelectorRule(raw(scope.selector), tuple(scope.recipients)))
    return tuple(CallScope(target, tuple(of_target)) for target, of_target in rules.items())


def build(fields: Fields) -> KeyAuthorization:
    """The key authorization that viem was given, unsigned."""
    limits = fields.limits
    return KeyAuthorization(
        chain_id=int(fields.chain_id),
        key_type=fields.type,
        key_address=fields.address,
        expiry=fields.expiry,
        limits=None
        if limits is None
        else tuple(TokenLimit(limit.token, int(limit.limit), limit.period) for limit in limits),
        scopes=None if fields.scopes is None else scopes(fields.scopes),
        witness=None if fields.witness is None else raw(fields.witness),
        is_admin=fields.is_admin,
        account=fields.account,
    )


@each_vector
def test_encodes_as_viem_does(vector: Vector) -> None:
    """From viem's fields come viem's bytes, with and without a signature, and the hash that is signed."""
    authorization = build(vector.fields)
    assert authorization.encode() == raw(vector.unsigned)
    assert authorization.signing_hash() == raw(vector.signing_hash)
    signed = KeyAuthorization.decode(raw(vector.serialized))
    assert signed == replace(authorization, signature=signed.signature)
    assert signed.encode() == raw(vector.serialized)
    assert signed.signed_by() == vector.signed_by
    assert KeyAuthorization.decode(raw(vector.unsigned)) == authorization


def test_signs_as_viem_does() -> None:
    """An account's key makes the signature that viem makes, on both curves."""
    for root in (PrivateKey.from_hex(VECTORS.private_key), P256Key.from_hex(VECTORS.private_key)):
        vectors = [vector for vector in VECTORS.key_authorizations if vector.signed_by == root.address]
        assert vectors
        for vector in vectors:
            if "passkey" not in vector.name or "by" not in vector.name:
                assert build(vector.fields).sign(root).encode() == raw(vector.serialized)


@given(key_authorizations, st.none() | primitive_signatures)
def test_key_authorizations_round_trip(authorization: KeyAuthorization, signature: bytes | None) -> None:
    """What was encoded decodes to an equal authorization."""
    authorization = replace(authorization, signature=signature)
    assert KeyAuthorization.decode(authorization.encode()) == authorization


@settings(max_examples=30)
@given(key_authorizations)
def test_a_signature_names_its_account(authorization: KeyAuthorization) -> None:
    """Signed with a key of any kind, it names that key's account, after the way over the wire too."""
    for root in (SECP256K1, P256, PASSKEY):
        signed = authorization.sign(root)
        assert signed.signed_by() == root.address
        assert KeyAuthorization.decode(signed.encode()).signed_by() == root.address
        assert signed.signing_hash() == authorization.signing_hash()


malformed = st.one_of(
    st.binary(max_size=200),
    sequences.map(rlp.encode),
    st.lists(st.binary(max_size=40) | sequences, max_size=11).map(
        lambda fields: rlp.encode((tuple(fields), FULL.signature or b""))
    ),
    st.tuples(st.integers(0, 8), st.binary(max_size=40) | sequences).map(
        lambda change: rlp.encode(((*FIELDS[: change[0]], change[1], *FIELDS[change[0] + 1 :]),))
    ),
)


@settings(max_examples=400)
@given(malformed)
def test_decoding_is_total(data: bytes) -> None:
    """Arbitrary bytes, and arbitrary items in any place, are an authorization of those bytes or an error."""
    with suppress(KeyAuthorizationError):
        assert KeyAuthorization.decode(data).encode() == data


@settings(max_examples=300)
@given(st.integers(0, len(FULL.encode()) - 1), st.integers(1, 255))
def test_one_changed_byte_is_another_account(at: int, change: int) -> None:
    """With a byte changed, it is signed by somebody else or malformed."""
    changed = bytearray(FULL.encode())
    changed[at] ^= change
    with suppress(KeyAuthorizationError, SignatureError):
        assert KeyAuthorization.decode(bytes(changed)).signed_by() != ROOT.address


@pytest.mark.parametrize(
    ("at", "item"),
    [
        pytest.param(0, b"\x00", id="a chain id with a leading zero"),
        pytest.param(0, b"\x01" * 9, id="a chain id of nine bytes"),
        pytest.param(0, (), id="a chain id as a sequence"),
        pytest.param(1, b"\x03", id="a key type that there is not"),
        pytest.param(1, b"\x00", id="secp256k1 as a byte of zero"),
        pytest.param(1, b"\x01\x00", id="a key type of two bytes"),
        pytest.param(2, b"", id="no key"),
        pytest.param(2, b"\x20" * 19, id="a key of 19 bytes"),
        pytest.param(3, b"\x00", id="an expiry of zero"),
        pytest.param(3, b"\x01" * 9, id="an expiry of nine bytes"),
        pytest.param(3, (), id="an expiry as a sequence"),
        pytest.param(4, b"\x01", id="limits as a string"),
        pytest.param(4, (b"",), id="a limit as a string"),
        pytest.param(4, ((b"\x20" * 20,),), id="a limit without an amount"),
        pytest.param(4, ((b"\x20" * 20, b"\x01", b""),), id="a limit whose absent period is written"),
        pytest.param(4, ((b"\x20" * 20, b"\x01", b"\x00"),), id="a period of zero"),
        pytest.param(4, ((b"\x20" * 20, b"\x01", b"\x01" * 9),), id="a period of nine bytes"),
        pytest.param(4, ((b"\x20" * 20, b"\x01", b"\x01", b"\x01"),), id="a limit of four fields"),
        pytest.param(4, ((b"\x20" * 20, b"\x01" * 33),), id="an amount of 33 bytes"),
        pytest.param(4, ((b"\x20" * 20, b"\x00\x01"),), id="an amount with a leading zero"),
        pytest.param(4, ((b"", b"\x01"),), id="a limit of no token"),
        pytest.param(5, b"\x01", id="scopes as a string"),
        pytest.param(5, ((b"\x20" * 20,),), id="a scope without rules"),
        pytest.param(5, ((b"\x20" * 20, b""),), id="a scope whose rules are a string"),
        pytest.param(5, ((b"\x20" * 20, ((b"\x01" * 3, ()),)),), id="a selector of three bytes"),
        pytest.param(5, ((b"\x20" * 20, ((b"\x01" * 4,),)),), id="a rule without recipients"),
        pytest.param(5, ((b"\x20" * 20, ((b"\x01" * 4, (b"\x20",)),)),), id="a recipient of one byte"),
        pytest.param(6, bytes(31), id="a witness of 31 bytes"),
        pytest.param(6, (), id="a witness as a sequence"),
        pytest.param(7, b"\x02", id="an admin mark of two"),
        pytest.param(7, b"\x00", id="an admin mark of zero"),
        pytest.param(7, (), id="an admin mark as a sequence"),
        pytest.param(8, b"", id="an absent account, written at the end"),
        pytest.param(8, b"\x20" * 21, id="an account of 21 bytes"),
    ],
)
def test_fields_have_their_shape(at: int, item: rlp.Item) -> None:
    """Each field is of its size and kind, in its only spelling."""
    changed = (*FIELDS[:at], item, *FIELDS[at + 1 :])
    with pytest.raises(KeyAuthorizationError):
        KeyAuthorization.from_items((changed, FULL.signature or b""))


@pytest.mark.parametrize("count", [3, 4, 5, 6, 7, 8])
def test_what_is_absent_at_the_end_is_left_out(count: int) -> None:
    """Nodes would rewrite an authorization with an empty field at its end, and so change its hash."""
    present = KeyAuthorization.from_items((FIELDS[:count],))
    assert present.to_items() == (FIELDS[:count],)
    with pytest.raises(KeyAuthorizationError, match="absent"):
        KeyAuthorization.from_items(((*FIELDS[:count], b""),))


def test_the_number_of_fields_is_fixed() -> None:
    """Two fields, ten, no authorization, a third item beside the signature: all are refused."""
    signature = FULL.signature or b""
    for wrong in (b"", (), (FIELDS[:2],), ((*FIELDS, b"\x01"),), (b"\x01",), (FIELDS, signature, signature)):
        with pytest.raises(KeyAuthorizationError):
            KeyAuthorization.from_items(wrong)


def test_only_an_accounts_own_key_authorizes() -> None:
    """An access key's signature is refused, and so are those that nodes would rewrite."""
    with pytest.raises(KeyAuthorizationError, match="keychain"):
        FULL.sign(AccessKey(SECP256K1, ROOT.address))
    for signature in (b"", SECP256K1.sign(bytes(32))[:64] + b"\x00", P256.sign(bytes(32))[:129] + b"\x02"):
        with pytest.raises(KeyAuthorizationError):
            replace(FULL, signature=signature)
        with pytest.raises(KeyAuthorizationError):
            KeyAuthorization.from_items((FIELDS, signature))


def test_an_unsigned_authorization_has_no_account() -> None:
    """Before it is signed, asking who signed it raises."""
    with pytest.raises(SignatureError, match="not signed"):
        replace(FULL, signature=None).signed_by()


@pytest.mark.parametrize(
    "changes",
    [
        {"chain_id": -1},
        {"chain_id": 2**64},
        {"key_type": "P256"},
        {"key_type": ""},
        {"expiry": 0},
        {"expiry": -1},
        {"expiry": 2**64},
        {"witness": b""},
        {"witness": bytes(33)},
    ],
    ids=str,
)
def test_values_without_an_encoding_are_refused(changes: dict[str, object]) -> None:
    """A value that would be read back as another, or not at all, is not constructed."""
    with pytest.raises(KeyAuthorizationError):
        replace(FULL, **changes)


@pytest.mark.parametrize(
    "changes", [{"limit": -1}, {"limit": 2**256}, {"period": -1}, {"period": 2**64}], ids=str
)
def test_limits_that_do_not_fit_are_refused(changes: dict[str, int]) -> None:
    """An amount has 256 bits, a period 64."""
    with pytest.raises(KeyAuthorizationError, match="does not fit"):
        replace(TokenLimit(TOKEN, 1), **changes)


@pytest.mark.parametrize("selector", [b"", b"abc", b"abcde"])
def test_a_selector_has_four_bytes(selector: bytes) -> None:
    """A function's selector has no other length."""
    with pytest.raises(KeyAuthorizationError, match="4 bytes"):
        SelectorRule(selector)


def test_addresses_are_taken_in_any_case() -> None:
    """However an address is spelled, the authorization is the same; what is none is refused."""
    lower = KeyAuthorization(
        chain_id=1,
        key_type="secp256k1",
        key_address=SECP256K1.address.lower(),
        limits=(TokenLimit(TOKEN.lower(), 1),),
        scopes=(CallScope(TOKEN.lower(), (SelectorRule(b"abcd", (OTHER.lower(),)),)),),
        account=ROOT.address.lower(),
    )
    assert lower == KeyAuthorization.decode(lower.encode())
    assert (lower.key_address, lower.account) == (SECP256K1.address, ROOT.address)
    for wrong in ({"key_address": ""}, {"account": "0x"}):
        with pytest.raises(AddressError):
            replace(lower, **wrong)


def test_repr_shows_no_signature_and_no_witness() -> None:
    """Neither occurs in repr or in what rich prints; that it is signed does."""
    marker = bytes(range(0xA0, 0xC0))
    marked = replace(FULL, witness=marker, signature=marker + marker + b"\x1b")
    for text in (repr(marked), str(marked), repr(marked.__rich_repr__())):
        assert marker.hex() not in text.lower()
        assert repr(marker)[2:-1] not in text
        assert P256.address in text
    assert "signed=True" in repr(marked)
    assert "signed=False" in repr(replace(marked, signature=None))
