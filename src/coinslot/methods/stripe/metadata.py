"""Metadata: what a seller puts on their PaymentIntents, and what marks them as machine payments."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Final

from coinslot.errors import ConfigurationError

CHALLENGE_ID: Final = "mpp_challenge_id"
"""By this a PaymentIntent is found again."""

REFUND_KEY: Final = "coinslot_refund"
"""By this a refund is."""

DEPOSIT_KEY: Final = "coinslot_deposit"
"""And by this a PaymentIntent that waits for a deposit, before anybody pays it."""

# docs.stripe.com/api/metadata
_MAX_KEYS: Final = 50
_MAX_NAME: Final = 40
_MAX_VALUE: Final = 500

_SDK: Final = f"coinslot/{version('coinslot')}"

_RESERVED: Final = ("machine_payment", "mpp_sdk", "mpp_intent", CHALLENGE_ID, DEPOSIT_KEY, "externalId")
_MOST_OURS: Final = 5  # on one PaymentIntent


def check_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """A seller's metadata, if Stripe takes it and it does not get in the way of ours.

    Raises `ConfigurationError`.
    """
    if len(metadata) > _MAX_KEYS - _MOST_OURS:
        raise ConfigurationError(f"metadata: at most {_MAX_KEYS - _MOST_OURS} pairs")
    for name, value in metadata.items():
        if name in _RESERVED:
            raise ConfigurationError(f"metadata: {name} is reserved")
        if not 0 < len(name) <= _MAX_NAME or "[" in name or "]" in name:
            raise ConfigurationError(
                f"metadata: a name has 1 to {_MAX_NAME} characters, and no square brackets"
            )
        if not 0 < len(value) <= _MAX_VALUE:
            raise ConfigurationError(f"metadata: {name} has to have 1 to {_MAX_VALUE} characters")
    return dict(metadata)


def payment_metadata(own: Mapping[str, str], *, challenge_id: str, intent: str) -> dict[str, str]:
    """A seller's metadata with what mppx and pympp add to theirs, under the same names."""
    return {
        **own,
        "machine_payment": "true",
        "mpp_sdk": _SDK,
        "mpp_intent": intent[:_MAX_VALUE],
        CHALLENGE_ID: challenge_id[:_MAX_VALUE],
    }


def deposit_metadata(own: Mapping[str, str], *, key: str) -> dict[str, str]:
    """A seller's metadata on a PaymentIntent that waits for whoever will pay it."""
    return {**own, "machine_payment": "true", "mpp_sdk": _SDK, DEPOSIT_KEY: key}


def refund_metadata(*, challenge_id: str, key: str) -> dict[str, str]:
    """What ties a refund to its payment, and to our own row."""
    return {"machine_payment": "true", CHALLENGE_ID: challenge_id[:_MAX_VALUE], REFUND_KEY: key}
