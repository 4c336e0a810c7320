"""Open ledgers, of every kind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from coinslot.payments.ledger import Ledger
from coinslot.storage import MemoryLedger, SQLiteLedger
from ledgers import Clock


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until it is moved."""
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[Ledger]:
    """An open ledger, of every kind in turn."""
    made: Ledger = (
        MemoryLedger(clock=clock)
        if request.param == "memory"
        else SQLiteLedger(tmp_path / "ledger.db", clock=clock)
    )
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def sqlite_ledger(tmp_path: Path, clock: Clock) -> AsyncIterator[SQLiteLedger]:
    """An open ledger in a file, patient enough for a busy machine."""
    made = SQLiteLedger(tmp_path / "ledger.db", patience=30, clock=clock)
    await made.open()
    yield made
    await made.close()
