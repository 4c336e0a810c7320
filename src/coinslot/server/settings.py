"""What a Paywall takes from its arguments and its environment, checked before the first request."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Final

from coinslot.errors import ConfigurationError

logger = logging.getLogger("coinslot")

# A shorter key could be searched for offline, given one challenge.
SECRET_FLOOR: Final = 32

_PLATFORM_REALMS: Final = (
    "FLY_APP_NAME",
    "HEROKU_APP_NAME",
    "RAILWAY_PUBLIC_DOMAIN",
    "RENDER_EXTERNAL_HOSTNAME",
    "VERCEL_URL",
    "WEBSITE_HOSTNAME",
)

Secret = str | bytes


def resolve_secrets(
    secret_key: Secret | Sequence[Secret] | None, environ: Mapping[str, str] = os.environ
) -> list[bytes]:
    """The binding secrets, oldest to newest: the argument, else `MPP_SECRET_KEY`."""
    given = secret_key if secret_key is not None else environ.get("MPP_SECRET_KEY")
    if not given:
        raise ConfigurationError(
            "Paywall needs a secret_key (or MPP_SECRET_KEY): at least 32 random bytes, "
            "for example from `openssl rand -base64 32`."
        )
    secrets = [given] if isinstance(given, str | bytes) else list(given)
    encoded = [secret.encode() if isinstance(secret, str) else secret for secret in secrets]
    for index, secret in enumerate(encoded):
        if len(secret) < SECRET_FLOOR:
            which = "secret_key" if len(encoded) == 1 else f"secret_key[{index}]"
            raise ConfigurationError(
                f"{which} has {len(secret)} bytes; it needs at least {SECRET_FLOOR}, "
                "for example from `openssl rand -base64 32`."
            )
    return encoded


def resolve_realm(realm: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """The protection space: the argument, else `MPP_REALM`, else the platform's name for this app.

    Never the Host header, which the client chooses.
    """
    found = realm or environ.get("MPP_REALM")
    for variable in _PLATFORM_REALMS:
        found = found or environ.get(variable)
    if not found:
        logger.warning("Paywall has no realm; using 'localhost'. Set realm= or MPP_REALM to your host name.")
        return "localhost"
    if "|" in found or not found.isascii() or not found.isprintable():
        raise ConfigurationError(f"realm {found!r} must be printable ASCII without '|', such as a host name.")
    return found
