"""What is signed to prove an account, as viem hashes it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from coinslot.methods.tempo.keys import AddressError
from coinslot.methods.tempo.wire.proof import PROOF_VERSIONS, proof_hash


class Vector(msgspec.Struct, rename="camel"):
    """A hash that viem made of typed data."""

    version: int
    chain_id: int
    account: str
    challenge_id: str
    realm: str
    hash: str


class Vectors(msgspec.Struct):
    """The part of viem_vectors.json that concerns proofs."""

    proofs: list[Vector]


VECTORS = msgspec.json.decode(
    (Path(__file__).parents[1] / "viem_vectors.json").read_bytes(), type=Vectors
).proofs

PROOF = {
    "chain_id": 42431,
    "challenge_id": "an-id",
    "realm": "api.example.com",
    "account": "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A",
}


def proof(version: int, **changes: object) -> bytes:
    """The hash of a proof that differs from another in these members."""
    members = {**PROOF, **changes}
    return proof_hash(
        version,
        chain_id=int(str(members["chain_id"])),
        challenge_id=str(members["challenge_id"]),
        realm=str(members["realm"]),
        account=str(members["account"]),
    )


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector.version} {vector.realm}")
def test_hashes_as_viem_does(vector: Vector) -> None:
    """Of the same domain and message comes viem's hash, in each version."""
    hashed = proof_hash(
        vector.version,
        chain_id=vector.chain_id,
        challenge_id=vector.challenge_id,
        realm=vector.realm,
        account=vector.account,
    )
    assert "0x" + hashed.hex() == vector.hash


def test_the_vectors_have_every_version() -> None:
    """No version goes untested."""
    assert {vector.version for vector in VECTORS} == set(PROOF_VERSIONS)


def test_a_proof_is_for_one_challenge_on_one_chain() -> None:
    """Version, chain and challenge are in every hash; realm from version 2 on, account from version 3."""
    bound = {
        1: {"chain_id", "challenge_id"},
        2: {"chain_id", "challenge_id", "realm"},
        3: {"chain_id", "challenge_id", "realm", "account"},
    }
    other = {"chain_id": 4217, "challenge_id": "x", "realm": "evil.example", "account": "0x" + "ab" * 20}
    for version in PROOF_VERSIONS:
        changed = {name for name, value in other.items() if proof(version, **{name: value}) != proof(version)}
        assert changed == bound[version]
    assert len({proof(version) for version in PROOF_VERSIONS}) == len(PROOF_VERSIONS)


def test_the_accounts_case_does_not_matter() -> None:
    """An account is bytes, however it is spelled."""
    assert proof(3, account=str(PROOF["account"]).lower()) == proof(3)
    with pytest.raises(AddressError):
        proof(3, account="nobody")


@pytest.mark.parametrize("version", [-1, 0, 4])
def test_other_versions_are_refused(version: int) -> None:
    """There is nothing to sign in a version that there is not."""
    with pytest.raises(ValueError, match=f"no version {version}"):
        proof(version)
