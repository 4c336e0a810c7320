"""Fixtures that more than one folder of tests uses: real chains and real peers, once for a whole run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

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
def mppx() -> Iterator[Peer]:
    """mppx 0.11 as it is published, ready to run."""
    with closing(peer_programs.install_mppx()) as peer:
        yield peer


@pytest.fixture(scope="session")
def mppx_t4() -> Iterator[Peer]:
    """The same on an older viem, which signs nonces as hardfork T4 takes them."""
    with closing(peer_programs.install_mppx_t4()) as peer:
        yield peer


@pytest.fixture(scope="session")
def pympp() -> Iterator[Peer]:
    """pympp 0.16 as it is published, ready to run."""
    with closing(peer_programs.install_pympp()) as peer:
        yield peer
