"""A Stripe sandbox for all tests of the method, and a seller's charge there."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coinslot.methods import stripe
from coinslot.sandbox.stripe import ThreadedStripeSandbox
from faulty_stripe import FaultyStripe, serving_faulty_stripe
from stripe_payments import Stripe
from stripe_shop import Shop


@pytest.fixture(scope="session")
def stripe_sandbox() -> Iterator[ThreadedStripeSandbox]:
    """A running sandbox, in memory, which does not wait long before it repeats a webhook."""
    with ThreadedStripeSandbox(retry_delays=[0.3] * 30) as running:
        yield running


@pytest.fixture
async def world(stripe_sandbox: ThreadedStripeSandbox) -> AsyncIterator[Stripe]:
    """The sandbox as this test sees it, with nothing going wrong until it says so."""
    seen = Stripe(stripe_sandbox.url)
    yield seen
    await seen.aclose()


@pytest.fixture
async def open_shop(world: Stripe) -> AsyncIterator[Callable[..., stripe.StripeCharge]]:
    """Makes charges of the seller, with settings of their own, and closes them after the test."""
    opened: list[stripe.StripeCharge] = []

    def open_shop(**settings: Any) -> stripe.StripeCharge:
        usual = {
            "secret_key": world.seller.secret_key,
            "network_id": world.seller.profile,
            "api_base": world.url,
        }
        opened.append(stripe.charge(**{**usual, **settings}))
        return opened[-1]

    yield open_shop
    for method in opened:
        await method.aclose()


@pytest.fixture
async def shop(world: Stripe, tmp_path: Path) -> Shop:
    """A shop that is closed, with an account that no other test has."""
    return Shop(world, await world.open_account(f"shop{time.time_ns()}"), tmp_path)


@pytest.fixture
def charge(open_shop: Callable[..., stripe.StripeCharge]) -> stripe.StripeCharge:
    """The seller's half."""
    return open_shop()


@pytest.fixture
def impatient(open_shop: Callable[..., stripe.StripeCharge]) -> stripe.StripeCharge:
    """The same, which waits a second for an outcome."""
    return open_shop(settle_timeout=1)


@pytest.fixture(scope="session")
def faulty_way(stripe_sandbox: ThreadedStripeSandbox) -> Iterator[FaultyStripe]:
    """A way to the sandbox that can be told to lie."""
    with serving_faulty_stripe(stripe_sandbox.url) as running:
        yield running


@pytest.fixture
def faulty(faulty_way: FaultyStripe) -> FaultyStripe:
    """The same, which passes everything on until this test says otherwise."""
    faulty_way.rewrites.clear()
    return faulty_way
