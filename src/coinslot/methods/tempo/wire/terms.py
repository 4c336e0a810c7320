"""What a Tempo charge asks for, read from a challenge's `request` (draft-tempo-charge §Request Schema)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from coinslot.errors import AmountError, MalformedChallenge, MalformedJSON
from coinslot.intents import ChargeRequest
from coinslot.intents.amounts import parse_base_units
from coinslot.methods.tempo.keys import AddressError, checksum_address
from coinslot.methods.tempo.networks import DEFAULT_CHAIN_ID
from coinslot.methods.tempo.wire.tip20 import Transfer
from coinslot.protocol import JSONObject, JSONValue

PULL: Final = "pull"
"""The mode in which the payer signs a transaction and the server broadcasts it."""

PUSH: Final = "push"
"""The mode in which the payer broadcasts the transaction and tells the server its hash."""

MODES: Final = (PULL, PUSH)

MAX_SPLITS: Final = 10
"""Recipients beside the primary one (§Constraints)."""

_MEMO: Final = re.compile(r"0x[0-9a-fA-F]{64}")


class Terms(Struct, frozen=True, kw_only=True):
    """The terms of one charge. `amount` is in base units; addresses are EIP-55 checksummed.

    `amount` includes the splits, which are transfers to others; the primary recipient gets what they leave.
    An amount of zero asks for a proof instead of a transfer, and then modes, splits and memo mean nothing.
    """

    amount: int
    currency: str
    recipient: str
    chain_id: int
    modes: tuple[str, ...] = MODES
    fee_payer: bool = False
    memo: bytes | None = None
    splits: tuple[Transfer, ...] = ()

    def transfers(self, memo: bytes | None) -> tuple[Transfer, ...]:
        """The transfers that pay it: the primary one with this memo, then the splits in their order."""
        left = self.amount - sum(split.amount for split in self.splits)
        primary = Transfer(token=self.currency, recipient=self.recipient, amount=left, memo=memo)
        return primary, *self.splits

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
            details = charge.method_details or {}
            splits = _splits(details, currency)
        except (MalformedJSON, AmountError, AddressError) as error:
            raise MalformedChallenge(f"not a Tempo charge: {error}") from error
        if splits and sum(split.amount for split in splits) >= amount:
            raise MalformedChallenge("not a Tempo charge: its splits leave nothing to the recipient")
        return cls(
            amount=amount,
            currency=currency,
            recipient=recipient,
            chain_id=_chain_id(details),
            modes=_modes(details),
            fee_payer=_fee_payer(details),
            memo=_memo(details),
            splits=splits,
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
        return MODES
    if not isinstance(modes, list):
        raise MalformedChallenge("not a Tempo charge: supportedModes is not a list")
    known = tuple(mode for mode in MODES if mode in modes)
    if not known:
        raise MalformedChallenge("not a Tempo charge: supportedModes names no mode that is known")
    return known


def _fee_payer(details: JSONObject) -> bool:
    fee_payer = details.get("feePayer", False)
    if not isinstance(fee_payer, bool):
        raise MalformedChallenge("not a Tempo charge: feePayer is not a boolean")
    return fee_payer


def _memo(members: JSONObject) -> bytes | None:
    memo = members.get("memo")
    if memo is None:
        return None
    if not isinstance(memo, str) or not _MEMO.fullmatch(memo):
        raise MalformedChallenge("not a Tempo charge: a memo is not 32 bytes in hexadecimal")
    return bytes.fromhex(memo[2:])


def _splits(details: JSONObject, currency: str) -> tuple[Transfer, ...]:
    """§Split Payments."""
    splits = details.get("splits")
    if splits is None:
        return ()
    if not isinstance(splits, list) or not 1 <= len(splits) <= MAX_SPLITS:
        raise MalformedChallenge(f"not a Tempo charge: splits is not a list of 1 to {MAX_SPLITS}")
    return tuple(_split(split, currency) for split in splits)


def _split(split: JSONValue, currency: str) -> Transfer:
    """Raises `MalformedChallenge`, `AmountError` or `AddressError`."""
    if not isinstance(split, dict):
        raise MalformedChallenge("not a Tempo charge: a split is not an object")
    amount, recipient = split.get("amount"), split.get("recipient")
    if not isinstance(amount, str) or not isinstance(recipient, str):
        raise MalformedChallenge("not a Tempo charge: a split has an amount and a recipient, both strings")
    units = parse_base_units(amount)
    if units == 0:
        raise MalformedChallenge("not a Tempo charge: a split is of nothing")
    return Transfer(token=currency, recipient=checksum_address(recipient), amount=units, memo=_memo(split))
