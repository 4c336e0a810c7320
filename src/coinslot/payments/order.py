"""An order: a credential that may be taken, and what makes two of them the same."""

from __future__ import annotations

import hashlib

from msgspec import Struct

from coinslot.errors import InvalidPayload, MalformedJSON
from coinslot.payments.method import ServerMethod
from coinslot.protocol import Credential, JSONObject, canonical_json


class Order(Struct, frozen=True, kw_only=True):
    """A credential that may be taken: ours, for this request, of this method.

    `credential.payload` is canonical and `fingerprint` is made from it. `is_known` says that the ledger has a
    payment for its challenge. `key` is SHA-256 of the request's `Idempotency-Key`, if it has one.
    """

    method: ServerMethod
    credential: Credential
    fingerprint: bytes
    request: JSONObject
    route: str
    expires_at: float
    is_known: bool = False
    key: bytes | None = None

    @property
    def challenge_id(self) -> str:
        """The id that everything is filed under."""
        return self.credential.challenge.id


def fingerprint(credential: Credential) -> bytes:
    """What makes two credentials the same: SHA-256(challenge id ‖ JCS of the canonical payload).

    Raises `InvalidPayload` for a payload that has no canonical JSON form.
    """
    try:
        payload = canonical_json(credential.payload)
    except MalformedJSON as error:
        raise InvalidPayload(f"The payload {error}.") from error
    return hashlib.sha256(credential.challenge.id.encode() + payload).digest()
