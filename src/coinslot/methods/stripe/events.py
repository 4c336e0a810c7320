"""Events as they come: whether Stripe signed them, and what they are about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from coinslot.errors import ConfigurationError
from coinslot.methods.stripe.metadata import CHALLENGE_ID
from coinslot.methods.stripe.objects import MethodDetails
from coinslot.methods.stripe.sdk import stripe

_SECRET: Final = "whsec_"  # noqa: S105 - how they all begin


class About(Struct, frozen=True, kw_only=True):
    """The object of an event, as it was then: a PaymentIntent, a charge, a refund or a dispute."""

    id: str = ""
    object: str = ""
    status: str | None = None
    payment_intent: str | None = None
    metadata: dict[str, str] | None = None
    payment_method_types: list[str] | None = None
    payment_method_details: MethodDetails | None = None

    @property
    def challenge_id(self) -> str | None:
        """The challenge that it was to pay."""
        return (self.metadata or {}).get(CHALLENGE_ID)

    @property
    def intent_id(self) -> str | None:
        """Its PaymentIntent."""
        return self.id if self.object == "payment_intent" else self.payment_intent

    @property
    def is_crypto(self) -> bool:
        """Whether it is paid by a deposit, and by nothing else."""
        details = self.payment_method_details
        return self.payment_method_types == ["crypto"] or (details is not None and details.type == "crypto")


class _Data(Struct, frozen=True):
    object: About


class Event(Struct, frozen=True, kw_only=True):
    """An event. `account` is the connected account that it happened in."""

    id: str
    type: str
    data: _Data
    account: str | None = None

    @property
    def about(self) -> About:
        """What it is about."""
        return self.data.object


def read_event(body: bytes) -> Event | None:
    """The event in `body`; None if it is of a kind that nothing is known of."""
    try:
        return msgspec.json.decode(body, type=Event)
    except (msgspec.DecodeError, RecursionError):
        return None


class SigningSecrets:
    """The secrets of an endpoint: one, or several while it is rotated. Never shown by `repr`.

    `tolerance` is in seconds. Raises `ConfigurationError`.
    """

    def __init__(self, secrets: str | Sequence[str], *, tolerance: int) -> None:
        self._secrets = (secrets,) if isinstance(secrets, str) else tuple(secrets)
        self._tolerance = tolerance
        good = all(each.startswith(_SECRET) and len(each) > len(_SECRET) for each in self._secrets)
        if not self._secrets or not good:
            raise ConfigurationError(
                f"signing_secret is the webhook endpoint's, {_SECRET}…, or a list of such"
            )
        if tolerance < 1:
            raise ConfigurationError(f"tolerance is a number of seconds, not {tolerance!r}")

    def have_signed(self, body: bytes, signature: str | None) -> bool:
        """Whether `signature`, a `Stripe-Signature` header's value, is one of these secrets', and recent."""
        if signature is None or not signature.isascii():
            return False
        return any(self._has_signed(secret, body, signature) for secret in self._secrets)

    def _has_signed(self, secret: str, body: bytes, signature: str) -> bool:
        try:
            stripe.WebhookSignature.verify_header(body, signature, secret, self._tolerance)
        except (stripe.SignatureVerificationError, UnicodeDecodeError):
            return False
        return True
