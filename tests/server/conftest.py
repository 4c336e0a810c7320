"""A paywall that takes scrip, over a ledger in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from coinslot import Paywall
from scrip import Mint, ScripCharge

SECRET = "a secret of at least thirty-two bytes"


@pytest.fixture
def mint() -> Mint:
    """The world of the scrip method."""
    return Mint()


@pytest.fixture
async def paywall(mint: Mint) -> AsyncIterator[Paywall]:
    """A paywall with the scrip method alone."""
    async with Paywall(
        [ScripCharge(mint)], secret_key=SECRET, realm="shop.example", ledger="memory:"
    ) as made:
        yield made
