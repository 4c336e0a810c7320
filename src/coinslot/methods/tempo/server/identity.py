"""Charges of nothing: the payer proves who they are, and no money moves (draft-tempo-charge §Proof Payload).

Three versions of the proof are in use. The specification's, 1, signs the challenge's id alone, so a dishonest
shop could relay another's challenge to one of its visitors and log in there as them: it opens the resource,
and is no identity. 2 adds the realm, 3 the account.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from coinslot.errors import PaymentError, PaymentUnavailable, VerificationFailed
from coinslot.methods.tempo.keys import SignatureError
from coinslot.methods.tempo.node import Node
from coinslot.methods.tempo.rpc import RpcError
from coinslot.methods.tempo.server.key_checks import check_key
from coinslot.methods.tempo.server.verification import read_source
from coinslot.methods.tempo.wire.proof import proof_hash
from coinslot.methods.tempo.wire.signatures import Signer, recover_signer
from coinslot.methods.tempo.wire.terms import Terms
from coinslot.payments.method import Proof, Recovery, Settled, Settlement
from coinslot.protocol import Credential

RECOVERY: Final = b"proof"
"""What is kept for finding a proof again: there is nothing to find."""

_VERSIONS: Final = (3, 2, 1)
_OPEN: Final = 1  # the version that is no identity


class Identity:
    """Takes proofs. A key of the account's own is judged without asking anybody."""

    def __init__(self, node: Node, *, clock: Callable[[], float]) -> None:
        self._node = node
        self._clock = clock

    async def verify(self, credential: Credential, terms: Terms) -> Proof:
        """Raises `VerificationFailed`, or `PaymentUnavailable` if an access key cannot be looked up."""
        if credential.source is None:
            raise VerificationFailed("A proof needs the credential's source: who it is a proof of.")
        account = read_source(credential.source, terms.chain_id)
        version = await self._version(credential, terms, account)
        challenge_id = credential.challenge.id
        return Proof(
            key=f"tempo:{terms.chain_id}:proof:{challenge_id}",
            reference=challenge_id,
            amount=0,
            currency=terms.currency,
            recipient=terms.recipient,
            payer=None if version == _OPEN else account,
            recovery=Recovery(RECOVERY),
        )

    async def settle(self, proof: Proof) -> Settlement:
        """There is nothing to move. Who uses a version that is no identity has no name."""
        return Settled(reference=proof.reference, payer=proof.payer)

    async def _version(self, credential: Credential, terms: Terms, account: str) -> int:
        """The version in which the account has signed, itself or by a key that it has authorized."""
        refusal: PaymentError | None = None
        for version, signer in self._signers(credential, terms, account):
            if signer.access_key is None:
                return version
            # Whatever was signed, some key made the signature: only the chain knows if it is the account's.
            try:
                await self._check_key(signer)
            except VerificationFailed as error:
                refusal = refusal or error
            else:
                return version
        assert refusal is not None  # or there would be no signer
        raise refusal

    def _signers(self, credential: Credential, terms: Terms, account: str) -> list[tuple[int, Signer]]:
        """Who may have signed, in which version. Raises `VerificationFailed` if certainly not the account."""
        signature = bytes.fromhex(str(credential.payload["signature"])[2:])
        challenge, reason = credential.challenge, "it is another account's, or of another challenge"
        signers = []
        for version in _VERSIONS:
            digest = proof_hash(
                version,
                chain_id=terms.chain_id,
                challenge_id=challenge.id,
                realm=challenge.realm,
                account=account,
            )
            try:
                signer = recover_signer(digest, signature)
            except SignatureError as error:
                reason = str(error)
                continue
            if signer.account == account:
                signers.append((version, signer))
        if not signers:
            raise VerificationFailed(f"The proof is not the source's: {reason}.")
        return signers

    async def _check_key(self, signer: Signer) -> None:
        try:
            await self._node.check_chain()
            found = await self._node.access_key(signer)
        except RpcError as error:
            raise PaymentUnavailable(
                "The proof cannot be checked right now; send it again.", log=str(error)
            ) from error
        check_key(found, signer, self._clock())
