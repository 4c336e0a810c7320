"""What ties a challenge's id to its parameters (draft-httpauth-payment §Challenge Binding).

    id = base64url( HMAC-SHA256( secret, realm|method|intent|request|expires|digest|opaque ) )

Absent slots are empty. A challenge that names its own `header` has that as an eighth slot before `opaque`.
Nothing is stored: a server knows its own challenge by computing the id again over the strings that came
back.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from coinslot.errors import ConfigurationError, MalformedChallenge, ProtocolError
from coinslot.protocol.challenge import Challenge
from coinslot.protocol.encoding import encode_base64url, encode_object


def challenge_id(
    secret: bytes,
    *,
    realm: str,
    method: str,
    intent: str,
    request: str,
    expires: str | None = None,
    digest: str | None = None,
    opaque: str | None = None,
    header: str | None = None,
) -> str:
    """The id of a challenge with these parameters; `request` and `opaque` are base64url as on the wire.

    `header` is left out if it is `Authorization`, which is where a credential goes anyway. Raises
    `MalformedChallenge` if a slot contains `|`, since its slots could then be cut in another way.
    """
    message = _message(realm, method, intent, request, expires, digest, opaque, header)
    return encode_base64url(hmac.digest(secret, message, "sha256"))


class Binder:
    """Issues challenge ids and recognises its own.

    `secrets` are oldest to newest: it issues with the last and accepts any, so a new secret can be put at
    the end while challenges under the old one are still out. Raises `ConfigurationError` if there is none
    or an empty one.
    """

    def __init__(self, secrets: Sequence[bytes]) -> None:
        if not secrets or not all(secrets):
            raise ConfigurationError(
                "at least one secret is needed to bind challenges, and none may be empty"
            )
        # A keyed HMAC is copied for each message: that is cheaper than keying one.
        self._keyed = [hmac.new(secret, digestmod="sha256") for secret in secrets]

    def issue(
        self,
        *,
        realm: str,
        method: str,
        intent: str,
        request: str,
        expires: str | None = None,
        digest: str | None = None,
        opaque: str | None = None,
        header: str | None = None,
    ) -> str:
        """`challenge_id` with the newest secret. Raises `MalformedChallenge`."""
        message = _message(realm, method, intent, request, expires, digest, opaque, header)
        return _sign(self._keyed[-1], message)

    def accepts(self, challenge: Challenge) -> bool:
        """Whether `challenge` was issued under one of the secrets and came back as it went out.

        Its strings are checked as they came. False as well if `request` or `opaque` is not base64url of
        canonical JSON, which no issuer writes. The time does not tell which secret, or how much of the id,
        was right.
        """
        try:
            message = _message(
                challenge.realm,
                challenge.method,
                challenge.intent,
                challenge.request,
                challenge.expires,
                challenge.digest,
                challenge.opaque,
                challenge.header,
            )
        except MalformedChallenge:
            return False
        claimed = challenge.id.encode("utf-8", "replace")
        accepted = False
        for keyed in self._keyed:
            accepted |= hmac.compare_digest(_sign(keyed, message).encode("ascii"), claimed)
        return accepted and _is_canonical(challenge)


def _message(
    realm: str,
    method: str,
    intent: str,
    request: str,
    expires: str | None,
    digest: str | None,
    opaque: str | None,
    header: str | None,
) -> bytes:
    slots = [realm, method, intent, request, expires or "", digest or ""]
    if header is not None and header.lower() != "authorization":
        slots.append(header)
    slots.append(opaque or "")
    message = "|".join(slots)
    if message.count("|") != len(slots) - 1:
        raise MalformedChallenge("a parameter of a challenge contains |")
    try:
        return message.encode("utf-8")
    except UnicodeEncodeError:
        raise MalformedChallenge("a parameter of a challenge is not Unicode text") from None


def _sign(keyed: hmac.HMAC, message: bytes) -> str:
    signature = keyed.copy()
    signature.update(message)
    return encode_base64url(signature.digest())


def _is_canonical(challenge: Challenge) -> bool:
    try:
        if encode_object(challenge.decode_request()) != challenge.request:
            return False
        return challenge.opaque is None or encode_object(challenge.decode_opaque()) == challenge.opaque
    except ProtocolError:
        return False
