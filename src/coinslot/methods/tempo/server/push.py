"""Push: the payer has broadcast the transaction, and tells its hash (draft-tempo-charge §Hash Verification).

The money has moved, or is about to, when the server hears of it. So nothing is refused for not being on the
chain yet: the server waits a while, and then asks for the same credential again.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from coinslot.errors import (
    NotApplied,
    PaymentExpired,
    PaymentInsufficient,
    PaymentUnavailable,
    VerificationFailed,
)
from coinslot.methods.tempo.node import Node, Receipt
from coinslot.methods.tempo.rpc import RpcError
from coinslot.methods.tempo.server.matching import bound_transfers, match_transfers
from coinslot.methods.tempo.server.verification import read_source
from coinslot.methods.tempo.wire.terms import Terms
from coinslot.methods.tempo.wire.tip20 import Transfer, is_token
from coinslot.payments.method import Proof, Recovery, Settled, Settlement, Unknown
from coinslot.protocol import Challenge, Credential

ValidateSender: TypeAlias = Callable[[str, str], bool | Awaitable[bool]]
"""Whether a transfer from the first address may pay for the second, which the credential names. EIP-55."""

RECOVERY: Final = b"push"
"""What is kept for finding a push payment again: its reference says the rest."""

WAIT: Final = 10.0
"""Seconds that a transaction has for getting onto the chain while its payer waits."""

_FEE_MANAGER: Final = "0xfeEC000000000000000000000000000000000000"  # the chain's: it takes the fees

_MOST_SENDERS: Final = 16

_MOST_WAITING: Final = 64
"""Payers who are waited for at once; others are told to come again."""


class Push:
    """Takes transactions that are on the chain."""

    def __init__(
        self, node: Node, *, validate_sender: ValidateSender | None, clock: Callable[[], float]
    ) -> None:
        self._node = node
        self._clock = clock
        self._validate_sender = validate_sender
        self._waiting = 0

    async def verify(self, credential: Credential, terms: Terms) -> Proof:
        """The receipt has to report the transfers that are due, bound to this challenge, from whoever pays.

        Raises a refusal, `NotApplied` if money came for this very challenge too late or not as asked, or
        `PaymentUnavailable` if the transaction is not on the chain yet, or the node cannot be asked.
        """
        source = None if credential.source is None else read_source(credential.source, terms.chain_id)
        receipt = await self._receipt(str(credential.payload["hash"]))
        if not receipt.succeeded:
            raise VerificationFailed(f"The transaction {receipt.hash} was reverted; it moved nothing.")
        made = await self._made(receipt, source, terms)
        proof = check_receipt(receipt, made, credential.challenge, terms)
        expires = credential.challenge.expires_at()
        if expires is not None and self._clock() >= expires:
            await check_in_time(self._node, receipt, expires, proof)
        return proof

    async def settle(self, proof: Proof) -> Settlement:
        """It is settled: the receipt was there when it was verified, and Tempo's blocks are final."""
        return Settled(reference=proof.reference, payer=proof.payer)

    async def look_up(self, proof: Proof) -> Settlement:
        """The same, once more from the chain."""
        try:
            await self._node.check_chain()
            receipt = await self._node.receipt(proof.reference)
        except RpcError as error:
            return Unknown(reason=f"{proof.reference} could not be looked up: {error}")
        if receipt is None or not receipt.succeeded:
            return Unknown(reason=f"{proof.reference} was verified, and the node does not know it any more")
        return Settled(reference=proof.reference, payer=proof.payer)

    async def _receipt(self, transaction: str) -> Receipt:
        try:
            await self._node.check_chain()
            receipt = await self._node.receipt(transaction)
            if receipt is None and self._waiting < _MOST_WAITING:
                self._waiting += 1
                try:
                    async with asyncio.timeout(WAIT):
                        receipt = await self._node.wait_for_receipt(transaction)
                except TimeoutError:
                    pass
                finally:
                    self._waiting -= 1
        except RpcError as error:
            raise unavailable(error) from error
        if receipt is None:
            raise PaymentUnavailable(
                "The transaction is not on the chain yet. Send the same credential again; do not pay anew.",
                retry_after=2,
            )
        return receipt

    async def _made(self, receipt: Receipt, source: str | None, terms: Terms) -> list[Transfer]:
        """The transfers of whoever may pay; those of strangers do not count. Raises a refusal."""
        expected = source or receipt.sender
        made = [transfer for transfer in receipt.transfers if transfer.recipient != _FEE_MANAGER]
        senders = {transfer.sender for transfer in made}
        if len(senders) > _MOST_SENDERS:
            raise VerificationFailed("The transaction moves tokens of too many accounts to be a payment.")
        allowed = {sender for sender in senders if sender and await self._may_pay(sender, expected)}
        by_payer = [transfer for transfer in made if transfer.sender in allowed]
        if not by_payer and any(transfer.recipient == terms.recipient for transfer in made):
            raise VerificationFailed("The transaction's transfers are from another account than the payer's.")
        return by_payer

    async def _may_pay(self, sender: str, expected: str | None) -> bool:
        if sender == expected:
            return True
        if self._validate_sender is None or expected is None:
            return False
        allowed = self._validate_sender(sender, expected)
        return await allowed if inspect.isawaitable(allowed) else allowed


def check_receipt(receipt: Receipt, made: Sequence[Transfer], challenge: Challenge, terms: Terms) -> Proof:
    """The proof of a payment on the chain, of whose transfers `made` are the payer's.

    Raises a refusal, or `NotApplied` if money came for this very challenge that is not what was asked.
    """
    try:
        primary, *_ = match_transfers(made, terms, challenge)
    except (PaymentInsufficient, VerificationFailed) as refusal:
        tokens = [each for each in made if is_token(each.token) and each.amount > 0]
        bound = bound_transfers(tokens, terms, challenge)  # any contract can write logs: only tokens are kept
        if not bound:
            raise
        # One row is one transfer: were there more, an audit (or the watch over deposits) finds the rest.
        first = bound[0]
        raise NotApplied(
            refusal.detail, received=_proof(receipt, terms, first.token, first.amount, first.sender)
        ) from refusal
    return _proof(receipt, terms, terms.currency, terms.amount, primary.sender)


async def check_in_time(node: Node, receipt: Receipt, expires: float, proof: Proof) -> None:
    """A payment that is shown late counts if it was made in time. Raises `NotApplied` if it was not."""
    if receipt.block is None:
        raise PaymentExpired("The challenge has expired, and the payment's time is not known.")
    try:
        made_at = await node.block_time(receipt.block)
    except RpcError as error:
        raise unavailable(error) from error
    if made_at > expires:
        raise NotApplied("The payment was made after the challenge's expiry.", received=proof)


def unavailable(error: RpcError) -> PaymentUnavailable:
    """What a payer is told when the node cannot be asked."""
    return PaymentUnavailable(
        "The payment cannot be checked right now. Send the same credential again.", log=str(error)
    )


def _proof(receipt: Receipt, terms: Terms, currency: str, amount: int, payer: str | None) -> Proof:
    return Proof(
        key=f"tempo:{terms.chain_id}:{receipt.hash}",
        reference=receipt.hash,
        amount=amount,
        currency=currency,
        recipient=terms.recipient,
        payer=payer,
        recovery=Recovery(RECOVERY),
    )
