"""A ledger in an SQL database: every call of the contract as a script, and how one runs left open."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from enum import Enum, auto
from typing import TypeVar

from coinslot.payments.answers import Answer
from coinslot.payments.books import Cursor, Query, Total
from coinslot.payments.payment import Payment
from coinslot.payments.records import Record
from coinslot.payments.refunds import Refund
from coinslot.storage import book_scripts, payment_scripts, record_scripts, refund_scripts
from coinslot.storage.passing_scripts import SWEEP_EVERY, PassingScripts
from coinslot.storage.script import Dialect, Script

T = TypeVar("T")


class Need(Enum):
    """What a script needs of whoever runs it."""

    FIND = auto()
    """Reads a row or a few; somebody waits for it."""

    REPORT = auto()
    """Reads any number of rows. What others ask does not wait behind it."""

    WRITE = auto()
    """Changes one row, and is on the disk before anybody is told."""

    TRANSACTION = auto()
    """The same, where the change depends on what is read before it."""

    HOLD = auto()
    """Changes what is not worth a wait for the disk."""


class SQLLedger(ABC):
    """What all ledgers in SQL databases have in common."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._passing = PassingScripts(dialect)
        self._leases = itertools.count(1)

    @abstractmethod
    async def _run(self, script: Script[T], need: Need) -> T:
        """Run a script to its end. A caller that is cancelled does not take a write along."""

    async def find(self, challenge_id: str) -> Payment | None:
        """The payment for this challenge."""
        return await self._run(payment_scripts.find(challenge_id), Need.FIND)

    async def find_by_proof(self, proof_key: str) -> Payment | None:
        """The payment with this proof."""
        return await self._run(payment_scripts.find_by_proof(proof_key), Need.FIND)

    async def find_by_reference(self, reference: str) -> Payment | None:
        """The newest payment that the world knows by this reference."""
        return await self._run(payment_scripts.find_by_reference(reference), Need.FIND)

    async def insert(self, payment: Payment) -> None:
        """Write down a new payment. Raises `AlreadyClaimed`."""
        await self._run(payment_scripts.insert(payment), Need.WRITE)

    async def replace(self, before: Payment, after: Payment) -> bool:
        """Compare-and-set on `before.revision`."""
        return await self._run(payment_scripts.replace(before, after), Need.WRITE)

    async def insert_refund(self, refund: Refund) -> bool:
        """Write down a new refund, if its payment has that much left."""
        return await self._run(refund_scripts.insert_refund(refund), Need.TRANSACTION)

    async def replace_refund(self, before: Refund, after: Refund) -> bool:
        """Compare-and-set on `before.revision`."""
        return await self._run(refund_scripts.replace_refund(before, after), Need.WRITE)

    async def find_refund(self, reference: str) -> Refund | None:
        """The newest refund that the world knows by this reference."""
        return await self._run(refund_scripts.find_refund(reference), Need.FIND)

    async def select_refunds(self, challenge_id: str) -> list[Refund]:
        """The refunds of one payment, the first one first."""
        return await self._run(refund_scripts.select_refunds(challenge_id), Need.FIND)

    async def select_open_refunds(self, *, until: float, limit: int) -> list[Refund]:
        """Open refunds last touched by `until`, the longest ago first."""
        return await self._run(refund_scripts.select_open_refunds(until, limit), Need.REPORT)

    async def keep_answer(self, answer: Answer) -> bool:
        """Keep a payment's answer, if it has none."""
        return await self._run(self._passing.keep_answer(answer), Need.WRITE)

    async def find_answer(self, challenge_id: str) -> Answer | None:
        """The answer that is kept, unless its time is over."""
        return await self._run(self._passing.find_answer(challenge_id), Need.FIND)

    async def find_record(self, kind: str, key: str) -> Record | None:
        """The record of this name."""
        return await self._run(record_scripts.find_record(kind, key), Need.FIND)

    async def insert_record(self, record: Record) -> bool:
        """Write a new record, if there is none of this name."""
        return await self._run(record_scripts.insert_record(record), Need.WRITE)

    async def replace_record(self, before: Record, after: Record | None) -> bool:
        """Compare-and-set on `before.revision`; None deletes it."""
        return await self._run(record_scripts.replace_record(before, after), Need.WRITE)

    async def select_records(self, kind: str, state: str, *, until: float, limit: int) -> list[Record]:
        """Records that are due by `until`, the longest due first."""
        return await self._run(record_scripts.select_records(kind, state, until, limit), Need.FIND)

    async def count_records(self, kind: str, state: str) -> int:
        """How many there are."""
        return await self._run(record_scripts.count_records(kind, state), Need.FIND)

    async def select(
        self, query: Query, *, after: Cursor | None = None, newest_first: bool = False, limit: int = 100
    ) -> list[Payment]:
        """A page of payments in the order of `(created_at, challenge_id)`."""
        return await self._run(book_scripts.select(query, after, newest_first, limit), Need.REPORT)

    async def totals(self, query: Query) -> list[Total]:
        """Sums, exact, in the order of day, method, currency, route."""
        return await self._run(book_scripts.totals(query, self._dialect), Need.REPORT)

    async def lease(self, name: str, owner: str, seconds: float) -> bool:
        """Take or renew the lease."""
        if next(self._leases) % SWEEP_EVERY == 0:
            await self._run(self._passing.sweep_leases(), Need.HOLD)
        return await self._run(self._passing.lease(name, owner, seconds), Need.HOLD)

    async def release(self, name: str, owner: str) -> None:
        """Give the lease back, if `owner` has it."""
        await self._run(self._passing.release(name, owner), Need.HOLD)
