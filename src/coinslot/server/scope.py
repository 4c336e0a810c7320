"""A challenge's scope: the one request that it is good for, beside its terms."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from coinslot.protocol import encode_base64url
from coinslot.server.exchange import Request

if TYPE_CHECKING:
    from coinslot.server.gate import Gate

# Longer text goes into the challenge as its hash, so that a 402's headers stay small.
_TEXT_LIMIT: Final = 128

SCOPE_NAMES: Final[Mapping[str, str]] = {
    "host": "host",
    "verb": "HTTP method",
    "path": "path",
    "query": "query",
    "body": "kind of body",
}
"""What the members of a scope are called in a refusal."""


def scope_of(gate: Gate, request: Request) -> dict[str, str]:
    """What a challenge for this request is good for. Goes into `opaque`, which the challenge's id binds."""
    return {
        "host": _short((request.header("host") or "").lower()),
        # HEAD is never charged: it shows the challenge for GET, so that whoever pays that loses nothing.
        "verb": "GET" if request.method == "HEAD" else request.method,
        "path": _short(request.path),
        "query": _hash(request.query) if gate.bind_query and request.query else "",
        "body": gate.body_binding(request).value,
    }


def _short(text: str) -> str:
    """`text`, or its hash if it is long or no plain text."""
    if len(text) <= _TEXT_LIMIT and text.isascii() and text.isprintable():
        return text
    return "sha-256:" + _hash(text.encode("utf-8", "surrogateescape"))


def _hash(data: bytes) -> str:
    return encode_base64url(hashlib.sha256(data).digest()[:16])
