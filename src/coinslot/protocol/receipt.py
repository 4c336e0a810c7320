"""The receipt: what a server answers to a payment (draft-httpauth-payment §Payment-Receipt Header)."""

from __future__ import annotations

from msgspec import Struct, field

from coinslot.errors import MalformedReceipt, ProtocolError
from coinslot.protocol.encoding import JSONObject, JSONValue, decode_object, encode_object
from coinslot.protocol.timestamp import parse_timestamp

MAX_RECEIPT = 16384
"""Characters of base64url in a receipt that are read."""

_OWN_MEMBERS = frozenset({"status", "method", "timestamp", "reference", "externalId"})


class Receipt(Struct, frozen=True, kw_only=True):
    """That a payment was settled.

    `reference` is the method's own (a transaction hash); `timestamp` is RFC 3339; `status` is always
    `success`. `external_id` is the seller's reference. `extra` has the members that a method adds, by their
    names on the wire.
    """

    method: str
    reference: str
    timestamp: str
    status: str = "success"
    external_id: str | None = None
    extra: dict[str, JSONValue] = field(default_factory=dict)

    @classmethod
    def parse(cls, header: str) -> Receipt:
        """The receipt in a `Payment-Receipt` value; members it does not know are kept in `extra`.

        Raises `MalformedReceipt`.
        """
        try:
            members = decode_object(header.strip(" \t"), limit=MAX_RECEIPT)
        except ProtocolError as error:
            raise MalformedReceipt(str(error)) from error
        receipt = cls(
            method=_string(members, "method"),
            reference=_string(members, "reference"),
            timestamp=_string(members, "timestamp"),
            status=_string(members, "status"),
            external_id=_string(members, "externalId") if "externalId" in members else None,
            extra={name: value for name, value in members.items() if name not in _OWN_MEMBERS},
        )
        receipt._check()
        return receipt

    def to_header(self) -> str:
        """The `Payment-Receipt` value. Raises `MalformedReceipt`."""
        self._check()
        members: JSONObject = {
            "method": self.method,
            "reference": self.reference,
            "status": self.status,
            "timestamp": self.timestamp,
        }
        if self.external_id is not None:
            members["externalId"] = self.external_id
        try:
            return encode_object({**self.extra, **members})
        except ProtocolError as error:
            raise MalformedReceipt(str(error)) from error

    def _check(self) -> None:
        if self.status != "success":
            raise MalformedReceipt("status is not success; there are no receipts for anything else")
        if parse_timestamp(self.timestamp) is None:
            raise MalformedReceipt("timestamp is not an RFC 3339 date-time")
        if not _OWN_MEMBERS.isdisjoint(self.extra):
            raise MalformedReceipt("extra repeats a member that every receipt has")


def _string(members: JSONObject, name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str):
        raise MalformedReceipt(f"{name} is missing or not a string")
    return value
