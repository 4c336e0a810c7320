"""The reader of the guide, and the sandboxes behind what they do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coinslot.sandbox.link import LinkSandbox, ThreadedLinkSandbox
from coinslot.sandbox.stripe import BUYER, ThreadedStripeSandbox
from coinslot.sandbox.tempo import ThreadedDevnet
from guide_reader import Reader


@pytest.fixture
def stripe_sandbox(devnet: ThreadedDevnet) -> Iterator[ThreadedStripeSandbox]:
    """A Stripe that watches the chain."""
    with ThreadedStripeSandbox(chain=devnet.rpc_url, settle_after=0.1, poll_interval=0.1) as running:
        yield running


@pytest.fixture
def link_url(stripe_sandbox: ThreadedStripeSandbox) -> Iterator[str]:
    """The URL of a Link that draws its tokens at that Stripe."""
    buyer = stripe_sandbox.account(BUYER).secret_key
    with ThreadedLinkSandbox(LinkSandbox(stripe_url=stripe_sandbox.url, stripe_key=buyer)) as running:
        yield running.url


@pytest.fixture
def reader(
    tmp_path: Path, devnet: ThreadedDevnet, stripe_sandbox: ThreadedStripeSandbox, link_url: str
) -> Reader:
    """They have a home of their own, without any account."""
    return Reader(tmp_path, devnet, stripe_sandbox, link_url)
