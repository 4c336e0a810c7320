"""Metadata: up to 50 short pairs on an object, merged when it is updated."""

from __future__ import annotations

from typing import Final

from coinslot.sandbox.stripe.errors import invalid

MAX_KEYS: Final = 50
MAX_NAME: Final = 40
MAX_VALUE: Final = 500


def merged(current: dict[str, str], given: dict[str, str] | None) -> dict[str, str]:
    """`current` with `given` laid over it: an empty value unsets a name, `""` for all of it unsets all.

    Raises `ApiError` beyond Stripe's limits.
    """
    if given is None:
        return current
    if given == {"": ""}:
        return {}
    for name, value in given.items():
        _check(name, value)
    result = {name: value for name, value in {**current, **given}.items() if value != ""}
    if len(result) > MAX_KEYS:
        raise invalid(
            f"You can only specify up to {MAX_KEYS} metadata keys (you specified {len(result)}).",
            param="metadata",
        )
    return result


def _check(name: str, value: str) -> None:
    if len(name) > MAX_NAME:
        raise invalid(
            f"Metadata keys must be at most {MAX_NAME} characters; you passed one with {len(name)}.",
            param="metadata",
        )
    if len(value) > MAX_VALUE:
        raise invalid(
            f"Metadata values must be at most {MAX_VALUE} characters; that of '{name}' has {len(value)}.",
            param=f"metadata[{name}]",
        )
