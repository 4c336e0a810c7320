"""Fixtures of the sandbox's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from coinslot.methods.tempo.keys import PrivateKey
from coinslot.sandbox.tempo import ThreadedDevnet, broadcast
from sandbox_rpc import RPC


@pytest.fixture
def rpc(devnet: ThreadedDevnet) -> Iterator[RPC]:
    """The devnet's endpoint."""
    client = RPC(devnet.rpc_url)
    yield client
    client.close()


@pytest.fixture
def rpc_t4(devnet_t4: ThreadedDevnet) -> Iterator[RPC]:
    """The endpoint of the devnet with the chain's own expiring nonces."""
    client = RPC(devnet_t4.rpc_url)
    yield client
    client.close()


@pytest.fixture(params=["devnet", "devnet_t4"], ids=["T0", "T4"])
def any_devnet(request: pytest.FixtureRequest) -> ThreadedDevnet:
    """Each of the two devnets in turn. Payments with nonce 0 and within 30 s are good on both."""
    running: ThreadedDevnet = request.getfixturevalue(request.param)
    return running


@pytest.fixture
def any_rpc(any_devnet: ThreadedDevnet) -> Iterator[RPC]:
    """The endpoint of `any_devnet`."""
    client = RPC(any_devnet.rpc_url)
    yield client
    client.close()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sandbox that takes what was not mined within half a second for held back or dropped."""
    monkeypatch.setattr(broadcast, "_PATIENCE", 0.5)


@pytest.fixture
def payer(devnet: ThreadedDevnet) -> PrivateKey:
    """A new account with money."""
    key = PrivateKey.generate()
    devnet.fund(key.address)
    return key


@pytest.fixture
def shop() -> str:
    """A new address without any."""
    return PrivateKey.generate().address
