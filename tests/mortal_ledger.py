"""A ledger whose process dies at one of its writes."""

from __future__ import annotations

from typing import Any, cast

from coinslot.errors import LedgerError
from coinslot.payments.ledger import Ledger
from coinslot.payments.records import Record


class Killed(BaseException):
    """The process is gone: nothing after this line was done."""


class MortalLedger:
    """Kills whoever makes its write number `at`, counted from 1: before it is done, or right after."""

    def __init__(self, ledger: Ledger, *, at: int, after: bool) -> None:
        self.writes = 0
        self._ledger = ledger
        self._at = at
        self._after = after
        self._is_dead = False

    @property
    def as_ledger(self) -> Ledger:
        """The same, for those who need to be told that it is one."""
        return cast(Ledger, self)

    def spare(self) -> None:
        """Kill nobody any more."""
        self._at = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def insert_record(self, record: Record) -> bool:
        """Write, or die."""
        self.writes += 1
        self._die(after=False)
        done = await self._ledger.insert_record(record)
        self._die(after=True)
        return done

    async def replace_record(self, before: Record, after: Record | None) -> bool:
        """Write, or die."""
        self.writes += 1
        self._die(after=False)
        done = await self._ledger.replace_record(before, after)
        self._die(after=True)
        return done

    def _die(self, *, after: bool) -> None:
        if self._is_dead:
            raise LedgerError("the process is gone")
        if self.writes == self._at and after == self._after:
            self._is_dead = True
            raise Killed
