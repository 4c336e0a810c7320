"""Fixtures of the interoperability tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from coinslot.methods import tempo
from coinslot.sandbox.tempo import ThreadedDevnet
from interop.chains import Chain, opened
from interop.parties import REALM, RELAY_KEY
from peer_programs import Peer, mppx_relay


@pytest.fixture(scope="session")
def chain_t0(devnet: ThreadedDevnet) -> Iterator[Chain]:
    """A testnet with today's expiring nonces."""
    with opened(devnet, tempo.TESTNET.currency.address) as chain:
        yield chain


@pytest.fixture(scope="session")
def relay(mppx: Peer, devnet: ThreadedDevnet) -> Iterator[str]:
    """A relay to the first of the testnets: its URL."""
    with mppx_relay(mppx, devnet.rpc_url, api_key=RELAY_KEY, realm=REALM) as url:
        yield url


@pytest.fixture(scope="session")
def chain_t4(devnet_t4: ThreadedDevnet) -> Iterator[Chain]:
    """A testnet with the chain's own rules for expiring nonces, as of hardfork T4."""
    with opened(devnet_t4, tempo.TESTNET.currency.address) as chain:
        yield chain


@pytest.fixture(scope="session")
def chain_mainnet() -> Iterator[Chain]:
    """A chain with mainnet's number, and USDC.e."""
    with (
        ThreadedDevnet(chain_id=tempo.MAINNET.chain_id) as devnet,
        opened(devnet, tempo.MAINNET.currency.address) as chain,
    ):
        yield chain
