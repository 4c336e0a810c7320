"""The devnet, through a node that misbehaves to order, and accounts on it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import pytest

from coinslot.methods import tempo
from coinslot.methods.tempo.keys import PrivateKey
from coinslot.sandbox.tempo import ThreadedDevnet
from faulty_node import FaultyNode
from tempo_payments import new_address


@pytest.fixture
async def node(devnet: ThreadedDevnet) -> AsyncIterator[FaultyNode]:
    """The way to the devnet, which behaves until it is told otherwise."""
    faulty = FaultyNode(devnet.rpc_url)
    await faulty.start()
    yield faulty
    await faulty.aclose()


@pytest.fixture
async def lonely_node() -> AsyncIterator[FaultyNode]:
    """A node with nothing behind it."""
    faulty = FaultyNode()
    await faulty.start()
    yield faulty
    await faulty.aclose()


@pytest.fixture(scope="session")
def payer(devnet: ThreadedDevnet) -> PrivateKey:
    """An account on the devnet that had a million of every token, and spends a few cents in each test."""
    key = PrivateKey(secrets.token_bytes(32))
    devnet.fund(key.address)
    return key


@pytest.fixture
def millionaire(devnet: ThreadedDevnet) -> PrivateKey:
    """A new account on the devnet, with exactly a million of every token."""
    key = PrivateKey(secrets.token_bytes(32))
    devnet.fund(key.address)
    return key


@pytest.fixture
async def charge(node: FaultyNode) -> AsyncIterator[tempo.TempoCharge]:
    """A server method on the node that misbehaves to order, with a recipient of its own."""
    method = tempo.charge(new_address(), rpc_url=node.url, settle_timeout=4)
    yield method
    await method.aclose()
