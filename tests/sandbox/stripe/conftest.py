"""Fixtures of the Stripe sandbox's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from coinslot.sandbox.stripe import BUYER, ThreadedStripeSandbox
from stripe_api import StripeApi


@pytest.fixture
def sandbox() -> Iterator[ThreadedStripeSandbox]:
    """A sandbox of the test's own, in memory, where deposits settle at once."""
    with ThreadedStripeSandbox(settle_after=0.0) as running:
        yield running


@pytest.fixture
def seller(sandbox: ThreadedStripeSandbox) -> Iterator[StripeApi]:
    """The seller's account."""
    client = StripeApi(sandbox.url, sandbox.account().secret_key)
    yield client
    client.close()


@pytest.fixture
def buyer(sandbox: ThreadedStripeSandbox) -> Iterator[StripeApi]:
    """The account of the agent that buys."""
    client = StripeApi(sandbox.url, sandbox.account(BUYER).secret_key)
    yield client
    client.close()


@pytest.fixture
def profile(sandbox: ThreadedStripeSandbox) -> str:
    """The seller's business profile."""
    return sandbox.account().profile
