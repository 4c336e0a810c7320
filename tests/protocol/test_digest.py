from __future__ import annotations

import hashlib
from base64 import b64encode

import pytest
from hypothesis import given, strategies as st

from coinslot.errors import MalformedDigest
from coinslot.protocol import content_digest, digest_matches
from coinslot.protocol.digest import is_digest
from strategies import hostile_text


def test_published() -> None:
    """RFC 9530 §B.1's body, and one that mppx was seen to write, have the digests they are said to have."""
    assert content_digest(b'{"hello": "world"}\n') == "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
    assert digest_matches("sha-256=Bxp4xJtbVfsB9npD5AEWUnIk76Cuv8Au4ECDA+F0biY=", b'{"amount":"1000"}')


@given(st.binary(), st.binary())
def test_matches(body: bytes, other: bytes) -> None:
    """A digest matches its own body in every form that is read, and no other body."""
    encoded = b64encode(hashlib.sha256(body).digest()).decode()
    assert content_digest(body) == f"sha-256=:{encoded}:"
    for digest in (f"sha-256=:{encoded}:", f"sha-256={encoded}", f"sha-256={encoded.rstrip('=')}"):
        assert is_digest(digest)
        assert digest_matches(digest, body)
        assert digest_matches(digest, other) == (body == other)


@pytest.mark.parametrize(
    "digest",
    [
        "",
        "sha-256=",
        "sha-256=::",
        "sha-256=abc123def456",
        "sha-512=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
        "SHA-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
        "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=",
        "sha-256=RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
        "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg:",
        "sha-256=:RK_0qy18MlBSVnWgjwz6lZEWjP_lF5HF9bvEF8FabDg=:",
        "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:\n",
        "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:, sha-512=:x:",
    ],
)
def test_malformed(digest: str) -> None:
    """Other algorithms, lengths, alphabets and lists are not digests that can be compared."""
    assert not is_digest(digest)
    with pytest.raises(MalformedDigest):
        digest_matches(digest, b"")


@given(hostile_text)
def test_total(text: str) -> None:
    """Any text is malformed or can be compared."""
    try:
        digest_matches(text, b"body")
    except MalformedDigest:
        assert not is_digest(text)
