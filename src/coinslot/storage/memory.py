"""A ledger in memory: for tests, development and a first try. It ends with its process."""

from __future__ import annotations

import heapq
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Final

from coinslot.errors import AlreadyClaimed, LedgerError
from coinslot.payments.books import Cursor, Query, Total
from coinslot.payments.payment import Payment, State
from coinslot.storage.memory_answers import MemoryAnswers
from coinslot.storage.memory_leases import MemoryLeases
from coinslot.storage.memory_records import MemoryRecords
from coinslot.storage.memory_refunds import MemoryRefunds
from coinslot.storage.replacement import check_payment
from coinslot.storage.totals import DAY, Kind, Line, Sum, add_up

# In these nothing more happens to a payment unless somebody steps in by hand.
_FINAL: Final = frozenset({State.DELIVERED, State.FAILED, State.UNDELIVERED, State.UNAPPLIED})

# How long after its challenge expired a payment is kept, in seconds: for an hour one that was made in time
# can still be shown, and clocks differ.
_MARGIN: Final = 3600.0 + 300.0

# Bytes of answers.
_ANSWERS: Final = 64 * 1024 * 1024


class MemoryLedger(MemoryRefunds, MemoryAnswers, MemoryRecords, MemoryLeases):
    """Keeps at most `capacity` payments, and as many leases, refunds and records.

    When it is full, a new payment takes the place of one that is final and whose challenge is well past its
    expiry (and so would be refused for that alone): the one that expired first. If there is none, `insert`
    raises `LedgerError`. A payment that is forgotten takes its proof key and its refunds along: what must
    remember proofs for ever needs a disk. Answers have 64 MiB; beyond that, those that would end first go.

    A lease takes constant time, a payment at most logarithmic, amortised; the books take as long as there are
    payments. `clock` tells the Unix time.
    """

    def __init__(self, capacity: int = 100_000, *, clock: Callable[[], float] = time.time) -> None:
        if capacity < 1:
            raise ValueError("a ledger needs room for at least one payment")
        MemoryRefunds.__init__(self, capacity)
        MemoryAnswers.__init__(self, _ANSWERS, clock)
        MemoryRecords.__init__(self, capacity)
        MemoryLeases.__init__(self, capacity, clock)
        self._capacity = capacity
        self._clock = clock
        self._payments: dict[str, Payment] = {}
        self._payments_by_state: dict[State, dict[str, Payment]] = {state: {} for state in State}
        self._proofs: dict[str, str] = {}
        self._references: defaultdict[str, set[str]] = defaultdict(set)
        # When each payment that has become final may be forgotten; one entry for each in `_final`.
        self._forgettable: list[tuple[float, str]] = []
        self._final: set[str] = set()

    def __len__(self) -> int:
        """How many payments it holds."""
        return len(self._payments)

    async def open(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        """Nothing to let go of; what it holds stays until the ledger itself is gone."""

    async def find(self, challenge_id: str) -> Payment | None:
        """The payment for this challenge."""
        with self._lock:
            return self._payments.get(challenge_id)

    async def find_by_proof(self, proof_key: str) -> Payment | None:
        """The payment with this proof."""
        with self._lock:
            challenge_id = self._proofs.get(proof_key)
            return None if challenge_id is None else self._payments[challenge_id]

    async def find_by_reference(self, reference: str) -> Payment | None:
        """The newest payment that the world knows by this reference."""
        with self._lock:
            found = [self._payments[name] for name in self._references.get(reference, ())]
        return max(found, key=_place, default=None)

    async def insert(self, payment: Payment) -> None:
        """Write down a new payment. Raises `AlreadyClaimed`, and `LedgerError` if there is no room."""
        with self._lock:
            if payment.challenge_id in self._payments:
                raise AlreadyClaimed("challenge")
            if payment.proof_key in self._proofs:
                raise AlreadyClaimed("proof")
            if len(self._payments) >= self._capacity:
                self._forget_one()
            self._proofs[payment.proof_key] = payment.challenge_id
            self._put(payment)

    async def replace(self, before: Payment, after: Payment) -> bool:
        """Compare-and-set on `before.revision`."""
        check_payment(before, after)
        with self._lock:
            current = self._payments.get(before.challenge_id)
            if current is None or current.revision != before.revision:
                return False
            self._unlist(current)
            self._put(after)
            return True

    async def select(
        self, query: Query, *, after: Cursor | None = None, newest_first: bool = False, limit: int = 100
    ) -> list[Payment]:
        """A page of payments in the order of `(created_at, challenge_id)`."""
        found = self._matching(query)
        if newest_first:
            page = (payment for payment in found if after is None or _place(payment) < after)
            return heapq.nlargest(limit, page, key=_place)
        page = (payment for payment in found if after is None or _place(payment) > after)
        return heapq.nsmallest(limit, page, key=_place)

    async def totals(self, query: Query) -> list[Total]:
        """Sums, exact, in the order of day, method, currency, route."""
        sums: list[Sum] = []
        for payment in self._matching(query):
            line = Line(int(payment.created_at) // DAY, payment.method, payment.currency, payment.route)
            sums.append(Sum(line, Kind.PAYMENT, payment.state, 1, payment.amount))
            with self._lock:
                refunds = self._select_refunds(payment.challenge_id)
            sums += (Sum(line, Kind.REFUND, refund.state, 1, refund.amount) for refund in refunds)
        return add_up(sums)

    def _matching(self, query: Query) -> list[Payment]:
        with self._lock:
            payments = [
                payment
                for state in query.states or State
                for payment in self._payments_by_state[state].values()
            ]
        return [payment for payment in payments if _matches(payment, query)]

    def _paid(self, challenge_id: str) -> int | None:
        payment = self._payments.get(challenge_id)
        return None if payment is None else payment.amount

    def _put(self, payment: Payment) -> None:
        challenge_id = payment.challenge_id
        self._payments[challenge_id] = payment
        self._payments_by_state[payment.state][challenge_id] = payment
        self._references[payment.reference].add(challenge_id)
        if payment.state in _FINAL and challenge_id not in self._final:
            self._final.add(challenge_id)
            heapq.heappush(self._forgettable, (payment.expires_at + _MARGIN, challenge_id))

    def _unlist(self, payment: Payment) -> None:
        del self._payments_by_state[payment.state][payment.challenge_id]
        names = self._references[payment.reference]
        names.remove(payment.challenge_id)
        if not names:
            del self._references[payment.reference]

    def _forget_one(self) -> None:
        """Make room for one payment, or raise `LedgerError`."""
        now = self._clock()
        while self._forgettable and self._forgettable[0][0] <= now:
            _, challenge_id = heapq.heappop(self._forgettable)
            payment = self._payments[challenge_id]
            if payment.state not in _FINAL:  # moved on by hand since
                self._final.remove(challenge_id)
            elif self._forget_refunds(challenge_id):
                self._final.remove(challenge_id)
                self._unlist(payment)
                del self._payments[challenge_id]
                del self._proofs[payment.proof_key]
                return
            else:
                heapq.heappush(self._forgettable, (now + _MARGIN, challenge_id))
        raise LedgerError(
            f"the memory ledger is full: {self._capacity} payments are unfinished, or too young to be "
            'forgotten; use a ledger on disk, such as "sqlite:///coinslot.db"'
        )


def _place(payment: Payment) -> Cursor:
    return payment.created_at, payment.challenge_id


def _matches(payment: Payment, query: Query) -> bool:
    """All but the state, which it was chosen by."""
    return (
        (query.since is None or payment.created_at >= query.since)
        and (query.until is None or payment.created_at < query.until)
        and query.method in (None, payment.method)
        and query.currency in (None, payment.currency)
        and query.route in (None, payment.route)
        and (query.payer is None or payment.payer == query.payer)
        and (query.recipient is None or payment.recipient == query.recipient)
        and query.disputed in (None, payment.disputed)
    )
