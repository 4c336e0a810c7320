"""Memos: the payments' as the other implementations write them, bound to one challenge; the refunds'."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from coinslot.methods.tempo.keys import keccak256
from coinslot.methods.tempo.wire.memo import (
    MEMO_LENGTH,
    attribution_memo,
    is_attribution,
    is_refund,
    memo_binds,
    names_challenge,
    refund_memo,
)

CHALLENGE = "JFbuyl1b9imunJmb9ogmLbAJo8b4WG7lDWKwKzGCg3g"
REALM = "api.example.com"
CLIENT_BYTES = range(15, 25)


@pytest.mark.parametrize(
    ("client_id", "memo"),
    [
        (None, "ef1ed712011ece072f76bd8b82350e000000000000000000005e918c2dbc85da"),
        ("", "ef1ed712011ece072f76bd8b82350e000000000000000000005e918c2dbc85da"),
        ("my-app", "ef1ed712011ece072f76bd8b82350e3a180fb9d0177aa2f3715e918c2dbc85da"),
    ],
)
def test_known_memos(client_id: str | None, memo: str) -> None:
    """mppx writes these memos for the same challenge, realm and client."""
    assert attribution_memo(CHALLENGE, REALM, client_id).hex() == memo


@given(st.text(), st.text(), st.none() | st.text())
def test_a_memo_binds_what_it_was_made_for(challenge_id: str, realm: str, client_id: str | None) -> None:
    """Whatever the client, a memo is recognised for its own challenge and realm, and has 32 bytes."""
    memo = attribution_memo(challenge_id, realm, client_id)
    assert len(memo) == MEMO_LENGTH
    assert memo_binds(memo, challenge_id, realm)


@given(st.integers(0, MEMO_LENGTH - 1), st.integers(1, 255))
def test_every_byte_but_the_clients_is_checked(at: int, change: int) -> None:
    """A memo with another byte binds nothing, unless the byte is of the client's fingerprint."""
    memo = bytearray(attribution_memo(CHALLENGE, REALM, "my-app"))
    memo[at] ^= change
    assert memo_binds(bytes(memo), CHALLENGE, REALM) is (at in CLIENT_BYTES)


def test_another_challenge_or_realm_is_not_bound() -> None:
    """A memo pays neither another challenge of the realm nor the same challenge of another realm."""
    memo = attribution_memo(CHALLENGE, REALM)
    assert not memo_binds(memo, CHALLENGE + "x", REALM)
    assert not memo_binds(memo, CHALLENGE, "shop.example.com")


@given(st.binary(max_size=64))
def test_arbitrary_bytes_bind_nothing(memo: bytes) -> None:
    """Memos of foreign layouts and lengths are answered with False."""
    assert not memo_binds(memo, CHALLENGE, REALM)


@pytest.mark.parametrize("change", [lambda memo: memo[:-1], lambda memo: memo + b"\x00"])
def test_the_length_is_checked(change: object) -> None:
    """A right memo that is cut or lengthened by a byte binds nothing."""
    assert callable(change)
    assert not memo_binds(change(attribution_memo(CHALLENGE, REALM)), CHALLENGE, REALM)


@given(st.text(), st.text(), st.text(), st.none() | st.text())
def test_it_names_its_challenge_in_any_realm(one: str, other: str, realm: str, client: str | None) -> None:
    """Whoever does not know the realm can still tell whose memo it is."""
    assert names_challenge(attribution_memo(one, realm, client), one)
    assert names_challenge(attribution_memo(one, realm, client), other) == (one == other)
    assert not names_challenge(bytes(25) + keccak256(one.encode())[:7], one)


@given(st.binary(min_size=32, max_size=32), st.text(), st.text())
def test_a_refunds_memo_pays_for_nothing(transaction: bytes, key: str, realm: str) -> None:
    """It is laid out as it is documented, and is never an attribution memo."""
    memo = refund_memo("0x" + transaction.hex(), key)
    assert memo == bytes.fromhex("460e1d3c01") + transaction[:16] + keccak256(key.encode())[:11]
    assert len(memo) == MEMO_LENGTH
    assert is_refund(memo)
    assert not is_attribution(memo)
    assert not is_refund(attribution_memo(key, realm))
    assert memo != refund_memo("0x" + transaction.hex(), key + "2")
