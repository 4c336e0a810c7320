"""The register: the one place that writes down what became of a payment.

Whoever finds something out (a request, the reconciler, a webhook, the command line) has it recorded here.
Each move is a compare-and-set from the row they looked at, and the event is told once it is written.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from msgspec.structs import replace

from coinslot.errors import LedgerError, OutcomeUnknown, PaymentInProgress, ProtocolError
from coinslot.payments.events import (
    Events,
    PaymentDelivered,
    PaymentDisputed,
    PaymentFailed,
    PaymentSettled,
    PaymentUndelivered,
    PaymentUnknown,
)
from coinslot.payments.ledger import Ledger
from coinslot.payments.method import Failed, NotSent, Recovery, Settled, Settlement, Unknown
from coinslot.payments.payment import Payment, State
from coinslot.payments.states import NOT_SETTLED, advance, flag_dispute
from coinslot.protocol import Receipt, format_timestamp

logger = logging.getLogger("coinslot.payments")


class Register:
    """Records moves in one ledger.

    Every method raises `OutcomeUnknown` if the ledger did not take it, and `PaymentInProgress` if the row has
    moved meanwhile.
    """

    def __init__(self, ledger: Ledger, events: Events, *, clock: Callable[[], float] = time.time) -> None:
        self._ledger = ledger
        self.events = events
        self._clock = clock

    async def record(self, payment: Payment, settlement: Settlement, *, delivering: bool = False) -> Payment:
        """What a method said of a payment, in state settling, unknown or failed: the row as it is then.

        `delivering` counts a delivery as begun. A failed payment stays so unless the money came after all.
        """
        if payment.state is State.FAILED and not isinstance(settlement, Settled):
            return payment
        match settlement:
            case Settled():
                return await self._settled(payment, settlement, delivering=delivering)
            case Failed(reason=reason, slug=slug):
                failed = await self.move(payment, advance(payment, State.FAILED, reason=f"{slug}: {reason}"))
                self.events.emit(PaymentFailed(failed))
                return failed
            case _ if _says_nothing_new(payment, settlement):
                return payment
            case NotSent(reason=reason, recovery=recovery):
                logger.error("payment %s was not sent: %s", payment.reference, reason)
                return await self._put_aside(payment, reason, recovery)
            case Unknown(reason=reason, recovery=recovery):
                logger.error("the outcome of payment %s is unknown: %s", payment.reference, reason)
                aside = await self._put_aside(payment, reason, recovery)
                self.events.emit(PaymentUnknown(aside))
                return aside

    async def begin_delivery(self, payment: Payment) -> Payment:
        """Count one more delivery of a settled payment."""
        return await self.move(payment, advance(payment, State.SETTLED, attempts=payment.attempts + 1))

    async def deliver(self, payment: Payment) -> Payment:
        """End a settled payment: the resource was accepted."""
        after = await self.move(payment, advance(payment, State.DELIVERED, delivered_at=self._clock()))
        self.events.emit(PaymentDelivered(after))
        return after

    async def give_up(self, payment: Payment) -> Payment:
        """End a settled payment: the resource will not be handed over any more."""
        after = await self.move(payment, advance(payment, State.UNDELIVERED))
        self.events.emit(PaymentUndelivered(after))
        return after

    async def dispute(self, payment: Payment, *, disputed: bool) -> Payment:
        """Set or clear the flag of a payment that the payer's bank wants back."""
        if payment.disputed == disputed:
            return payment
        after = flag_dispute(payment, disputed=disputed)
        if not await self._write(payment, after):
            raise PaymentInProgress("This payment has moved on.")
        self.events.emit(PaymentDisputed(after))
        return after

    async def move(self, before: Payment, after: Payment) -> Payment:
        """One compare-and-set; again, if nothing has changed meanwhile but the flag of a dispute."""
        while not await self._write(before, after):
            row = await self._find(before)
            if row is None or not _is_only_flagged(before, row):
                raise PaymentInProgress("This payment was taken over by another request.")
            before, after = row, replace(after, disputed=row.disputed, revision=row.revision + 1)
        return after

    async def _write(self, before: Payment, after: Payment) -> bool:
        try:
            return await self._ledger.replace(before, after)
        except LedgerError as error:
            # The row still says what it said: the next one to look finds out what the world did.
            raise _unwritten(before, error) from error

    async def _find(self, payment: Payment) -> Payment | None:
        try:
            return await self._ledger.find(payment.challenge_id)
        except LedgerError as error:
            raise _unwritten(payment, error) from error

    async def _settled(self, payment: Payment, settled: Settled, *, delivering: bool) -> Payment:
        now = self._clock()
        if payment.state is State.FAILED:
            logger.error(
                "payment %s had failed (%s), and its money came after all: %s",
                payment.reference,
                payment.reason,
                settled.reference,
            )
        after = advance(
            payment,
            State.SETTLED,
            reference=settled.reference,
            payer=settled.payer or payment.payer,
            receipt=_receipt(payment, settled, now),
            reason=None,
            settled_at=now,
            attempts=payment.attempts + delivering,
        )
        try:
            after = await self.move(payment, after)
        except PaymentInProgress:
            row = await self._find(payment)
            if row is None or row.revision <= payment.revision or row.state not in NOT_SETTLED:
                raise
            # Somebody took it for lost or failed, and here is its money: that has the last word.
            return await self._settled(row, settled, delivering=delivering)
        self.events.emit(PaymentSettled(after))
        return after

    async def _put_aside(self, payment: Payment, reason: str, recovery: Recovery | None) -> Payment:
        after = advance(payment, State.UNKNOWN, reason=reason)
        return await self.move(payment, after if recovery is None else replace(after, recovery=recovery))


def _unwritten(payment: Payment, error: LedgerError) -> OutcomeUnknown:
    return OutcomeUnknown(
        "The payment's outcome could not be written down. Send the same credential again.",
        log=f"payment {payment.reference} was {payment.state}, and what it is now was not written: {error}",
    )


def _is_only_flagged(before: Payment, row: Payment) -> bool:
    """Whether a row has moved, and nothing but the flag of a dispute with it."""
    flagged = replace(before, disputed=row.disputed, revision=row.revision)
    return row.revision > before.revision and row == flagged


def _says_nothing_new(payment: Payment, settlement: NotSent | Unknown) -> bool:
    """Whether the row has it all: who asks again and again need not write it again and again."""
    known = payment.state is State.UNKNOWN and payment.reason == settlement.reason
    return known and settlement.recovery in (None, payment.recovery)


def _receipt(payment: Payment, settled: Settled, now: float) -> str:
    """The receipt's header value; without what a method adds to it, if that cannot be written."""
    plain = Receipt(
        method=payment.method,
        reference=settled.reference,
        timestamp=format_timestamp(now),
        external_id=payment.external_id,
    )
    try:
        return replace(plain, extra=dict(settled.extra)).to_header()
    except ProtocolError as error:
        logger.warning("%s: what it adds to its receipts cannot be written: %s", payment.method, error)
        return plain.to_header()
