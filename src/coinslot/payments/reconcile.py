"""Reconciling: payments that nobody came back for are found out all the same.

One worker at a time goes through what is not decided: payments in settling or unknown, refunds on their way,
and settled payments whose payer had a day to fetch what they bought. What cannot be decided yet is asked
about again after a pause that doubles, up to an hour.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from msgspec import Struct

from coinslot.errors import PaymentError, PaymentExpired
from coinslot.payments.books import Cursor, Query
from coinslot.payments.lease import Lease
from coinslot.payments.leases import Leases
from coinslot.payments.ledger import Ledger
from coinslot.payments.method import Failed, NotSent, ServerMethod
from coinslot.payments.payment import Payment, State
from coinslot.payments.refunding import Refunder
from coinslot.payments.refunds import OPEN_REFUNDS, Refund
from coinslot.payments.register import Register
from coinslot.payments.states import NOT_SETTLED
from coinslot.payments.till import look_up

logger = logging.getLogger("coinslot.payments")

T = TypeVar("T")

_UNDECIDED: Final = frozenset({State.SETTLING, State.UNKNOWN})
_TIME_TO_COME_BACK: Final = 3600.0
"""Seconds after its challenge's expiry in which a payment that was never sent may still be sent again."""
_PAGE: Final = 100
_AT_ONCE: Final = 8
_FIRST_PAUSE: Final = 20.0
_LONGEST_PAUSE: Final = 3600.0
_MOST_PAUSES: Final = 100_000


class Finding(Struct, frozen=True, kw_only=True):
    """What was found out about one payment, or one of its refunds."""

    before: Payment | Refund
    after: Payment | Refund


class Reconciliation(Struct, frozen=True, kw_only=True):
    """What one round found. `undecided` is how many payments and refunds still are."""

    findings: tuple[Finding, ...]
    undecided: int


