"""What a Tempo charge asks for, read from a challenge's `request` (draft-tempo-charge §Request Schema)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from coinslot.errors import AmountError, MalformedChallenge, MalformedJSON
from coinslot.intents import ChargeRequest
from coinslot.methods.tempo.keys import AddressError, checksum_address
from coinslot.methods.tempo.networks import DEFAULT_CHAIN_ID
from coinslot.protocol import JSONObject, JSONValue

PULL: Final = "pull"
"""The mode in which the payer signs a transaction and the server broadcasts it."""

_MODES: Final = (PULL, "push")


class Terms(Struct, frozen=True, kw_only=True):
    """The terms of one charge. `amount` is in base units; addresses are EIP-55 checksummed.

    `extras` names what the request asks for beyond a transfer that the payer signs and pays the fee of.
    """

    amount: int
    currency: str
    recipient: str
    chain_id: int
    modes: tuple[str, ...] = _MODES
    extras: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether one signed transfer, broadcast by the server, is all that is asked."""
        return self.amount > 0 and PULL in self.modes and not self.extras

    @classmethod
    def from_request(cls, request: Mapping[str, JSONValue]) -> Terms:
        """The terms in a challenge's `request`; members it does not know are ignored.

        Raises `MalformedChallenge`.
        """
        try:
            charge = ChargeRequest.from_object(request)
            amount = charge.base_units
            currency = checksum_address(charge.currency)
            recipient = checksum_address(charge.recipient or "")
        except (MalformedJSON, AmountError, AddressError) as error:
            raise MalformedChallenge(f"not a Tempo charge: {error}") from error
        details = charge.method_details or {}
        return cls(
            amount=amount,
            currency=currency,
            recipient=recipient,
            chain_id=_chain_id(details),
            modes=_modes(details),
            extras=tuple(name for name in ("feePayer", "memo", "splits") if details.get(name)),
        )


def _chain_id(details: JSONObject) -> int:
    chain_id = details.get("chainId", DEFAULT_CHAIN_ID)
    if not isinstance(chain_id, int) or isinstance(chain_id, bool) or chain_id <= 0:
        raise MalformedChallenge("not a Tempo charge: chainId is not a positive integer")
    return chain_id


def _modes(details: JSONObject) -> tuple[str, ...]:
    """§Submission Modes: without `supportedModes`, both are supported."""
    modes = details.get("supportedModes")
    if modes is None:
        return _MODES
    if not isinstance(modes, list):
        raise MalformedChallenge("not a Tempo charge: supportedModes is not a list")
    return tuple(mode for mode in modes if isinstance(mode, str))
