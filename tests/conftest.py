"""Fixtures that more than one folder of tests uses: real chains and real peers, once for a whole run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

import peer_programs
from coinslot.sandbox.tempo import ThreadedDevnet
from peer_programs import Peer

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("coinslot", deadline=None)
hypothesis.settings.load_profile("coinslot")


@pytest.fixture(scope="session")
def devnet() -> Iterator[ThreadedDevnet]:
    """A Tempo devnet: testnet, T0 with today's expiring nonces. Fund accounts of your own; do not stop it."""
    with ThreadedDevnet() as running:
        yield running


@pytest.fixture(scope="session")
def devnet_t4() -> Iterator[ThreadedDevnet]:
    """A devnet with the expiring nonces of the chain itself: nonce 0, `validBefore` within 30 s."""
    with ThreadedDevnet(hardfork="T4") as running:
        yield running


@pytest.fixture(scope="session")
def mppx() -> Peer:
    """mppx 0.11 as it is published, ready to run."""
    return peer_programs.install_mppx()


@pytest.fixture(scope="session")
def pympp() -> Peer:
    """pympp 0.16 as it is published, ready to run."""
    return peer_programs.install_pympp()


@pytest.fixture(scope="session")
def node_peers(mppx: Peer) -> Path:
    """The folder of the peers' programs, with its `node_modules` installed."""
    return peer_programs.PROGRAMS


@pytest.fixture(scope="session")
def pympp_python(pympp: Peer) -> Path:
    """The Python of the environment that has pympp."""
    return Path(pympp.client[0])