class Reconciler:
    """Looks again, payment by payment, and has the register write down what it finds."""

    def __init__(
        self,
        ledger: Ledger,
        leases: Leases,
        register: Register,
        refunder: Refunder,
        find_method: Callable[[Payment], ServerMethod | None],
        *,
        patience: float,
        redelivery_window: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ledger = ledger
        self._leases = leases
        self._register = register
        self._refunder = refunder
        self._find_method = find_method
        self._patience = patience
        self._redelivery_window = redelivery_window
        self._clock = clock
        self._pauses: dict[str, tuple[float, float]] = {}

    async def round(self, *, everything: bool, report: Callable[[Finding], None]) -> Reconciliation:
        """Go through all that is not decided; `everything`: also what was asked about a moment ago.

        `report` hears of each finding at once. Raises `LedgerError`.
        """
        findings: list[Finding] = []

        def found(finding: Finding) -> None:
            findings.append(finding)
            report(finding)

        await self._windows(found)
        undecided = await self._refunds(everything, found)
        undecided += await self._payments(everything, found)
        return Reconciliation(findings=tuple(findings), undecided=undecided)

    async def look_again(self, payment: Payment, reference: str | None = None) -> Payment:
        """Find out what became of one payment; the row as it is then.

        `reference` is what the world calls it, if somebody has said so.
        """
        if payment.state not in NOT_SETTLED:
            return payment
        return await self._alone(payment, lambda row: self._looked_up(row, reference))

    async def _payments(self, everything: bool, found: Callable[[Finding], None]) -> int:
        async def look(payment: Payment) -> bool:
            now_is = payment
            if everything or self._is_due(payment.challenge_id):
                now_is = await self.look_again(payment)
            if now_is.state in _UNDECIDED:
                return True
            self._pauses.pop(payment.challenge_id, None)
            found(Finding(before=payment, after=now_is))
            return False

        undecided = 0
        after: Cursor | None = None
        while page := await self._ledger.select(Query(states=_UNDECIDED), after=after, limit=_PAGE):
            undecided += await _count(look, page)
            after = (page[-1].created_at, page[-1].challenge_id)
        return undecided

    async def _refunds(self, everything: bool, found: Callable[[Finding], None]) -> int:
        async def look(refund: Refund) -> bool:
            now_is = refund
            if everything or self._is_due(refund.id):
                try:
                    now_is = await self._refunder.look_again(refund)
                except PaymentError as error:  # another worker was quicker
                    logger.info("refund %s: %s", refund.id, error)
            if now_is.state in OPEN_REFUNDS:
                return True
            self._pauses.pop(refund.id, None)
            found(Finding(before=refund, after=now_is))
            return False

        refunds = await self._ledger.select_open_refunds(until=self._clock(), limit=10 * _PAGE)
        return await _count(look, refunds)

    async def _windows(self, found: Callable[[Finding], None]) -> None:
        """Settled payments that were never fetched are given up on, so that they show as owed."""
        over = self._clock() - self._redelivery_window
        after: Cursor | None = None
        query = Query(states=frozenset({State.SETTLED}), until=over)
        while page := await self._ledger.select(query, after=after, limit=_PAGE):
            for payment in page:
                if (payment.settled_at or payment.created_at) < over:
                    given_up = await self._alone(payment, self._given_up)
                    if given_up.state is State.UNDELIVERED:
                        found(Finding(before=payment, after=given_up))
            after = (page[-1].created_at, page[-1].challenge_id)

    async def _alone(self, payment: Payment, work: Callable[[Payment], Awaitable[Payment]]) -> Payment:
        """Do it under the payment's lease, from the row as it is now; nothing, if somebody else has it."""
        lease = Lease(self._leases, payment.challenge_id)
        if not await lease.take():
            return payment
        try:
            row = await self._ledger.find(payment.challenge_id)
            return payment if row is None else await work(row)
        except PaymentError as error:
            logger.warning("payment %s: %s", payment.reference, error.log or error)
            return payment
        finally:
            await lease.release()

    async def _looked_up(self, payment: Payment, reference: str | None) -> Payment:
        if payment.state not in NOT_SETTLED:
            return payment
        method = self._find_method(payment)
        if method is None:
            logger.error(
                "payment %s cannot be looked up: the paywall has no method %s/%s",
                payment.reference,
                payment.method,
                payment.intent,
            )
            return payment
        settlement = await look_up(
            method,
            payment,
            reference=reference,
            within=self._patience,
            watcher=self._register.events.watcher,
        )
        if isinstance(settlement, NotSent) and self._clock() > payment.expires_at + _TIME_TO_COME_BACK:
            # It needs its payer to be sent, and they are gone.
            settlement = Failed(reason="It was not sent in time.", slug=PaymentExpired.slug)
        return await self._register.record(payment, settlement)

    async def _given_up(self, payment: Payment) -> Payment:
        if payment.state is not State.SETTLED:
            return payment
        return await self._register.give_up(payment)

    def _is_due(self, name: str) -> bool:
        now = self._clock()
        due, pause = self._pauses.get(name, (0.0, _FIRST_PAUSE / 2))
        if now < due:
            return False
        if len(self._pauses) >= _MOST_PAUSES:
            self._pauses.clear()  # asked once more than need be
        pause = min(2 * pause, _LONGEST_PAUSE)
        self._pauses[name] = (now + pause, pause)
        return True


async def _count(look: Callable[[T], Awaitable[bool]], rows: Sequence[T]) -> int:
    """How many of these rows it is true of, looking at a few at a time: one may take long to be found out.

    What a look raises is raised when those beside it have ended.
    """
    count = 0
    for first in range(0, len(rows), _AT_ONCE):
        looks = (look(row) for row in rows[first : first + _AT_ONCE])
        for answer in await asyncio.gather(*looks, return_exceptions=True):
            if isinstance(answer, BaseException):
                raise answer
            count += answer
    return count
