"""Push, the buyer's half: broadcasting the payment and telling its hash (draft-tempo-charge §Hash Payload).

Money moves here, so the rule is: an error means that none did, and none will. Where that is not certain,
because the node's answer is lost, or odd, or late, the payload is returned all the same. The server waits for
the transaction as well, and once its `validBefore` is over anyone can tell.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from coinslot.errors import ChallengeExpired, WalletError
from coinslot.methods.tempo.node import Node, Receipt, transaction_hash
from coinslot.methods.tempo.refusals import explain, is_pending, is_repeated
from coinslot.methods.tempo.rpc import RpcError, RpcRefused, RpcUnanswered, RpcUnreachable
from coinslot.methods.tempo.wire import Transaction
from coinslot.payments.method import Payload
from coinslot.protocol import Challenge

logger = logging.getLogger("coinslot.tempo")

WAIT: Final = 10.0
"""Seconds that the broadcast and the receipt may take. A block takes less than one."""


_TO_PRESENT: Final = 3.0  # seconds that a challenge must be good for when the broadcast is over


def check_time_to_push(challenge: Challenge, now: float) -> None:
    """The challenge outlives the broadcast, or the money would be gone and nobody take it for payment.

    `now` is in Unix seconds. Raises `ChallengeExpired`.
    """
    expires = challenge.expires_at()
    if expires is not None and expires < now + WAIT + _TO_PRESENT:
        raise ChallengeExpired(f"the challenge expires at {challenge.expires}: too soon to pay it by push")


async def push(node: Node, signed: Transaction, source: str) -> Payload:
    """Broadcast `signed` and wait a moment for its receipt. `source` is who pays, as a credential says it.

    Raises `WalletError` only if the transaction moved nothing and never will.
    """
    reference = transaction_hash(signed)
    try:
        receipt = await broadcast(node, signed)
    except asyncio.CancelledError:
        # The event loop ends, and takes with it all but what is returned.
        receipt = None
    if receipt is not None and not receipt.succeeded:
        raise WalletError(f"the transaction {reference} was reverted: nothing was paid but its fee")
    return Payload(
        payload={"type": "hash", "hash": reference},
        source=source,
        reference=reference,
        lapses=signed.valid_before,
    )


async def broadcast(node: Node, signed: Transaction) -> Receipt | None:
    """Have `signed` put on the chain: its receipt, or None if what became of it is not certain.

    Raises `WalletError` if it is certain that it will not get there.
    """
    reference = transaction_hash(signed)
    try:
        async with asyncio.timeout(WAIT):
            return await _broadcast(node, signed, reference)
    except TimeoutError:
        logger.warning("%s has no receipt after %g s", reference, WAIT)
        return None


async def _broadcast(node: Node, signed: Transaction, reference: str) -> Receipt | None:
    try:
        receipt = await node.send(signed, WAIT)
    except RpcUnreachable as error:
        raise WalletError(f"the transaction cannot be broadcast: {error}. Nothing was paid.") from error
    except RpcUnanswered as error:
        logger.warning("no answer to the broadcast of %s: %s", reference, error)
        receipt = None
    except RpcRefused as refusal:
        if not is_pending(refusal):
            return await _after_refusal(node, reference, refusal)
        receipt = None
    return receipt or await node.wait_for_receipt(reference)


async def _after_refusal(node: Node, reference: str, refusal: RpcRefused) -> Receipt | None:
    """The node did not take it. That proves something only if it says why, and it is not there all the same.

    A request can reach a node twice, and the second time it is refused for what the first one did.
    """
    try:
        receipt = await node.receipt(reference)
    except RpcError as error:
        logger.warning("%s was refused (%s) and cannot be looked up: %s", reference, refusal, error)
        return None
    explained = explain(refusal)
    if receipt is None and explained is not None and not is_repeated(refusal):
        raise WalletError(f"the node refuses it: {explained.detail} Nothing was paid.") from refusal
    return receipt
