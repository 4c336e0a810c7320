"""Refunds in memory."""

from __future__ import annotations

import heapq
import threading
from abc import ABC, abstractmethod
from collections import defaultdict

from coinslot.errors import LedgerError
from coinslot.payments.refunds import OPEN_REFUNDS, Refund, RefundState
from coinslot.storage.replacement import check_new_refund, check_refund


class MemoryRefunds(ABC):
    """Keeps at most `capacity` refunds. `_lock` is held for every call."""

    def __init__(self, capacity: int) -> None:
        self._refund_capacity = capacity
        self._lock = threading.Lock()  # callers may be on several event loops
        self._refunds: dict[str, Refund] = {}
        self._refund_keys: set[str] = set()
        self._refunds_of: defaultdict[str, list[str]] = defaultdict(list)
        self._refund_references: defaultdict[str, set[str]] = defaultdict(set)
        self._open_refunds: set[str] = set()

    @abstractmethod
    def _paid(self, challenge_id: str) -> int | None:
        """What a payment paid; None if there is none."""

    async def insert_refund(self, refund: Refund) -> bool:
        """Write down a new refund, if its payment has that much left."""
        check_new_refund(refund)
        with self._lock:
            paid = self._paid(refund.challenge_id)
            if paid is None:
                raise LedgerError("there is no payment that this refund is of")
            if refund.id in self._refunds or refund.key in self._refund_keys:
                raise LedgerError("there is a refund with this id or this key")
            if len(self._refunds) >= self._refund_capacity:
                raise LedgerError(f"the memory ledger is full: it keeps {self._refund_capacity} refunds")
            others = self._select_refunds(refund.challenge_id)
            taken = sum(other.amount for other in others if other.state is not RefundState.FAILED)
            if taken + refund.amount > paid:
                return False
            self._refund_keys.add(refund.key)
            self._refunds_of[refund.challenge_id].append(refund.id)
            self._put_refund(refund)
            return True

    async def replace_refund(self, before: Refund, after: Refund) -> bool:
        """Compare-and-set on `before.revision`."""
        check_refund(before, after)
        with self._lock:
            current = self._refunds.get(before.id)
            if current is None or current.revision != before.revision:
                return False
            self._unlist_refund(current)
            self._put_refund(after)
            return True

    async def find_refund(self, reference: str) -> Refund | None:
        """The newest refund that the world knows by this reference."""
        with self._lock:
            found = [self._refunds[name] for name in self._refund_references.get(reference, ())]
        return max(found, key=lambda refund: (refund.created_at, refund.id), default=None)

    async def select_refunds(self, challenge_id: str) -> list[Refund]:
        """The refunds of one payment, the first one first."""
        with self._lock:
            found = self._select_refunds(challenge_id)
        return sorted(found, key=lambda refund: (refund.created_at, refund.id))

    async def select_open_refunds(self, *, until: float, limit: int) -> list[Refund]:
        """Open refunds last touched by `until`, the longest ago first."""
        with self._lock:
            found = [self._refunds[name] for name in self._open_refunds]
        due = (refund for refund in found if refund.updated_at <= until)
        return heapq.nsmallest(limit, due, key=lambda refund: (refund.updated_at, refund.id))

    def _select_refunds(self, challenge_id: str) -> list[Refund]:
        return [self._refunds[name] for name in self._refunds_of.get(challenge_id, ())]

    def _forget_refunds(self, challenge_id: str) -> bool:
        """Forget a payment's refunds, unless one of them is open: then nothing, and False."""
        refunds = self._select_refunds(challenge_id)
        if any(refund.state in OPEN_REFUNDS for refund in refunds):
            return False
        for refund in refunds:
            self._unlist_refund(refund)
            self._refund_keys.remove(refund.key)
            del self._refunds[refund.id]
        self._refunds_of.pop(challenge_id, None)
        return True

    def _put_refund(self, refund: Refund) -> None:
        self._refunds[refund.id] = refund
        if refund.reference is not None:
            self._refund_references[refund.reference].add(refund.id)
        if refund.state in OPEN_REFUNDS:
            self._open_refunds.add(refund.id)

    def _unlist_refund(self, refund: Refund) -> None:
        self._open_refunds.discard(refund.id)
        if refund.reference is not None:
            names = self._refund_references[refund.reference]
            names.discard(refund.id)
            if not names:
                del self._refund_references[refund.reference]
