from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from coinslot.errors import InvalidPayload, PaymentUnavailable, VerificationFailed
from coinslot.methods import tempo
from coinslot.methods.tempo.keys import PrivateKey
from coinslot.methods.tempo.wire.p256 import P256Key
from coinslot.methods.tempo.wire.proof import proof_hash
from coinslot.methods.tempo.wire.signatures import AccessKey, SigningKey
from coinslot.methods.tempo.wire.source import format_source
from coinslot.payments.method import Proof, Recovery, Settled
from coinslot.protocol import Challenge, Credential
from coinslot.sandbox.tempo import ThreadedDevnet
from faulty_node import FaultyNode, drops
from tempo_payments import OTHER, issue

RECIPIENT = "0x742d35Cc6634c0532925a3b844bC9e7595F8fE00"
PAYER = PrivateKey(b"\x11" * 32)


@pytest.fixture
async def door(node: FaultyNode) -> AsyncIterator[tempo.TempoCharge]:
    """A server method that asks for proofs, on the node that misbehaves to order."""
    method = tempo.charge(RECIPIENT, rpc_url=node.url)
    yield method
    await method.aclose()


def prove(
    challenge: Challenge,
    key: SigningKey = PAYER,
    *,
    version: int = 3,
    source: str | None = "",
    **changes: Any,
) -> Credential:
    """The credential with which `key` answers; `changes` are to what it signs."""
    what = {
        "chain_id": 42431,
        "challenge_id": challenge.id,
        "realm": challenge.realm,
        "account": key.address,
        **changes,
    }
    return Credential(
        challenge=challenge,
        payload={"type": "proof", "signature": "0x" + key.sign(proof_hash(version, **what)).hex()},
        source=format_source(42431, key.address) if source == "" else source,
    )


async def verify(door: tempo.TempoCharge, credential: Credential) -> Proof:
    return await door.verify(credential, credential.challenge.decode_request())


@pytest.mark.parametrize("key", [PAYER, P256Key.generate()], ids=["secp256k1", "p256"])
@pytest.mark.parametrize("version", [3, 2, 1])
async def test_a_proof_of_any_version_opens(
    version: int, key: SigningKey, door: tempo.TempoCharge, node: FaultyNode
) -> None:
    """Nothing moves and nobody is asked; only a proof that cannot be relayed says who it was."""
    challenge = issue(door, "0")
    proof = await verify(door, prove(challenge, key, version=version))
    assert proof == Proof(
        key=f"tempo:42431:proof:{challenge.id}",
        reference=challenge.id,
        amount=0,
        currency=tempo.TESTNET.currency.address,
        recipient=RECIPIENT,
        payer=None if version == 1 else key.address,
        recovery=Recovery(b"proof"),
    )
    settled = Settled(reference=challenge.id, payer=proof.payer)
    assert await door.settle(proof) == settled
    assert await door.look_up(proof) == settled
    assert node.methods == []


@pytest.mark.parametrize(
    "changes",
    [
        {"chain_id": 4217},
        {"challenge_id": "another"},
        {"realm": "evil.example"},
        {"account": OTHER},
        {"version": 2, "realm": "evil.example"},
        {"version": 2, "challenge_id": "another"},
        {"version": 1, "challenge_id": "another"},
        {"version": 1, "chain_id": 4217},
        {"source": format_source(42431, PrivateKey(b"\x12" * 32).address)},
    ],
    ids=str,
)
async def test_a_proof_of_something_else_does_not(
    changes: dict[str, Any], door: tempo.TempoCharge, node: FaultyNode
) -> None:
    """Another chain, challenge, realm or account makes another proof."""
    with pytest.raises(VerificationFailed, match="not the source's"):
        await verify(door, prove(issue(door, "0"), **changes))
    assert node.methods == []


async def test_who_it_is_has_to_be_said(door: tempo.TempoCharge) -> None:
    """The source is required, on this chain, and well-formed."""
    challenge = issue(door, "0")
    for source, reason in (
        (None, "needs the credential's source"),
        ("did:key:z6Mk", "not of the form"),
        (format_source(4217, PAYER.address), "on chain 4217"),
    ):
        with pytest.raises(VerificationFailed, match=reason):
            await verify(door, prove(challenge, source=source))


