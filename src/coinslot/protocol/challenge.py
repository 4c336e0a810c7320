"""The challenge: what a server asks, in `WWW-Authenticate: Payment …` (draft-httpauth-payment §Challenge)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct

from coinslot.errors import MalformedChallenge, MalformedHeader, ProtocolError
from coinslot.protocol.auth_params import RawChallenge, quote, read
from coinslot.protocol.digest import is_digest
from coinslot.protocol.encoding import JSONObject, JSONValue, decode_object, encode_object
from coinslot.protocol.timestamp import parse_timestamp

MAX_REQUEST = 16384
"""Characters in a `request` or an `opaque` that are read."""

MAX_TEXT = 4096
"""Characters in any other parameter that are read."""

_REQUIRED = ("id", "realm", "method", "intent", "request")
_OPTIONAL = ("description", "digest", "expires", "header", "opaque")
_PARAMETERS = _REQUIRED + _OPTIONAL  # in the order in which they are written
# Parameters that the payment depends on. A description is for people, and the id does not cover it.
_ESSENTIAL = frozenset(_PARAMETERS) - {"description"}

_field_name = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_method = re.compile(r"[a-z][a-z0-9:_-]*+")  # the drafts have [a-z]+; other implementations write more
_issued_method = re.compile(r"[a-z]++")
_intent = re.compile(r"[A-Za-z0-9-]++")


class Challenge(Struct, frozen=True, kw_only=True):
    """A request for payment, with every parameter exactly as it is on the wire.

    `request` and `opaque` are base64url of JSON; `expires` is RFC 3339; `header` names the field for the
    credential where that is not `Authorization`. `parse`, `parse_all`, `from_object` and `create` check all
    of it; the constructor checks nothing and is for values that were checked before.
    """

    id: str
    realm: str
    method: str
    intent: str
    request: str
    description: str | None = None
    digest: str | None = None
    expires: str | None = None
    header: str | None = None
    opaque: str | None = None

    @classmethod
    def create(
        cls,
        *,
        realm: str,
        method: str,
        intent: str,
        request: Mapping[str, JSONValue],
        id: str,  # noqa: A002 (the wire's name)
        expires: str | None = None,
        digest: str | None = None,
        opaque: Mapping[str, str] | None = None,
        description: str | None = None,
        header: str | None = None,
    ) -> Challenge:
        """A challenge to be issued; `id` comes from `coinslot.protocol.binding`.

        `method` must be lower-case letters only and `realm` not empty, which other readers insist on. Raises
        `MalformedChallenge`.
        """
        if not _issued_method.fullmatch(method):
            raise MalformedChallenge("method must be lower-case letters")
        if not realm:
            raise MalformedChallenge("realm is empty")
        try:
            challenge = cls(
                id=id,
                realm=realm,
                method=method,
                intent=intent,
                request=encode_object(request),
                description=description,
                digest=digest,
                expires=expires,
                header=header,
                opaque=None if opaque is None else encode_object(opaque),
            )
            challenge.to_header()
        except ProtocolError as error:
            raise MalformedChallenge(f"a parameter cannot be written: {error}") from error
        _check(challenge)
        return challenge

    @classmethod
    def parse(cls, header: str) -> Challenge:
        """The one Payment challenge in a `WWW-Authenticate` value; other schemes beside it are skipped.

        Raises `MalformedChallenge` if there is none, or more than one, or it is malformed.
        """
        try:
            found = _payment_challenges(header)
            if len(found) != 1:
                raise MalformedChallenge(f"{len(found)} Payment challenges where there should be one")
            return _from_raw(found[0])
        except MalformedHeader as error:
            raise MalformedChallenge(str(error)) from error

    @classmethod
    def parse_all(cls, headers: Iterable[str]) -> list[Challenge]:
        """Every good Payment challenge in all `WWW-Authenticate` values, in order.

        A malformed one is skipped, so that it cannot hide the others. Raises `MalformedChallenge` only if
        there are Payment challenges and none is good.
        """
        good: list[Challenge] = []
        failure: ProtocolError | None = None
        for header in headers:
            try:
                found = _payment_challenges(header)
            except MalformedHeader as error:
                failure = error
                continue
            for raw in found:
                try:
                    good.append(_from_raw(raw))
                except ProtocolError as error:
                    failure = error
        if failure is not None and not good:
            raise MalformedChallenge(f"no Payment challenge can be read: {failure}") from failure
        return good

    @classmethod
    def from_object(cls, members: Mapping[str, JSONValue]) -> Challenge:
        """The challenge that a credential echoes, from its JSON object; unknown members are ignored.

        Raises `MalformedChallenge`.
        """
        values: dict[str, str] = {}
        for name in _REQUIRED:
            value = members.get(name)
            if not isinstance(value, str):
                raise MalformedChallenge(f"{name} is missing or not a string")
            values[name] = value
        for name in _OPTIONAL:
            if name in members:
                value = members[name]
                if not isinstance(value, str):
                    raise MalformedChallenge(f"{name} is not a string")
                values[name] = value
        challenge = cls(**values)
        _check(challenge)
        return challenge

    def to_object(self) -> JSONObject:
        """The challenge as a credential echoes it."""
        return {**self._parameters()}

    def to_header(self) -> str:
        """The `WWW-Authenticate` value: `Payment id="…", realm="…", …`.

        Raises `MalformedHeader` if a parameter holds what no field value can.
        """
        return "Payment " + ", ".join(f"{name}={quote(text)}" for name, text in self._parameters().items())

    def decode_request(self) -> JSONObject:
        """The object in `request`. Raises `MalformedChallenge`."""
        return _decode("request", self.request)

    def decode_opaque(self) -> dict[str, str]:
        """The server's own strings in `opaque`; empty if there are none. Raises `MalformedChallenge`."""
        if self.opaque is None:
            return {}
        strings: dict[str, str] = {}
        for name, value in _decode("opaque", self.opaque).items():
            if not isinstance(value, str):
                raise MalformedChallenge("opaque is not a map of strings to strings")
            strings[name] = value
        return strings

    def expires_at(self) -> float | None:
        """`expires` in Unix seconds; None if the challenge does not say. Raises `MalformedChallenge`."""
        if self.expires is None:
            return None
        seconds = parse_timestamp(self.expires)
        if seconds is None:
            raise MalformedChallenge("expires is not an RFC 3339 date-time")
        return seconds

    def _parameters(self) -> dict[str, str]:
        """The parameters that are there, in the order in which they are written."""
        return {name: text for name in _PARAMETERS if (text := getattr(self, name)) is not None}


