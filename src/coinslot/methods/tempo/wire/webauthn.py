"""What a passkey signs (Web Authentication, Level 2): not a hash, but the login that carries it.

    authenticator data (37 bytes) ‖ client data (JSON that holds the hash as its challenge)

The checks are those of Tempo's nodes: neither relying party nor origin is looked at.
"""

from __future__ import annotations

import hashlib
from typing import Final

from coinslot.errors import MalformedJSON
from coinslot.methods.tempo.keys import SignatureError
from coinslot.methods.tempo.wire.p256 import verify_point
from coinslot.protocol.encoding import encode_base64url, strict_json

WEBAUTHN_TYPE: Final = 0x02
"""The first byte of a WebAuthn signature in an envelope."""

MAX_WEBAUTHN_LENGTH: Final = 2048
"""Bytes of a WebAuthn signature after its type that nodes read."""

_POINTS_LENGTH: Final = 4 * 32  # r, s, x, y
_AUTHENTICATOR_DATA_LENGTH: Final = 37
_MIN_CLIENT_DATA_LENGTH: Final = 32

# Web Authentication §6.1, the flags in byte 32 of the authenticator data.
_USER_PRESENT: Final = 0x01
_USER_VERIFIED: Final = 0x04
_ATTESTED_CREDENTIAL: Final = 0x40
_EXTENSIONS: Final = 0x80

_ASSERTION: Final = "webauthn.get"


def recover_webauthn(hash32: bytes, signature: bytes) -> str:
    """The EIP-55 address of the passkey that made `signature` (as in an envelope) over `hash32`.

    Raises `SignatureError`.
    """
    size = len(signature) - 1
    if size > MAX_WEBAUTHN_LENGTH:
        raise SignatureError(f"the WebAuthn signature has more than {MAX_WEBAUTHN_LENGTH} bytes")
    if size < _AUTHENTICATOR_DATA_LENGTH + _MIN_CLIENT_DATA_LENGTH + _POINTS_LENGTH:
        raise SignatureError("the WebAuthn signature is too short to hold client data")
    data, points = signature[1:-_POINTS_LENGTH], signature[-_POINTS_LENGTH:]
    authenticator, client = data[:_AUTHENTICATOR_DATA_LENGTH], data[_AUTHENTICATOR_DATA_LENGTH:]
    _check_flags(authenticator[32])
    _check_client_data(client, encode_base64url(hash32))
    digest = hashlib.sha256(authenticator + hashlib.sha256(client).digest()).digest()
    return verify_point(digest, points[:64], points[64:])


def _check_flags(flags: int) -> None:
    if not flags & (_USER_PRESENT | _USER_VERIFIED):
        raise SignatureError("the WebAuthn authenticator saw no user")
    if flags & _ATTESTED_CREDENTIAL:
        raise SignatureError("the WebAuthn authenticator data holds a credential, as in a registration")
    if flags & _EXTENSIONS:
        raise SignatureError("the WebAuthn authenticator data has extensions")


def _check_client_data(client_data: bytes, challenge: str) -> None:
    """That the client data is an assertion of `challenge`, so spelled that a node reads it too.

    A node takes the two members as they stand, without escapes. Other members it passes over.
    """
    try:
        members = strict_json(client_data)
    except MalformedJSON as error:
        raise SignatureError("the WebAuthn client data is not JSON") from error
    if not isinstance(members, dict):
        raise SignatureError("the WebAuthn client data is not a JSON object")
    for name, expected in (("type", _ASSERTION), ("challenge", challenge)):
        if members.get(name) != expected or f'"{expected}"'.encode() not in client_data:
            raise SignatureError(f"the WebAuthn client data has another {name} than is signed for here")
