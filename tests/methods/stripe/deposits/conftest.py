"""A chain, a Stripe in a box that watches it, a ledger, and workers who share them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from coinslot.methods.tempo.keys import PrivateKey
from coinslot.payments.ledger import Ledger
from coinslot.sandbox.stripe import SELLER, Keys, ThreadedStripeSandbox
from coinslot.sandbox.tempo import ThreadedDevnet
from coinslot.storage import open_ledger
from deposit_shop import Hire, Payer, Seller, World
from faulty_node import FaultyNode
from faulty_stripe import FaultyStripe, serving_faulty_stripe
from stripe_payments import Clock


@pytest.fixture
def clock() -> Clock:
    """Everybody's."""
    return Clock()


@pytest.fixture
def sandbox(
    devnet: ThreadedDevnet, clock: Clock, tmp_path: Path, free_tcp_port: int
) -> Iterator[ThreadedStripeSandbox]:
    """A Stripe that watches the chain, and can be restarted."""
    with ThreadedStripeSandbox(
        port=free_tcp_port,
        state=tmp_path / "stripe.db",
        chain=devnet.rpc_url,
        clock=clock,
        settle_after=0.02,
        poll_interval=0.02,
    ) as running:
        yield running


@pytest.fixture
async def node(devnet: ThreadedDevnet) -> AsyncIterator[FaultyNode]:
    """The way to the chain."""
    faulty = FaultyNode(devnet.rpc_url)
    await faulty.start()
    yield faulty
    await faulty.aclose()


@pytest.fixture(scope="session")
def payer(devnet: ThreadedDevnet) -> PrivateKey:
    """An account with money."""
    key = PrivateKey.generate()
    devnet.fund(key.address)
    return key


@pytest.fixture
def way(sandbox: ThreadedStripeSandbox) -> Iterator[FaultyStripe]:
    """The way to it, which counts."""
    with serving_faulty_stripe(sandbox.url) as running:
        yield running


@pytest.fixture
async def world(
    sandbox: ThreadedStripeSandbox, way: FaultyStripe, node: FaultyNode, clock: Clock
) -> AsyncIterator[World]:
    """All of it."""
    world = World(sandbox.url, way.url, node, Keys(SELLER), clock)
    yield world
    await world.stripe.aclose()


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    """A ledger on disk."""
    opened = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def hire(world: World, ledger: Ledger) -> AsyncIterator[Hire]:
    """Makes workers, with settings of their own, on one ledger."""
    hired: list[Seller] = []

    def hire(**settings: Any) -> Seller:
        hired.append(Seller(world, ledger, **settings))
        return hired[-1]

    yield hire
    for each in hired:
        await each.close()


@pytest.fixture
def buyer(world: World, payer: PrivateKey) -> Payer:
    """Somebody who pays."""
    return Payer(world, payer)
