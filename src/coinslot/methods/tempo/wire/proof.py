"""What a payer signs to prove an account where nothing is to be paid (draft-tempo-charge §Proof Payload).

EIP-712 typed data. The specification's version 1 signs the challenge's id alone; version 2 adds the realm, so
that another shop cannot have it signed for its own ends, and version 3 the account, so that an access key of
two accounts signs for one of them.
"""

from __future__ import annotations

from typing import Final

from coinslot.methods.tempo.keys import keccak256, parse_address

PROOF_VERSIONS: Final = (3, 2, 1)
"""The versions of the typed data, the one to sign first."""

_DOMAIN: Final = keccak256(b"EIP712Domain(string name,string version,uint256 chainId)")
_NAME: Final = keccak256(b"MPP")
_TYPES: Final = {
    1: keccak256(b"Proof(string challengeId)"),
    2: keccak256(b"Proof(string challengeId,string realm)"),
    3: keccak256(b"Proof(address account,string challengeId,string realm)"),
}


def proof_hash(version: int, *, chain_id: int, challenge_id: str, realm: str, account: str) -> bytes:
    """The 32-byte hash that proves `account` for a challenge, in one of `PROOF_VERSIONS`.

    `realm` and `account` are in it only from the version on that has them. Raises `ValueError` for a version
    that there is not, or `AddressError`.
    """
    if version not in _TYPES:
        raise ValueError(f"proofs have no version {version}")
    domain = _DOMAIN + _NAME + keccak256(str(version).encode()) + chain_id.to_bytes(32)
    message = _TYPES[version]
    if version >= 3:
        message += parse_address(account).rjust(32, b"\x00")
    message += keccak256(challenge_id.encode())
    if version >= 2:
        message += keccak256(realm.encode())
    return keccak256(b"\x19\x01" + keccak256(domain) + keccak256(message))
