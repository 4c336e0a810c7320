"""The attribution memo: 32 bytes in a transfer that bind it to one challenge of one realm.

    bytes    0‥3   0xef1ed712, the first of keccak256("mpp")
    byte     4     version, 1
    bytes    5‥14  keccak256(realm)
    bytes   15‥24  keccak256(client id), or zeros
    bytes   25‥31  keccak256(challenge id)

draft-tempo-charge leaves the memo to the server. This layout is the one that the other implementations of the
protocol write and require.
"""

from __future__ import annotations

from typing import Final

from coinslot.methods.tempo.keys import keccak256

MEMO_LENGTH: Final = 32

_TAG: Final = keccak256(b"mpp")[:4] + b"\x01"
_ANONYMOUS: Final = bytes(10)


def attribution_memo(challenge_id: str, realm: str, client_id: str | None = None) -> bytes:
    """The memo for a payment of this challenge. `client_id` names the paying program; without it, zeros."""
    client = keccak256(client_id.encode())[:10] if client_id else _ANONYMOUS
    return _TAG + keccak256(realm.encode())[:10] + client + keccak256(challenge_id.encode())[:7]


def is_attribution(memo: bytes) -> bool:
    """Whether `memo` was made for some challenge of some realm."""
    return memo.startswith(_TAG)


def memo_binds(memo: bytes, challenge_id: str, realm: str) -> bool:
    """Whether `memo` was made for this challenge of this realm, by whatever client."""
    expected = attribution_memo(challenge_id, realm)
    return memo[:15] == expected[:15] and memo[25:] == expected[25:]
