"""A seller's books, for the command that reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from coinslot.payments.payment import Payment
from coinslot.payments.refunds import Refund
from coinslot.storage import SQLiteLedger
from command import InlineCommand, Run

T = TypeVar("T")


class Books:
    """The ledger in the working directory, and the command that reads it."""

    def __init__(self, command: InlineCommand, directory: Path) -> None:
        self.command = command
        self.file = directory / "coinslot.db"

    def __call__(self, *arguments: str, stdin: bytes = b"", **environment: str) -> Run:
        """Run `coinslot payments`."""
        return self.command("payments", *arguments, stdin=stdin, **environment)

    def add(self, *payments: Payment, refunds: tuple[Refund, ...] = ()) -> None:
        """Write them down."""

        async def write(ledger: SQLiteLedger) -> None:
            for payment in payments:
                await ledger.insert(payment)
            for refund in refunds:
                assert await ledger.insert_refund(refund)

        self._use(write)

    def find(self, challenge_id: str) -> Payment:
        """The row as it is."""
        payment = self._use(lambda ledger: ledger.find(challenge_id))
        assert payment is not None
        return payment

    def refunds(self, challenge_id: str) -> list[Refund]:
        """The refunds of a payment."""
        return self._use(lambda ledger: ledger.select_refunds(challenge_id))

    def _use(self, work: Callable[[SQLiteLedger], Awaitable[T]]) -> T:
        async def use() -> T:
            ledger = SQLiteLedger(self.file)
            await ledger.open()
            try:
                return await work(ledger)
            finally:
                await ledger.close()

        return asyncio.run(use())
