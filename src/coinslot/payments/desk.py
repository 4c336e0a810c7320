"""A desk: what a method has of the ledger between payments."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from coinslot.errors import AlreadyClaimed
from coinslot.payments.cache import Cache
from coinslot.payments.events import Events, PaymentUnapplied
from coinslot.payments.lease import Lease
from coinslot.payments.leases import Leases
from coinslot.payments.ledger import Ledger
from coinslot.payments.method import Proof
from coinslot.payments.payment import Payment, State
from coinslot.payments.records import Records

NO_CHALLENGE = "unapplied:"
"""How the `challenge_id` of money begins that came without one; no challenge's id has a colon."""


class Desk:
    """One method's desk. Its calls may raise `LedgerError`. `cache` is what workers share, if they do."""

    def __init__(
        self,
        ledger: Ledger,
        leases: Leases,
        events: Events,
        *,
        method: str,
        intent: str,
        cache: Cache | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ledger = ledger
        self._leases = leases
        self._events = events
        self._method = method
        self._intent = intent
        self.cache = cache
        self._clock = clock

    @property
    def records(self) -> Records:
        """Where the method keeps its records."""
        return self._ledger

    async def find(self, *, proof_key: str | None = None, reference: str | None = None) -> Payment | None:
        """The payment with this proof, or else the one that the world knows by this reference."""
        found = await self._ledger.find_by_proof(proof_key) if proof_key is not None else None
        if found is None and reference is not None:
            found = await self._ledger.find_by_reference(reference)
        return found

    async def unapplied(self, received: Proof, reason: str) -> Payment | None:
        """Keep money that came and pays for nothing, for a refund. None if it is kept already.

        `received.key` is unique to the transfer; `received.payer` is whom a refund would go to.
        """
        now = self._clock()
        payment = Payment(
            challenge_id=NO_CHALLENGE + received.key,
            proof_key=NO_CHALLENGE + received.key,
            fingerprint=b"",
            method=self._method,
            intent=self._intent,
            route="",
            state=State.UNAPPLIED,
            amount=received.amount,
            currency=received.currency,
            recipient=received.recipient,
            payer=received.payer,
            reference=received.reference,
            reason=reason,
            created_at=now,
            expires_at=now,
            settled_at=now,
        )
        try:
            await self._ledger.insert(payment)
        except AlreadyClaimed:
            return None
        self._events.emit(PaymentUnapplied(payment))
        return payment

    @asynccontextmanager
    async def alone(self, name: str) -> AsyncIterator[bool]:
        """Whether this worker is the one that does `name` now: the others get False."""
        lease = Lease(self._leases, f"{self._method}/{self._intent}:{name}")
        if not await lease.take():
            yield False
            return
        try:
            yield True
        finally:
            await lease.release()