@pytest.mark.parametrize(
    "signature", ["0x00", "0x" + "00" * 65, "0x" + "ff" * 65, "0x03" + "00" * 85, "0x02" + "00" * 4000]
)
async def test_what_is_no_signature_is_told_so(signature: str, door: tempo.TempoCharge) -> None:
    """Any bytes are a signature of the source's, or a refusal."""
    challenge = issue(door, "0")
    credential = prove(challenge)
    credential.payload["signature"] = signature
    with pytest.raises(VerificationFailed, match="not the source's: "):
        await verify(door, credential)


async def test_proofs_are_for_nothing_and_nothing_is_for_proofs(door: tempo.TempoCharge) -> None:
    """A price is not paid by a proof, and a price of zero by nothing else."""
    with pytest.raises(InvalidPayload, match="zero is paid with a payload of type `proof`"):
        await verify(door, prove(issue(door, "0.01")))
    challenge = issue(door, "0")
    with pytest.raises(InvalidPayload, match="zero is paid with a payload of type `proof`"):
        await verify(
            door, Credential(challenge=challenge, payload={"type": "hash", "hash": "0x" + "ab" * 32})
        )


class TestAccessKeys:
    """A key that an account has authorized proves who the account is; the chain is asked about the key."""

    @pytest.fixture
    async def door(self, devnet_t4: ThreadedDevnet) -> AsyncIterator[tuple[tempo.TempoCharge, FaultyNode]]:
        """A door on the chain that has today's keychain."""
        node = FaultyNode(devnet_t4.rpc_url)
        await node.start()
        method = tempo.charge(RECIPIENT, rpc_url=node.url)
        yield method, node
        await method.aclose()
        await node.aclose()

    async def test_an_authorized_key_opens_until_it_is_revoked(
        self, door: tuple[tempo.TempoCharge, FaultyNode], devnet_t4: ThreadedDevnet
    ) -> None:
        """It costs one question, and the account is who it was."""
        method, node = door
        root, key = PrivateKey.generate(), PrivateKey.generate()
        devnet_t4.fund(root.address)
        agent = AccessKey(key, root.address)
        with pytest.raises(VerificationFailed, match="is not authorized for"):
            await verify(method, prove(issue(method, "0"), agent))
        devnet_t4.authorize_key(root, key.address, expiry=int(time.time()) + 3600)
        node.methods.clear()
        assert (await verify(method, prove(issue(method, "0"), agent))).payer == root.address
        assert node.methods == ["eth_call"]
        devnet_t4.revoke_key(root, key.address)
        with pytest.raises(VerificationFailed, match="was revoked"):
            await verify(method, prove(issue(method, "0"), agent))

    async def test_an_expired_key_does_not(
        self, door: tuple[tempo.TempoCharge, FaultyNode], devnet_t4: ThreadedDevnet
    ) -> None:
        """A key is good until its expiry, by the server's clock."""
        _, node = door
        root, key = PrivateKey.generate(), PrivateKey.generate()
        devnet_t4.fund(root.address)
        devnet_t4.authorize_key(root, key.address, expiry=int(time.time()) + 1000)
        later = tempo.charge(RECIPIENT, rpc_url=node.url, clock=lambda: time.time() + 2000)
        with pytest.raises(VerificationFailed, match="has expired"):
            await verify(later, prove(issue(later, "0"), AccessKey(key, root.address)))
        await later.aclose()

    async def test_nobody_is_let_in_while_the_chain_cannot_be_asked(
        self, door: tuple[tempo.TempoCharge, FaultyNode]
    ) -> None:
        """The proof stays good meanwhile."""
        method, node = door
        node.behaviours["eth_call"] = drops
        with pytest.raises(PaymentUnavailable, match="send it again"):
            await verify(method, prove(issue(method, "0"), AccessKey(PAYER, OTHER)))
