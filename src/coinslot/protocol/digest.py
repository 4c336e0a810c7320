"""Digests of request bodies, which bind a challenge to the body it was issued for.

issued   sha-256=:<base64>:     RFC 9530 §2
read     also sha-256=<base64>  as other implementations write it, padded or not
"""

from __future__ import annotations

import hashlib
import re
from binascii import b2a_base64
from hmac import compare_digest

from coinslot.errors import MalformedDigest

# 32 bytes are 43 characters of base64 and one of padding.
_sha256 = re.compile(r"sha-256=(?::([A-Za-z0-9+/]{43})=:|([A-Za-z0-9+/]{43})=?)")


def content_digest(body: bytes) -> str:
    """The digest of `body` as a challenge carries it: `sha-256=:…:`."""
    return f"sha-256=:{_encoded(body)}:"


def is_digest(text: str) -> bool:
    """Whether `text` is a digest that `digest_matches` can read."""
    return _sha256.fullmatch(text) is not None


def digest_matches(digest: str, body: bytes) -> bool:
    """Whether `digest`, in either form, is that of `body`; in constant time. Raises `MalformedDigest`."""
    match = _sha256.fullmatch(digest)
    if match is None:
        raise MalformedDigest("not a sha-256 digest")
    claimed: str = match[1] or match[2]
    return compare_digest(f"{claimed}=", _encoded(body))


def _encoded(body: bytes) -> str:
    return b2a_base64(hashlib.sha256(body).digest(), newline=False).decode("ascii")
