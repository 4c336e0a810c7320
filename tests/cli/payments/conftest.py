"""A seller's books in the directory that the command is run in, and a shop whose Paywall keeps them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from command import InlineCommand
from seller_books import Books

SHOP = """
from collections.abc import AsyncIterator

from coinslot import Paywall
from coinslot.payments.method import Movement
from scrip import Mint, RefundingScrip


class Audited(RefundingScrip):
    movements_known = []

    async def movements(self, *, since, until, recipients) -> AsyncIterator[Movement]:
        for movement in self.movements_known:
            if since <= movement.at < until:
                yield movement


method = Audited(Mint())
paywall = Paywall(
    [method], secret_key="a secret of at least 32 bytes....", ledger="sqlite:///coinslot.db", realm="shop"
)
"""


@pytest.fixture
def books(inline: InlineCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Books:
    """No books yet."""
    monkeypatch.chdir(tmp_path)
    return Books(inline, tmp_path)


@pytest.fixture
def shop(books: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module `corner_shop`, whose `paywall` keeps these books and takes scrip."""
    (tmp_path / "corner_shop.py").write_text(SHOP)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    books.command.environment["COINSLOT_PAYWALL"] = "corner_shop:paywall"
    importlib.invalidate_caches()
    yield importlib.import_module("corner_shop")
    del sys.modules["corner_shop"]
