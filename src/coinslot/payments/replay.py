"""Replays: with an `Idempotency-Key` a handler runs once, and whoever paid gets the same bytes again.

The answer is kept before its first byte is sent. From then on the credential that paid for it, presented
with the same key, gets that answer: after a connection that broke, after a crash, and after it was
delivered, until the redelivery window is over. Another credential never does; and with another key, or none,
everything is as if there were no answer.
"""

from __future__ import annotations

import hashlib
import hmac
import logging

from coinslot.errors import InvalidChallenge, LedgerError, PaymentUnavailable
from coinslot.payments.answers import MAX_ANSWER, Answer
from coinslot.payments.order import Order
from coinslot.payments.payment import Payment, State
from coinslot.payments.till import Sale, Till

logger = logging.getLogger("coinslot.payments")


class Replay:
    """An answer to be given again in the place of a handler's.

    Exactly one of `delivered` and `returned` ends it, as with the `Sale` that it may hold.
    """

    def __init__(self, answer: Answer, sale: Sale | None) -> None:
        self.answer = answer
        self.sale = sale

    async def delivered(self) -> None:
        """The last byte was accepted."""
        if self.sale is not None:
            await self.sale.delivered()

    async def returned(self) -> None:
        """It did not get through. The payer may come again."""
        if self.sale is not None:
            await self.sale.returned()


def hash_key(key: str) -> bytes:
    """What is kept of an `Idempotency-Key`."""
    return hashlib.sha256(key.encode()).digest()


async def find_replay(till: Till, order: Order, payment: Payment) -> Replay | None:
    """The answer that was kept for this very order; None if there is none that it may have.

    `payment` is what the ledger has for its challenge. Raises a `PaymentError`, as `Till.take` does, if the
    answer was not delivered before and cannot be now.
    """
    if not _may_have(order, payment):
        return None
    answer = await _find(till, order)
    if answer is None:
        return None
    return Replay(answer, None if payment.state is State.DELIVERED else await _take(till, order))


async def take(till: Till, order: Order) -> Sale | Replay:
    """`Till.take`, unless a request with the same key was served since this one was admitted."""
    if order.key is None:
        return await till.take(order)
    sale = await _take(till, order)
    if sale is not None and sale.payment.attempts < 2:
        return sale
    try:
        answer = await _find(till, order)
    except BaseException:
        if sale is not None:
            await sale.returned()
        raise
    if answer is not None:
        return Replay(answer, sale)
    if sale is None:
        raise InvalidChallenge("This payment has been used: what it bought was delivered.")
    return sale


async def keep(
    till: Till, order: Order, payment: Payment, status: int, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    """Keep the answer to an order that has a key, unless it is too long. Durable when it returns.

    If the ledger cannot, the answer goes out all the same: it has been paid for.
    """
    if order.key is None or len(body) > MAX_ANSWER:
        return
    answer = Answer(
        challenge_id=order.challenge_id,
        key=order.key,
        status=status,
        headers=tuple(headers),
        body=body,
        until=(payment.settled_at or payment.created_at) + till.policy.redelivery_window,
    )
    try:
        await till.ledger.keep_answer(answer)
    except LedgerError as error:
        logger.warning("the answer to payment %s is sent and not kept: %s", payment.reference, error)


def _may_have(order: Order, payment: Payment) -> bool:
    """Whether an answer that was kept for this payment is this order's. Nobody else's gets it."""
    if order.key is None:
        return False
    is_its_own = hmac.compare_digest(payment.fingerprint, order.fingerprint)
    return is_its_own and payment.state in (State.SETTLED, State.DELIVERED)


async def _take(till: Till, order: Order) -> Sale | None:
    """The sale; None if what it bought was delivered by another request, meanwhile."""
    try:
        return await till.take(order)
    except InvalidChallenge:
        payment = await till.find(order.challenge_id)
        if payment is None or payment.state is not State.DELIVERED or not _may_have(order, payment):
            raise
        return None


async def _find(till: Till, order: Order) -> Answer | None:
    try:
        answer = await till.ledger.find_answer(order.challenge_id)
    except LedgerError as error:
        raise PaymentUnavailable(
            "What this payment bought cannot be read right now. Send the same credential again.",
            log=f"ledger: {error}",
        ) from error
    if answer is None or order.key is None or not hmac.compare_digest(answer.key, order.key):
        return None
    return answer
