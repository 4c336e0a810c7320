"""What is asked of the AccountKeychain and what it answers, as viem encodes it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from coinslot.methods.tempo.keys import AddressError
from coinslot.methods.tempo.wire import keychain
from coinslot.methods.tempo.wire.abi import ABIError
from coinslot.methods.tempo.wire.key_authorization import (
    KEY_TYPES,
    CallScope,
    KeyAuthorization,
    KeyAuthorizationError,
    SelectorRule,
    TokenLimit,
)
from coinslot.methods.tempo.wire.keychain import KeyInfo
from tempo_strategies import key_authorizations


class Key(msgspec.Struct, rename="camel"):
    """A key's entry, and the return data that viem makes of it."""

    signature_type: int
    key_id: str
    expiry: str
    enforce_limits: bool
    is_revoked: bool
    data: str


class Authorize(msgspec.Struct, rename="camel"):
    """Calldata of `authorizeKey` in each of its forms."""

    unrestricted: str
    restricted: str
    witnessed: str
    legacy: str
    legacy_unrestricted: str


class Keychain(msgspec.Struct, rename="camel"):
    """The keychain, what is asked of it, and what it answers."""

    address: str
    account: str
    key: str
    token: str
    get_key: str
    keys: list[Key]
    get_remaining_limit: str
    remaining_limit: str
    get_remaining_limit_legacy: str
    remaining_limit_legacy: str
    authorize: Authorize
    revoke: str


class Vectors(msgspec.Struct):
    """The part of viem_vectors.json that concerns the keychain."""

    keychain: Keychain


VECTORS = msgspec.json.decode(
    (Path(__file__).parents[1] / "viem_vectors.json").read_bytes(), type=Vectors
).keychain

USDC = "0x20C000000000000000000000b9537d11c60E8b50"
RECIPIENT = "0x742d35Cc6634C0532925a3b844bC9e7595F8fE00"
PLATFORM = "0xa1b2c3d4e5f6a1b2c3d4e5f6a1b2c3d4e5f6a1b2"
WITNESS = bytes.fromhex("ef1ed712011ece072f76bd8b82350e000000000000000000005e918c2dbc85da")

UNRESTRICTED = KeyAuthorization(chain_id=42431, key_type="secp256k1", key_address=VECTORS.key)
RESTRICTED = replace(
    UNRESTRICTED,
    key_type="webAuthn",
    expiry=1_893_456_000,
    limits=(TokenLimit(VECTORS.token, 5_000_000, 86_400), TokenLimit(USDC, 1)),
    scopes=(
        CallScope(
            VECTORS.token,
            (
                SelectorRule(bytes.fromhex("a9059cbb")),
                SelectorRule(bytes.fromhex("95777d59"), (RECIPIENT, PLATFORM)),
            ),
        ),
        CallScope(USDC),
    ),
)


def raw(text: str) -> bytes:
    """The bytes of 0x-prefixed hexadecimal."""
    return bytes.fromhex(text.removeprefix("0x"))


def test_the_keychain_is_where_viem_has_it() -> None:
    """Its address is the same."""
    assert VECTORS.address == keychain.ADDRESS


def test_asks_as_viem_does() -> None:
    """The calldata of every question is viem's."""
    account, key, token = VECTORS.account, VECTORS.key, VECTORS.token
    assert keychain.get_key(account, key) == raw(VECTORS.get_key)
    assert keychain.get_remaining_limit(account, key, token) == raw(VECTORS.get_remaining_limit)
    legacy = keychain.get_remaining_limit(account, key, token, legacy=True)
    assert legacy == raw(VECTORS.get_remaining_limit_legacy)
    assert keychain.revoke_key(key) == raw(VECTORS.revoke)


@pytest.mark.parametrize("entry", VECTORS.keys, ids=range(len(VECTORS.keys)))
def test_keys_are_read(entry: Key) -> None:
    """What `getKey` returned is read as viem wrote it; a key that is missing or revoked does not exist."""
    info = keychain.read_key(raw(entry.data))
    assert info == KeyInfo(
        key_type=KEY_TYPES[entry.signature_type],
        address=entry.key_id,
        expiry=int(entry.expiry),
        enforces_limits=entry.enforce_limits,
        is_revoked=entry.is_revoked,
    )
    assert info.exists == (entry.key_id == VECTORS.key)


