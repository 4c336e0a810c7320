"""The credential: proof of payment, in `Authorization: Payment …` (draft-httpauth-payment §Credentials)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct

from coinslot.errors import MalformedCredential, MalformedJSON, ProtocolError
from coinslot.protocol.auth_params import split_list
from coinslot.protocol.challenge import Challenge
from coinslot.protocol.encoding import JSONObject, decode_object, encode_object

MAX_CREDENTIAL = 65536
"""Characters of base64url in a credential that are read."""

MAX_SOURCE = 4096
"""Characters in a `source` that are read."""

_payment = re.compile(r"payment[ \t]++(.++)", re.IGNORECASE | re.ASCII | re.DOTALL)


class Credential(Struct, frozen=True, kw_only=True):
    """A challenge, echoed, and what pays it.

    `payload` is the method's proof; `source` names the payer, a DID by recommendation, and is only a claim.
    `repr` hides the payload: whoever holds a credential may be able to spend it.
    """

    challenge: Challenge
    payload: JSONObject
    source: str | None = None

    @classmethod
    def parse(cls, header: str) -> Credential:
        """The credential in one `Payment …` value; unknown members are ignored.

        Raises `MalformedCredential`, whose message tells nothing of the contents.
        """
        match = _payment.fullmatch(header.strip(" \t"))
        if match is None:
            raise MalformedCredential("not a Payment credential")
        try:
            members = decode_object(match[1], limit=MAX_CREDENTIAL)
            return cls(
                challenge=Challenge.from_object(_object(members, "challenge")),
                payload=_object(members, "payload"),
                source=_source(members),
            )
        except ProtocolError as error:
            raise MalformedCredential(str(error)) from error

    def to_header(self) -> str:
        """The `Authorization` value: `Payment <base64url>`. Raises `MalformedCredential`."""
        members: JSONObject = {"challenge": self.challenge.to_object(), "payload": self.payload}
        if self.source is not None:
            members["source"] = self.source
        try:
            return f"Payment {encode_object(members)}"
        except ProtocolError as error:
            raise MalformedCredential(str(error)) from error

    def __repr__(self) -> str:
        return f"Credential(challenge={self.challenge!r}, payload=<redacted>, source={self.source!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        # msgspec's own would show the payload wherever rich prints a traceback.
        return [("challenge", self.challenge), ("payload", "<redacted>"), ("source", self.source)]


def find_credentials(values: Iterable[str]) -> list[str]:
    """The Payment credentials among `Authorization` values, each ready for `Credential.parse`.

    Other schemes are skipped, in the same value too (`Bearer x, Payment y`), and so is a `Payment` with
    nothing after it. More than one is the client's mistake (draft-httpauth-payment §Multiple Payment
    Options).
    """
    return [element for value in values for element in split_list(value) if _payment.fullmatch(element)]


def _object(members: JSONObject, name: str) -> JSONObject:
    value = members.get(name)
    if not isinstance(value, dict):
        raise MalformedJSON(f"{name} is missing or not an object")
    return value


def _source(members: JSONObject) -> str | None:
    source = members.get("source")
    if source is not None and not (isinstance(source, str) and len(source) <= MAX_SOURCE):
        raise MalformedJSON("source is not a string, or too long")
    return source
