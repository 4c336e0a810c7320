"""The payloads of draft-tempo-charge §Credential Schema, in the one form that all their spellings share."""

from __future__ import annotations

import re
from typing import Final

from coinslot.errors import InvalidPayload
from coinslot.methods.tempo.wire import MAX_TRANSACTION_SIZE
from coinslot.protocol import JSONObject

_MAX_PROOF_SIZE: Final = 4096

_HEX: Final = re.compile(r"0x(?:[0-9a-fA-F]{2})++")
_HASH: Final = re.compile(r"0x[0-9a-fA-F]{64}")


def canonical_payload(payload: JSONObject) -> JSONObject:
    """The payload with its hex in lower case and nothing beside it. Raises `InvalidPayload`."""
    kind = payload.get("type")
    if kind == "hash":
        return {"type": kind, "hash": _matching(payload, "hash", _HASH, 2 + 64)}
    if kind in ("transaction", "proof"):
        limit = MAX_TRANSACTION_SIZE if kind == "transaction" else _MAX_PROOF_SIZE
        return {"type": kind, "signature": _matching(payload, "signature", _HEX, 2 + 2 * limit)}
    raise InvalidPayload("The payload's type has to be `transaction`, `hash` or `proof`.")


def _matching(payload: JSONObject, name: str, form: re.Pattern[str], limit: int) -> str:
    value = payload.get(name)
    if not isinstance(value, str) or len(value) > limit or not form.fullmatch(value):
        raise InvalidPayload(f"The payload's {name} is not what it should be, in hexadecimal after 0x.")
    return value.lower()
