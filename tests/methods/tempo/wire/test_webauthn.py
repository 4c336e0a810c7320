"""What passkeys sign: read as Tempo's nodes read it, or refused."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given, strategies as st

from coinslot.methods.tempo.keys import SignatureError, keccak256
from coinslot.methods.tempo.wire.webauthn import MAX_WEBAUTHN_LENGTH, recover_webauthn
from coinslot.protocol.encoding import encode_base64url
from tempo_strategies import AUTHENTICATOR_DATA, PASSKEY, client_data, hashes

HASH = keccak256(b"a payment")
CHALLENGE = encode_base64url(HASH)
CLIENT_DATA = client_data(HASH)
SIGNATURE = PASSKEY.sign(HASH)


def flagged(flags: int) -> bytes:
    """Authenticator data with these flags."""
    return AUTHENTICATOR_DATA[:32] + bytes([flags]) + AUTHENTICATOR_DATA[33:]


def members(**changes: object) -> bytes:
    """Client data with these members changed, or left out where None."""
    changed = json.loads(CLIENT_DATA) | changes
    return json.dumps({name: value for name, value in changed.items() if value is not None}).encode()


@given(hashes)
def test_a_signature_names_its_passkey(hash32: bytes) -> None:
    """What a passkey signs, recovers to its address, and for no other hash."""
    assert recover_webauthn(hash32, PASSKEY.sign(hash32)) == PASSKEY.address
    with pytest.raises(SignatureError, match="another challenge"):
        recover_webauthn(keccak256(hash32), PASSKEY.sign(hash32))


@given(st.integers(1, len(SIGNATURE) - 1), st.integers(1, 255))
def test_a_changed_signature_is_refused(at: int, change: int) -> None:
    """One changed byte of authenticator data, client data, signature or point leaves no signature."""
    changed = bytearray(SIGNATURE)
    changed[at] ^= change
    with pytest.raises(SignatureError):
        recover_webauthn(HASH, bytes(changed))


@given(hashes, st.binary(max_size=400), st.binary(max_size=100))
def test_recovery_is_total(hash32: bytes, body: bytes, client: bytes) -> None:
    """Arbitrary bytes, and arbitrary client data duly signed, give an address or SignatureError."""
    with suppress(SignatureError):
        recover_webauthn(hash32, b"\x02" + body)
    with suppress(SignatureError):
        recover_webauthn(hash32, PASSKEY.sign_login(AUTHENTICATOR_DATA, client))


@pytest.mark.parametrize("flags", [0x01, 0x04, 0x05, 0x05 | 0x08 | 0x10, 0x01 | 0x02 | 0x20])
def test_a_user_was_there(flags: int) -> None:
    """Presence or verification is enough, and flags that say other things do not matter."""
    assert recover_webauthn(HASH, PASSKEY.sign_login(flagged(flags), CLIENT_DATA)) == PASSKEY.address


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (0x00, "saw no user"),
        (0x08 | 0x10, "saw no user"),
        (0x05 | 0x40, "as in a registration"),
        (0x05 | 0x80, "has extensions"),
        (0xFF, "as in a registration"),
    ],
)
def test_other_authenticator_data_is_refused(flags: int, reason: str) -> None:
    """Without a user, with a credential or with extensions, a login counts for nothing."""
    with pytest.raises(SignatureError, match=reason):
        recover_webauthn(HASH, PASSKEY.sign_login(flagged(flags), CLIENT_DATA))


@pytest.mark.parametrize(
    "client",
    [
        pytest.param(f'{{"type":"webauthn.get","challenge":"{CHALLENGE}"}}', id="nothing else"),
        pytest.param(f'{{"challenge":"{CHALLENGE}","type":"webauthn.get"}}', id="another order"),
        pytest.param(f' {{ "type" : "webauthn.get" ,\n"challenge":\t"{CHALLENGE}" }} ', id="white space"),
        pytest.param(members(origin="https://☃.example", crossOrigin=True).decode(), id="escapes elsewhere"),
        pytest.param(members(tokenBinding={"status": "supported"}).decode(), id="more members"),
    ],
)
def test_client_data_is_json(client: str) -> None:
    """Type and challenge count, in whatever order and beside whatever else a browser says."""
    signature = PASSKEY.sign_login(AUTHENTICATOR_DATA, client.encode())
    assert recover_webauthn(HASH, signature) == PASSKEY.address


@pytest.mark.parametrize(
    "client",
    [
        pytest.param(b"x" * 100, id="no JSON"),
        pytest.param(CLIENT_DATA[:-1] + b"  " * 5, id="JSON that does not end"),
        pytest.param(CLIENT_DATA + b"{}", id="more than one value"),
        pytest.param(b"\xef\xbb\xbf" + CLIENT_DATA, id="a byte order mark"),
        pytest.param(json.dumps(["webauthn.get", CHALLENGE]).encode(), id="a list"),
        pytest.param(json.dumps(CHALLENGE).encode(), id="a string"),
        pytest.param(members(type=None), id="no type"),
        pytest.param(members(type="webauthn.create"), id="a registration"),
        pytest.param(members(type=["webauthn.get"]), id="a list for the type"),
        pytest.param(members(challenge=None), id="no challenge"),
        pytest.param(members(challenge=CHALLENGE + "="), id="a padded challenge"),
        pytest.param(members(challenge="0x" + HASH.hex()), id="a challenge in hexadecimal"),
        pytest.param(members(challenge=encode_base64url(keccak256(HASH))), id="another challenge"),
        pytest.param(
            CLIENT_DATA.replace(b'{"type"', b'{"type":"webauthn.create","type"'),
            id="two types, the last right",
        ),
        pytest.param(CLIENT_DATA[:-1] + b',"challenge":"x"}', id="two challenges, the first right"),
        pytest.param(CLIENT_DATA.replace(b"webauthn.get", rb"webauthn\u002eget"), id="an escape in the type"),
        pytest.param(
            CLIENT_DATA.replace(CHALLENGE.encode(), rf"\u{ord(CHALLENGE[0]):04x}{CHALLENGE[1:]}".encode()),
            id="an escape in the challenge",
        ),
    ],
)
def test_other_client_data_is_refused(client: bytes) -> None:
    """What is not one JSON object with one type and one challenge, the right ones, is no signature."""
    with pytest.raises(SignatureError, match="client data"):
        recover_webauthn(HASH, PASSKEY.sign_login(AUTHENTICATOR_DATA, client))


def test_the_size_is_limited() -> None:
    """2048 bytes after the type are read, as nodes do, and one more is refused; so is too little."""

    def padded(size: int) -> bytes:
        pad = size - 128 - 37 - len(CLIENT_DATA) - len(b',"pad":""')
        client = CLIENT_DATA[:-1] + b',"pad":"' + b"x" * pad + b'"}'
        return PASSKEY.sign_login(AUTHENTICATOR_DATA, client)

    assert len(padded(MAX_WEBAUTHN_LENGTH)) == 1 + 2048
    assert recover_webauthn(HASH, padded(MAX_WEBAUTHN_LENGTH)) == PASSKEY.address
    with pytest.raises(SignatureError, match="more than 2048"):
        recover_webauthn(HASH, padded(MAX_WEBAUTHN_LENGTH + 1))
    with pytest.raises(SignatureError, match="too short"):
        recover_webauthn(HASH, b"\x02" + bytes(37 + 31 + 128))


def test_errors_hold_no_client_data() -> None:
    """What a browser said about its user's login is not repeated."""
    for client in (members(type="secret-type"), b"secret" * 20, members(challenge="secret-challenge")):
        with pytest.raises(SignatureError) as caught:
            recover_webauthn(HASH, PASSKEY.sign_login(AUTHENTICATOR_DATA, client))
        assert "secret" not in str(caught.value)