def _payment_challenges(header: str) -> list[RawChallenge]:
    return [raw for raw in read(header) if raw.scheme == "payment"]


def _from_raw(raw: RawChallenge) -> Challenge:
    """A challenge out of auth-params. Raises `MalformedChallenge` or `MalformedHeader`."""
    if raw.token68 is not None:
        raise MalformedChallenge("a Payment challenge has auth-params")
    for name, text in raw.unreadable:
        # The published vectors want a stray quote in a description to end it, and an unclosed unknown
        # parameter to be ignored. That is safe only if no other parameter was lost: without its `expires` or
        # `opaque` a challenge would be paid and then not recognised by its server.
        if not name or name in _ESSENTIAL or "=" in text:
            raise MalformedChallenge("not RFC 9110 auth-params")
    return Challenge.from_object(raw.params())


def _decode(name: str, text: str) -> JSONObject:
    try:
        return decode_object(text, limit=MAX_REQUEST)
    except ProtocolError as error:
        raise MalformedChallenge(f"{name}: {error}") from error


def _check(challenge: Challenge) -> None:
    """Raise `MalformedChallenge` unless every parameter is what draft-httpauth-payment §Challenge says."""
    texts = (challenge.id, challenge.realm, challenge.method, challenge.intent, challenge.description or "")
    if max(map(len, texts)) > MAX_TEXT:
        raise MalformedChallenge(f"a parameter of more than {MAX_TEXT} characters")
    if not challenge.id:
        raise MalformedChallenge("id is empty")
    if not _method.fullmatch(challenge.method):
        raise MalformedChallenge("method is not a payment method's name")
    if not _intent.fullmatch(challenge.intent):
        raise MalformedChallenge("intent is not letters, digits and hyphens")
    if challenge.digest is not None and not is_digest(challenge.digest):
        raise MalformedChallenge("digest is not a sha-256 digest")
    if challenge.header is not None and not _field_name.fullmatch(challenge.header):
        raise MalformedChallenge("header is not a field name")
    challenge.expires_at()
    challenge.decode_request()
    challenge.decode_opaque()
