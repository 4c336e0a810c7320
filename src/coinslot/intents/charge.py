"""The `charge` intent: one payment, once (draft-payment-intent-charge)."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from coinslot.errors import MalformedJSON
from coinslot.intents.amounts import parse_base_units
from coinslot.protocol import JSONObject, JSONValue

INTENT = "charge"
"""The intent's name on the wire."""


class ChargeRequest(Struct, frozen=True, kw_only=True):
    """The `request` of a charge, in the fields that all methods share (§Shared Fields).

    `amount` is an integer string in base units; `currency` and `recipient` are in the method's own format;
    `external_id` is the seller's reference; `method_details` is the method's own.
    """

    amount: str
    currency: str
    recipient: str | None = None
    description: str | None = None
    external_id: str | None = None
    method_details: JSONObject | None = None

    @classmethod
    def from_object(cls, request: Mapping[str, JSONValue]) -> ChargeRequest:
        """The charge in a challenge's `request`; members it does not know are ignored.

        Raises `MalformedJSON` for a member that is missing or of another type, `AmountError` for the amount.
        """
        amount = _string(request, "amount")
        currency = _string(request, "currency")
        if amount is None or currency is None:
            raise MalformedJSON("a charge has an amount and a currency")
        parse_base_units(amount)
        details = request.get("methodDetails")
        if details is not None and not isinstance(details, dict):
            raise MalformedJSON("methodDetails is not an object")
        return cls(
            amount=amount,
            currency=currency,
            recipient=_string(request, "recipient"),
            description=_string(request, "description"),
            external_id=_string(request, "externalId"),
            method_details=details,
        )

    def to_object(self) -> JSONObject:
        """The `request` of a challenge, without the members that are None."""
        members: JSONObject = {
            "amount": self.amount,
            "currency": self.currency,
            "recipient": self.recipient,
            "description": self.description,
            "externalId": self.external_id,
            "methodDetails": self.method_details,
        }
        return {name: value for name, value in members.items() if value is not None}

    @property
    def base_units(self) -> int:
        """`amount` as a number. Raises `AmountError`."""
        return parse_base_units(self.amount)


def _string(request: Mapping[str, JSONValue], name: str) -> str | None:
    value = request.get(name)
    if value is not None and not isinstance(value, str):
        raise MalformedJSON(f"{name} is not a string")
    return value
