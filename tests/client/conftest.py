"""Shops at the market, and a buyer who visits them with a wallet, from threads or from an event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from stall import Buyer, Pitch, Shop, serve_pitch


@pytest.fixture(params=["sync", "async"])
async def buyer(request: pytest.FixtureRequest) -> AsyncIterator[Buyer]:
    """One who shops from threads, and one who shops from the event loop."""
    buyer = Buyer(is_async=request.param == "async")
    yield buyer
    await buyer.close()


@pytest.fixture(scope="session")
def pitches() -> Iterator[tuple[Pitch, Pitch]]:
    """Two places to open a shop at."""
    with serve_pitch() as here, serve_pitch() as there:
        yield here, there


@pytest.fixture
def shop(pitches: tuple[Pitch, Pitch]) -> Shop:
    """A new shop."""
    return pitches[0].open()


@pytest.fixture
def other_shop(pitches: tuple[Pitch, Pitch]) -> Shop:
    """Another one, at another origin."""
    return pitches[1].open()
