"""Fixtures of the Stripe sandbox's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from coinslot.sandbox.stripe import BUYER, ThreadedStripeSandbox
from stripe_api import Corner, StripeApi


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[ThreadedStripeSandbox]:
    """A sandbox in memory, where deposits settle at once."""
    with ThreadedStripeSandbox(settle_after=0.0) as running:
        yield running


@pytest.fixture
def own_sandbox() -> Iterator[ThreadedStripeSandbox]:
    """The same, for a test that looks at more than its accounts: at the pages, or at what goes wrong."""
    with ThreadedStripeSandbox(settle_after=0.0) as running:
        yield running


@pytest.fixture
def sandbox(running_sandbox: ThreadedStripeSandbox) -> Iterator[Corner]:
    """The first of these, with accounts that no other test has: starting one takes longer than most tests."""
    corner = Corner(running_sandbox.url)
    yield corner
    corner.leave()


@pytest.fixture
def seller(sandbox: Corner) -> Iterator[StripeApi]:
    """The seller's account."""
    client = StripeApi(sandbox.url, sandbox.account().secret_key)
    yield client
    client.close()


@pytest.fixture
def buyer(sandbox: Corner) -> Iterator[StripeApi]:
    """The account of the agent that buys."""
    client = StripeApi(sandbox.url, sandbox.account(BUYER).secret_key)
    yield client
    client.close()


@pytest.fixture
def profile(sandbox: Corner) -> str:
    """The seller's business profile."""
    return sandbox.account().profile
