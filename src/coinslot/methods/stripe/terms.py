"""What a Stripe charge asks for, read from a challenge's `request` (draft-stripe-charge §Request Schema)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct, field

from coinslot.errors import AmountError, MalformedChallenge, MalformedJSON
from coinslot.intents import ChargeRequest
from coinslot.protocol import JSONObject, JSONValue

_MAX_LENGTH: Final = 255


class Terms(Struct, frozen=True, kw_only=True):
    """The terms of one charge. `amount` is in the currency's minor unit; `currency` is in lower case.

    `network_id` is the seller's profile: whom a token has to be made out to.
    """

    amount: int
    currency: str
    network_id: str
    payment_method_types: tuple[str, ...]
    metadata: dict[str, str] = field(default_factory=dict)
    description: str | None = None
    external_id: str | None = None

    @classmethod
    def from_request(cls, request: Mapping[str, JSONValue]) -> Terms:
        """The terms in a challenge's `request`; members it does not know are ignored.

        Raises `MalformedChallenge`.
        """
        try:
            charge = ChargeRequest.from_object(request)
            amount = charge.base_units
        except (MalformedJSON, AmountError) as error:
            raise MalformedChallenge(f"not a Stripe charge: {error}") from error
        details = charge.method_details or {}
        return cls(
            amount=amount,
            currency=charge.currency.lower(),
            network_id=_network_id(details),
            payment_method_types=_types(details),
            metadata=_metadata(details),
            description=charge.description,
            external_id=charge.external_id,
        )


def _network_id(details: JSONObject) -> str:
    network_id = details.get("networkId")
    if not isinstance(network_id, str) or not 0 < len(network_id) <= _MAX_LENGTH:
        raise MalformedChallenge("not a Stripe charge: methodDetails.networkId is missing, or no string")
    return network_id


def _types(details: JSONObject) -> tuple[str, ...]:
    types = details.get("paymentMethodTypes")
    if not isinstance(types, list) or not types:
        raise MalformedChallenge("not a Stripe charge: methodDetails.paymentMethodTypes is no list of types")
    return tuple(each for each in types if isinstance(each, str))


def _metadata(details: JSONObject) -> dict[str, str]:
    metadata = details.get("metadata")
    if metadata is None:
        return {}
    if not isinstance(metadata, dict):
        raise MalformedChallenge("not a Stripe charge: methodDetails.metadata is not an object")
    return {name: value for name, value in metadata.items() if isinstance(value, str)}
