"""One method's payments in a range of time against what the world says of them (see `audit`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from typing import Final

from msgspec.structs import replace

from coinslot.errors import CoinslotError
from coinslot.payments.asking import where
from coinslot.payments.books import Cursor, Query, Total
from coinslot.payments.differences import Difference, Kind, Summary
from coinslot.payments.ledger import Ledger
from coinslot.payments.method import Audits, Movement, ServerMethod
from coinslot.payments.payment import Payment, State
from coinslot.payments.refunds import Refund, RefundState

_PAGE: Final = 5_000
_DAY: Final = 86_400.0
_MARGINS: Final = (120.0, 7_200.0, 3 * _DAY)
"""Seconds before and after a slice in which its money is looked for, in turn."""

_MONEY: Final = frozenset({State.SETTLED, State.DELIVERED, State.UNDELIVERED, State.UNAPPLIED})
_UNDECIDED: Final = frozenset({State.SETTLING, State.UNKNOWN})


class _Held:
    """What is known of one reference: its payments, and what the world has of it, by currency."""

    def __init__(self) -> None:
        self.payments: list[Payment] = []
        self.received: Counter[str] = Counter()

    @property
    def is_missing(self) -> bool:
        return not self.received and any(payment.state in _MONEY for payment in self.payments)


class _Silence(Exception):
    """The world gave no answer. The message is fit for people."""


class Comparison:
    """One method's payments of the range, and what the world says of them."""

    def __init__(
        self,
        ledger: Ledger,
        method: Audits,
        intents: set[tuple[str, str]],
        totals: Iterable[Total],
        since: float,
        until: float,
        summary: Summary,
    ) -> None:
        assert isinstance(method, ServerMethod)
        self._ledger = ledger
        self._method = method
        self._name, self._intent = method.name, method.intent
        self._intents = set(intents)
        self._since, self._until = since, until
        self._summary = summary
        self._days_with_refunds = {
            total.day for total in totals if total.method == self._name and total.refunded + total.refunding
        }
        self._refunds: dict[str, tuple[Payment, Refund]] = {}  # done, and not found in the world yet

    async def run(self) -> AsyncIterator[Difference]:
        """Every difference, slice by slice."""
        query = Query(since=self._since, until=self._until, method=self._name)
        start, is_last = self._since, False
        after: Cursor | None = None
        while not is_last:
            page = await self._ledger.select(query, after=after, limit=_PAGE)
            is_last = len(page) < _PAGE
            end = self._until if is_last else page[-1].created_at
            async for difference in self._slice(page, start, end):
                yield difference
            if page:
                start, after = end, (page[-1].created_at, page[-1].challenge_id)
        async for difference in self._unconfirmed_refunds():
            yield difference

    async def _slice(self, page: list[Payment], start: float, end: float) -> AsyncIterator[Difference]:
        """The payments of one page, and what moved from `start` to `end`."""
        held: dict[str, _Held] = {}
        for payment in page:
            if payment.intent == self._intent:
                difference = await self._enter(payment, held)
            else:
                difference = self._of_another_intent(payment.intent)
            if difference is not None:
                yield difference
        recipients = frozenset(payment.recipient for payment in page if payment.recipient is not None)
        try:
            async for difference in self._hear(held, start, end, recipients):
                yield difference
        except _Silence as silence:
            yield self._difference(
                Kind.NOT_AUDITED,
                f"from {_when(start)} to {_when(end)}, {self._name} did not answer: {silence}",
            )
            return
        for one in held.values():
            async for difference in self._judge(one):
                yield difference

    async def _enter(self, payment: Payment, held: dict[str, _Held]) -> Difference | None:
        """Take up a payment of the page, and its refunds."""
        self._summary.payments += 1
        if payment.amount == 0:
            return None
        held.setdefault(payment.reference, _Held()).payments.append(payment)
        sums = self._summary.sums_of(self._name, payment.currency)
        if payment.state in _UNDECIDED:
            detail = f"the payment is {payment.state}: {payment.reason or 'no answer yet'}"
            return self._difference(Kind.UNDECIDED, detail, payment)
        if payment.state in _MONEY:
            sums.recorded += payment.amount
        refunded = 0
        if _day(payment.created_at) in self._days_with_refunds:
            for refund in await self._ledger.select_refunds(payment.challenge_id):
                if refund.state is RefundState.DONE and refund.reference is not None:
                    refunded += refund.amount
                    self._refunds[refund.reference] = (payment, refund)
        sums.refunds_recorded += refunded
        if payment.state is State.UNAPPLIED and refunded < payment.amount:
            due = payment.amount - refunded
            return self._difference(Kind.UNREFUNDED, f"{due} base units of it are still to go back", payment)
        return None

    async def _hear(
        self, held: dict[str, _Held], start: float, end: float, recipients: frozenset[str]
    ) -> AsyncIterator[Difference]:
        """What the world says of `held`, and what it says of others. Raises `_Silence`."""
        nearest, *wider = _MARGINS
        async for movement in self._moved(start - nearest, end + nearest, recipients):
            is_own = start <= movement.at < end
            difference = None
            if is_own:
                self._count(movement)
            if not movement.is_refund and movement.reference in held:
                held[movement.reference].received[movement.currency] += movement.amount
            elif is_own:
                difference = await (self._sent_back if movement.is_refund else self._came_in)(movement)
            if difference is not None:
                yield difference
        for margin in wider:
            missing = {reference for reference, one in held.items() if one.is_missing}
            if not missing:
                return
            async for movement in self._moved(start - margin, end + margin, recipients):
                if not movement.is_refund and movement.reference in missing:
                    held[movement.reference].received[movement.currency] += movement.amount

    async def _moved(self, since: float, until: float, recipients: frozenset[str]) -> AsyncIterator[Movement]:
        """What the method says. Whatever it raises comes out as `_Silence`."""
        try:
            async for movement in self._method.movements(since=since, until=until, recipients=recipients):
                yield movement
        except CoinslotError as error:
            raise _Silence(str(error)) from error
        except Exception as error:  # what a method raises may quote a credential
            raise _Silence(where(error)) from error

    async def _came_in(self, movement: Movement) -> Difference | None:
        """Money for none of the payments at hand: is it another one's?"""
        payment = await self._ledger.find_by_reference(movement.reference)
        if payment is None:
            return self._of_world(Kind.UNRECORDED, "money came in that the ledger does not know", movement)
        if payment.state is State.FAILED:
            return self._not_failed(payment, movement.amount)
        return None

    async def _sent_back(self, movement: Movement) -> Difference | None:
        """Money that went back: under which refund?"""
        _, refund = self._refunds.pop(movement.reference, (None, None))
        refund = refund or await self._ledger.find_refund(movement.reference)
        if refund is None:
            return self._of_world(
                Kind.REFUND_UNRECORDED, "money went back that the ledger does not know", movement
            )
        if refund.state is RefundState.FAILED:
            detail = "the ledger says that the refund failed, and it went through"
            return self._of_world(Kind.REFUND_NOT_FAILED, detail, movement, refund)
        if refund.amount != movement.amount:
            detail = "the refund is of another amount than the ledger has"
            return self._of_world(Kind.REFUND_AMOUNT, detail, movement, refund)
        return None

    async def _judge(self, held: _Held) -> AsyncIterator[Difference]:
        """The payments of one reference against what the world has of it."""
        payments = [payment for payment in held.payments if payment.state in _MONEY]
        if not payments:
            for payment in held.payments:
                if payment.state is State.FAILED and held.received:
                    yield self._not_failed(payment, held.received.total())
            return
        if not held.received:
            for payment in payments:
                detail = f"the payment is {payment.state}, and the world does not know its money"
                yield self._difference(Kind.UNCONFIRMED, detail, payment, received=0)
            return
        recorded = _recorded(payments)
        if recorded != held.received:
            recorded += _recorded(await self._siblings(payments))
        if recorded != held.received:
            first = payments[0]
            detail = f"the ledger has {_listed(recorded)}, and the world {_listed(held.received)}"
            difference = self._difference(Kind.AMOUNT, detail, first, received=held.received[first.currency])
            yield replace(difference, recorded=recorded[first.currency])

    async def _siblings(self, payments: list[Payment]) -> list[Payment]:
        """Other payments of the same reference, which were written down at another time."""
        first, known = payments[0], {payment.challenge_id for payment in payments}
        if first.payer is None:
            return []
        query = Query(
            since=first.created_at - _DAY,
            until=first.created_at + _DAY,
            states=_MONEY,
            method=self._name,
            payer=first.payer,
        )
        found: list[Payment] = []
        after: Cursor | None = None
        while page := await self._ledger.select(query, after=after, limit=_PAGE):
            found += (one for one in page if one.reference == first.reference)
            after = (page[-1].created_at, page[-1].challenge_id)
        return [one for one in found if one.challenge_id not in known]

    async def _unconfirmed_refunds(self) -> AsyncIterator[Difference]:
        """Refunds of the range's payments that the range did not show: they may have been made after it."""
        if not self._refunds:
            return
        rows = [refund for _, refund in self._refunds.values()]
        since = min(refund.created_at for refund in rows) - _MARGINS[0]
        until = max(refund.updated_at for refund in rows) + _MARGINS[0]
        recipients = frozenset(
            one.recipient for one, _ in self._refunds.values() if one.recipient is not None
        )
        try:
            async for movement in self._moved(since, until, recipients):
                if movement.is_refund and movement.reference in self._refunds:
                    difference = await self._sent_back(movement)
                    if difference is not None:
                        yield difference
        except _Silence as silence:
            yield self._difference(Kind.NOT_AUDITED, f"{self._name} did not answer about refunds: {silence}")
            return
        for payment, refund in self._refunds.values():
            yield Difference(
                kind=Kind.REFUND_UNCONFIRMED,
                method=self._name,
                detail="the refund is done, and the world does not know it",
                reference=refund.reference,
                currency=payment.currency,
                recorded=refund.amount,
                received=0,
                challenge_id=payment.challenge_id,
                refund_id=refund.id,
                payer=payment.payer,
                at=refund.updated_at,
            )

    def _count(self, movement: Movement) -> None:
        self._summary.movements += 1
        sums = self._summary.sums_of(self._name, movement.currency)
        if movement.is_refund:
            sums.refunds_received += movement.amount
        else:
            sums.received += movement.amount

    def _of_another_intent(self, intent: str) -> Difference | None:
        """Payments of an intent that no method has are told of once."""
        if (self._name, intent) in self._intents:
            return None
        self._intents.add((self._name, intent))
        return self._difference(Kind.NOT_AUDITED, f"there is no method {self._name}/{intent} to ask")

    def _not_failed(self, payment: Payment, received: int) -> Difference:
        detail = "the ledger says that the payment failed, and the world has its money"
        return self._difference(Kind.NOT_FAILED, detail, payment, received=received)

    def _difference(
        self, kind: Kind, detail: str, payment: Payment | None = None, *, received: int | None = None
    ) -> Difference:
        if payment is None:
            return Difference(kind=kind, method=self._name, detail=detail)
        return Difference(
            kind=kind,
            method=self._name,
            detail=detail,
            reference=payment.reference,
            currency=payment.currency,
            recorded=payment.amount,
            received=received,
            challenge_id=payment.challenge_id,
            payer=payment.payer,
            at=payment.created_at,
        )

    def _of_world(
        self, kind: Kind, detail: str, movement: Movement, refund: Refund | None = None
    ) -> Difference:
        return Difference(
            kind=kind,
            method=self._name,
            detail=detail,
            reference=movement.reference,
            currency=movement.currency,
            recorded=None if refund is None else refund.amount,
            received=movement.amount,
            challenge_id=None if refund is None else refund.challenge_id,
            refund_id=None if refund is None else refund.id,
            payer=movement.payer,
            at=movement.at,
        )


def _recorded(payments: Iterable[Payment]) -> Counter[str]:
    recorded: Counter[str] = Counter()
    for payment in payments:
        recorded[payment.currency] += payment.amount
    return recorded


def _listed(amounts: Counter[str]) -> str:
    return " and ".join(f"{amount} of {currency}" for currency, amount in sorted(amounts.items()))


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).date().isoformat()


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
