"""Memos: 32 bytes in a transfer that say what it is for.

The attribution memo binds a payment to one challenge of one realm:

    bytes    0‥3   0xef1ed712, the first of keccak256("mpp")
    byte     4     version, 1
    bytes    5‥14  keccak256(realm)
    bytes   15‥24  keccak256(client id), or zeros
    bytes   25‥31  keccak256(challenge id)

draft-tempo-charge leaves the memo to the server. This layout is the one that the other implementations of the
protocol write and require.

The refund memo says which payment is given back, and by which refund. It is Coinslot's own, and as its first
bytes are others it never pays for anything:

    bytes    0‥3   0x460e1d3c, the first of keccak256("coinslot refund")
    byte     4     version, 1
    bytes    5‥20  the first of the payment's transaction hash
    bytes   21‥31  keccak256(the refund's key)
"""

from __future__ import annotations

from typing import Final

from coinslot.methods.tempo.keys import keccak256

MEMO_LENGTH: Final = 32

_TAG: Final = keccak256(b"mpp")[:4] + b"\x01"
_ANONYMOUS: Final = bytes(10)
_REFUND_TAG: Final = keccak256(b"coinslot refund")[:4] + b"\x01"


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


def names_challenge(memo: bytes, challenge_id: str) -> bool:
    """Whether `memo` was made for this challenge, of whatever realm."""
    return is_attribution(memo) and memo[25:] == keccak256(challenge_id.encode())[:7]


def refund_memo(transaction_hash: str, key: str) -> bytes:
    """The memo of the refund with this key. `transaction_hash` is the payment's, `0x` and 64 digits."""
    return _REFUND_TAG + bytes.fromhex(transaction_hash[2:])[:16] + keccak256(key.encode())[:11]


def is_refund(memo: bytes) -> bool:
    """Whether `memo` is a refund's."""
    return memo.startswith(_REFUND_TAG)
