"""Sending money back.

The same order of steps as the till's: delivery is closed, the method drafts what it will send, the row is
written, and only then the world is asked. Whoever finds an open row later looks up first. A look-up that says
`NotSent` (the world does not know it, and never will by what was drafted) has it drafted anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from coinslot.errors import LedgerError, OutcomeUnknown, PaymentError, RefundError
from coinslot.payments.asking import ask, question, where
from coinslot.payments.events import Events, RefundEnded
from coinslot.payments.lease import Lease
from coinslot.payments.leases import Leases
from coinslot.payments.ledger import Ledger
from coinslot.payments.method import (
    Failed,
    NotSent,
    Recovery,
    Repayment,
    Repays,
    ServerMethod,
    Settled,
    Settlement,
)
from coinslot.payments.payment import Payment, State
from coinslot.payments.refunds import OPEN_REFUNDS, Refund, RefundState, advance_refund
from coinslot.payments.register import Register

logger = logging.getLogger("coinslot.payments")

_TRIES: Final = 10  # for the lease: what is delivered right now is delivered soon
_PAUSE: Final = 0.3  # seconds between them

_HAS_MONEY = frozenset({State.SETTLED, State.DELIVERED, State.UNDELIVERED, State.UNAPPLIED})


class Refunder:
    """Makes refunds, and finds out what became of them. `find_method` is asked by a payment."""

    def __init__(
        self,
        ledger: Ledger,
        leases: Leases,
        register: Register,
        events: Events,
        find_method: Callable[[Payment], ServerMethod | None],
        *,
        patience: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ledger = ledger
        self._leases = leases
        self._register = register
        self._events = events
        self._find_method = find_method
        self._patience = patience
        self._clock = clock

    async def refund(self, challenge_id: str, amount: int | None = None, *, key: str | None = None) -> Refund:
        """Send back `amount` base units of a payment, or all that is left of it.

        With a `key` of the caller's own, asking again for the same payment under the same key makes no second
        refund: it returns the first as it is by then.

        Returns the row as it is then: done, or sent and unknown, which the reconciler follows up. Raises
        `RefundError` if nothing was or will be sent, `LedgerError` if the ledger does not answer, and
        `OutcomeUnknown` if it does not any more when the row is written: then it may be sent all the same.
        """
        lease = Lease(self._leases, challenge_id)
        for _ in range(_TRIES):
            if await lease.take():
                break
            await asyncio.sleep(_PAUSE)
        else:
            raise RefundError("the payment is being worked on right now: try again in a few seconds")
        try:
            payment, method = await self._refundable(challenge_id)
            made = await self._ledger.select_refunds(challenge_id)
            name = _name(challenge_id, key)
            for known in made:
                if known.id == name:
                    return _the_same(known, amount)
            refund = await self._write_down(payment, method, amount, name, made)
            return await self._send(payment, method, refund)
        finally:
            await lease.release()

    async def look_again(self, refund: Refund) -> Refund:
        """Find out what became of a refund, and send it if it never was. The row as it is then."""
        lease = Lease(self._leases, refund.challenge_id)
        if not await lease.take():
            return refund
        try:
            payment = await self._ledger.find(refund.challenge_id)
            method = None if payment is None else self._find_method(payment)
            if payment is None or method is None or not isinstance(method, Repays):
                logger.error("refund %s cannot be looked up: its method is not configured", refund.id)
                return refund
            settlement = await ask(
                question(payment, "look_up_repayment"),
                method.look_up_repayment(_repayment(payment, refund)),
                within=self._patience,
                watcher=self._events.watcher,
            )
            if isinstance(settlement, NotSent) and refund.state in OPEN_REFUNDS:
                return await self._send_anew(payment, method, refund)
            return await self._record(payment, refund, settlement)
        finally:
            await lease.release()

    async def _refundable(self, challenge_id: str) -> tuple[Payment, Repays]:
        payment = await self._ledger.find(challenge_id)
        if payment is None:
            raise RefundError("there is no such payment")
        if payment.state not in _HAS_MONEY:
            raise RefundError(f"the payment is {payment.state}: there is no money of it to send back")
        if payment.amount == 0:
            raise RefundError("the payment is of nothing")
        method = self._find_method(payment)
        if method is None:
            raise RefundError(f"the paywall has no method {payment.method}/{payment.intent}")
        if not isinstance(method, Repays):
            raise RefundError(f"the method {payment.method}/{payment.intent} cannot send money back")
        return payment, method

    async def _write_down(
        self, payment: Payment, method: Repays, amount: int | None, name: str, made: list[Refund]
    ) -> Refund:
        left = payment.amount - sum(
            refund.amount for refund in made if refund.state is not RefundState.FAILED
        )
        amount = left if amount is None else amount
        if left == 0:
            raise RefundError("all of the payment has been sent back, or is on its way")
        if not 0 < amount <= left:
            raise RefundError(f"{amount} is not between 1 and {left}, which is what the payment has left")
        now = self._clock()
        refund = Refund(
            id=name,
            challenge_id=payment.challenge_id,
            amount=amount,
            state=RefundState.REQUESTED,
            key=name,
            created_at=now,
            updated_at=now,
        )
        refund = replace(refund, recovery=await _draft(method, payment, refund))
        if payment.state is State.SETTLED:  # nothing is handed over for it any more
            try:
                await self._register.give_up(payment)
            except PaymentError as error:
                raise RefundError("the payment has just moved on: try again") from error
        try:
            is_written = await self._ledger.insert_refund(refund)
        except LedgerError as error:
            raise _unwritten(refund, error) from error
        if not is_written:
            raise RefundError("another refund has taken what was left of the payment")
        return refund

    async def _send_anew(self, payment: Payment, method: Repays, refund: Refund) -> Refund:
        try:
            recovery = await _draft(method, payment, refund)
        except RefundError as error:
            return await self._record(payment, refund, NotSent(reason=str(error)))
        drafted = advance_refund(refund, refund.state, at=self._clock(), recovery=recovery)
        await self._replace(refund, drafted)
        return await self._send(payment, method, drafted)

    async def _send(self, payment: Payment, method: Repays, refund: Refund) -> Refund:
        settlement = await ask(
            question(payment, "repay"),
            method.repay(_repayment(payment, refund)),
            within=self._patience,
            watcher=self._events.watcher,
        )
        return await self._record(payment, refund, settlement)

    async def _record(self, payment: Payment, refund: Refund, settlement: Settlement) -> Refund:
        """Write down what a method said of a refund."""
        now = self._clock()
        match settlement:
            case _ if refund.state is RefundState.FAILED:
                if isinstance(settlement, Settled):
                    logger.error(
                        "refund %s had failed (%s), and is through after all", refund.id, refund.reason
                    )
                return refund
            case Settled(reference=reference):
                if refund.state is RefundState.DONE:
                    return refund
                after = advance_refund(refund, RefundState.DONE, at=now, reference=reference, reason=None)
            case Failed(reason=reason):
                if refund.state is RefundState.DONE:
                    logger.error("refund %s was done, and has come back: %s", refund.id, reason)
                after = advance_refund(refund, RefundState.FAILED, at=now, reason=reason)
            case _ if refund.state not in OPEN_REFUNDS:
                return refund
            case NotSent(reason=reason):
                logger.error("refund %s was not sent: %s", refund.id, reason)
                after = advance_refund(refund, refund.state, at=now, reason=reason)
            case _:
                logger.warning("refund %s is not decided yet: %s", refund.id, settlement.reason)
                known_as = settlement.reference or refund.reference
                state = RefundState.UNKNOWN if known_as is None else RefundState.SENT
                recovery = refund.recovery if settlement.recovery is None else settlement.recovery
                after = advance_refund(
                    refund, state, at=now, reference=known_as, reason=settlement.reason, recovery=recovery
                )
        await self._replace(refund, after)
        if after.state not in OPEN_REFUNDS:
            self._events.emit(RefundEnded(payment, after))
        return after

    async def _replace(self, before: Refund, after: Refund) -> None:
        try:
            moved = await self._ledger.replace_refund(before, after)
        except LedgerError as error:
            raise _unwritten(before, error) from error
        if not moved:
            raise OutcomeUnknown("The refund was taken over by another worker.")


def _name(challenge_id: str, key: str | None) -> str:
    """What a refund is known by: always the same under one key of its caller's."""
    if key is None:
        return f"rf_{secrets.token_hex(12)}"
    return f"rf_{hashlib.sha256(f'{challenge_id}:{key}'.encode()).hexdigest()[:24]}"


def _the_same(refund: Refund, amount: int | None) -> Refund:
    if amount not in (None, refund.amount):
        raise RefundError(f"this key has been used for a refund of {refund.amount}, not of {amount}")
    return refund


async def _draft(method: Repays, payment: Payment, refund: Refund) -> Recovery:
    """What a method needs to send it. Raises `RefundError`, whatever the method raised."""
    try:
        return await method.draft_repayment(_repayment(payment, refund))
    except RefundError:
        raise
    except Exception as error:
        raise RefundError(f"{payment.method} could not prepare the refund ({where(error)})") from error


def _unwritten(refund: Refund, error: LedgerError) -> OutcomeUnknown:
    """A write that was not answered may have been done, and then the reconciler goes on from it."""
    return OutcomeUnknown(
        f"The refund {refund.id} may be on its way: see what the ledger has of it before asking for another.",
        log=f"refund {refund.id}: {error}",
    )


def _repayment(payment: Payment, refund: Refund) -> Repayment:
    return Repayment(
        key=refund.key,
        challenge_id=payment.challenge_id,
        paid=payment.proof,
        amount=refund.amount,
        recovery=refund.recovery,
        reference=refund.reference,
    )