def test_a_revoked_key_does_not_exist() -> None:
    """Even where the keychain still says when it would have been over."""
    info = keychain.read_key(raw(VECTORS.keys[0].data))
    assert info.exists
    assert not replace(info, is_revoked=True).exists


def test_limits_are_read() -> None:
    """What is left to spend is read from either form."""
    assert keychain.read_limit(raw(VECTORS.remaining_limit)) == 4_000_000
    assert keychain.read_limit(raw(VECTORS.remaining_limit_legacy)) == 4_000_000


def test_authorizes_as_viem_does() -> None:
    """The calldata of `authorizeKey` is viem's, in each of its forms."""
    p256 = replace(UNRESTRICTED, key_type="p256")
    assert keychain.authorize_key(p256) == raw(VECTORS.authorize.unrestricted)
    assert keychain.authorize_key(RESTRICTED) == raw(VECTORS.authorize.restricted)
    witnessed = replace(RESTRICTED, key_type="secp256k1", witness=WITNESS)
    assert keychain.authorize_key(witnessed) == raw(VECTORS.authorize.witnessed)
    limited = replace(UNRESTRICTED, expiry=1_893_456_000, limits=(TokenLimit(VECTORS.token, 5_000_000),))
    assert keychain.authorize_key(limited, legacy=True) == raw(VECTORS.authorize.legacy)
    legacy = keychain.authorize_key(UNRESTRICTED, legacy=True)
    assert legacy == raw(VECTORS.authorize.legacy_unrestricted)


@given(key_authorizations)
def test_authorizations_have_calldata(authorization: KeyAuthorization) -> None:
    """Every authorization of whole words is calldata, unless it is of an admin key."""
    if authorization.is_admin:
        with pytest.raises(KeyAuthorizationError, match="admin"):
            keychain.authorize_key(authorization)
    else:
        assert len(keychain.authorize_key(authorization)) % 32 == 4


@pytest.mark.parametrize(
    "changes",
    [
        {"is_admin": True},
        {"scopes": ()},
        {"witness": bytes(32)},
        {"limits": (TokenLimit(VECTORS.token, 1, 60),)},
    ],
    ids=str,
)
def test_the_legacy_form_says_less(changes: dict[str, object]) -> None:
    """What it cannot say is refused rather than left out: the key could do more than was meant."""
    with pytest.raises(KeyAuthorizationError):
        keychain.authorize_key(replace(UNRESTRICTED, **changes), legacy=True)


def words(*numbers: int) -> bytes:
    """Numbers as words."""
    return b"".join(number.to_bytes(32) for number in numbers)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(words(0, 1, 1, 0), id="four words"),
        pytest.param(words(0, 1, 1, 0, 0, 0), id="six words"),
        pytest.param(words(0, 1, 1, 0, 0)[:-1], id="a byte short"),
        pytest.param(words(3, 1, 1, 0, 0), id="a key type that there is not"),
        pytest.param(words(256, 1, 1, 0, 0), id="a key type of two bytes"),
        pytest.param(words(0, 2**160, 1, 0, 0), id="an address of 21 bytes"),
        pytest.param(words(0, 1, 2**64, 0, 0), id="an expiry of nine bytes"),
        pytest.param(words(0, 1, 1, 2, 0), id="a limit flag of two"),
        pytest.param(words(0, 1, 1, 0, 2), id="a revocation of two"),
    ],
)
def test_other_keys_are_refused(data: bytes) -> None:
    """Return data that is no key raises ABIError."""
    with pytest.raises(ABIError):
        keychain.read_key(data)


@given(st.binary(max_size=200))
def test_reading_is_total(data: bytes) -> None:
    """Arbitrary return data is read or raises ABIError."""
    for read in (keychain.read_key, keychain.read_limit):
        with suppress(ABIError):
            read(data)


@pytest.mark.parametrize("size", [0, 31, 33, 63, 65, 96])
def test_other_limits_are_refused(size: int) -> None:
    """What is left to spend is one word, or two with the end of the period."""
    with pytest.raises(ABIError):
        keychain.read_limit(bytes(size))


def test_addresses_are_addresses() -> None:
    """What is no address has no calldata."""
    with pytest.raises(AddressError):
        keychain.get_key("nobody", VECTORS.key)
    with pytest.raises(AddressError):
        keychain.get_remaining_limit(VECTORS.account, VECTORS.key, "pathUSD")
    with pytest.raises(AddressError):
        keychain.revoke_key("")
