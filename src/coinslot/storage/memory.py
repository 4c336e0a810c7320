"""A ledger in memory: for tests, development and a first try. It ends with its process."""

from __future__ import annotations

import heapq
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from coinslot.errors import AlreadyClaimed, LedgerError
from coinslot.payments.ledger import Payment, State
from coinslot.storage.replacement import check_replacement

# In these nothing more happens to a payment unless somebody steps in by hand.
_FINAL: Final = frozenset({State.DELIVERED, State.FAILED, State.UNDELIVERED})

# How long after its challenge expired a payment is kept, in seconds: clocks differ.
_MARGIN: Final = 300.0

# How many leases each call looks at: more than it adds, so lapsed ones do not pile up.
_SWEEP: Final = 2


class MemoryLedger:
    """Keeps at most `capacity` payments, and as many leases.

    When it is full, a new payment takes the place of one that is final and whose challenge is well past its
    expiry (and so would be refused for that alone): the one that expired first. If there is none, `insert`
    raises `LedgerError`. A payment that is forgotten takes its proof key along: what must remember proofs for
    ever needs a disk.

    A lease takes constant time, a payment at most logarithmic, amortised. `clock` tells the Unix time.
    """

    def __init__(self, capacity: int = 100_000, *, clock: Callable[[], float] = time.time) -> None:
        if capacity < 1:
            raise ValueError("a ledger needs room for at least one payment")
        self._capacity = capacity
        self._clock = clock
        self._lock = threading.Lock()  # callers may be on several event loops
        self._payments: dict[str, Payment] = {}
        self._proof_keys: set[str] = set()
        # When each payment that has become final may be forgotten; one entry for each in `_final`.
        self._forgettable: list[tuple[float, str]] = []
        self._final: set[str] = set()
        self._leases: OrderedDict[str, tuple[str, float]] = OrderedDict()

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

    async def insert(self, payment: Payment) -> None:
        """Write down a new payment. Raises `AlreadyClaimed`, and `LedgerError` if there is no room."""
        with self._lock:
            if payment.challenge_id in self._payments:
                raise AlreadyClaimed("challenge")
            if payment.proof_key in self._proof_keys:
                raise AlreadyClaimed("proof")
            if len(self._payments) >= self._capacity:
                self._forget_one()
            self._proof_keys.add(payment.proof_key)
            self._put(payment)

    async def replace(self, before: Payment, after: Payment) -> bool:
        """Compare-and-set on `before.revision`."""
        check_replacement(before, after)
        with self._lock:
            current = self._payments.get(before.challenge_id)
            if current is None or current.revision != before.revision:
                return False
            self._put(after)
            return True

    async def lease(self, challenge_id: str, owner: str, seconds: float) -> bool:
        """Take or renew the lease. Raises `LedgerError` if there are too many."""
        with self._lock:
            now = self._clock()
            self._sweep(now)
            holder, until = self._leases.get(challenge_id, (owner, now))
            if holder != owner and until > now:
                return False
            if challenge_id not in self._leases and len(self._leases) >= self._capacity:
                raise LedgerError(f"the memory ledger is full: {self._capacity} payments are being worked on")
            self._leases[challenge_id] = (owner, now + seconds)
            return True

    async def release(self, challenge_id: str, owner: str) -> None:
        """Give the lease back, if `owner` has it."""
        with self._lock:
            if challenge_id in self._leases and self._leases[challenge_id][0] == owner:
                del self._leases[challenge_id]

    def _put(self, payment: Payment) -> None:
        challenge_id = payment.challenge_id
        self._payments[challenge_id] = payment
        if payment.state in _FINAL and challenge_id not in self._final:
            self._final.add(challenge_id)
            heapq.heappush(self._forgettable, (payment.expires_at + _MARGIN, challenge_id))

    def _forget_one(self) -> None:
        """Make room for one payment, or raise `LedgerError`."""
        now = self._clock()
        while self._forgettable and self._forgettable[0][0] <= now:
            _, challenge_id = heapq.heappop(self._forgettable)
            self._final.remove(challenge_id)
            payment = self._payments[challenge_id]
            if payment.state in _FINAL:  # not so if it was moved on by hand since
                del self._payments[challenge_id]
                self._proof_keys.remove(payment.proof_key)
                return
        raise LedgerError(
            f"the memory ledger is full: {self._capacity} payments are unfinished, or too young to be "
            'forgotten; use a ledger on disk, such as "sqlite:///coinslot.db"'
        )

    def _sweep(self, now: float) -> None:
        """Look at the oldest few leases: a lapsed one goes, a live one goes to the end of the queue."""
        for _ in range(min(_SWEEP, len(self._leases))):
            challenge_id, (_, until) = next(iter(self._leases.items()))
            if until <= now:
                del self._leases[challenge_id]
            else:
                self._leases.move_to_end(challenge_id)
