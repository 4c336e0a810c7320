"""Fixtures that more than one folder of tests uses: real chains and real peers, once for a whole run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import closing
from types import SimpleNamespace

import hypothesis
import pytest

import peer_programs
from coinslot.sandbox.tempo import ThreadedDevnet
from peer_programs import Peer
from postgres import PostgresServer
from redis_server import RedisServer

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("coinslot", deadline=None)
hypothesis.settings.load_profile("coinslot")


@pytest.fixture(scope="session", autouse=True)
def hasty_servers() -> Iterator[None]:
    """uvicorn looks ten times a second whether it is to stop, and then waits a tenth. Tests stop hundreds."""

    def sleep(seconds: float) -> Awaitable[None]:
        return asyncio.sleep(seconds / 10)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("uvicorn.server.asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": sleep}))
        yield


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


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server. Take a `new_database()`; a test that stops or pauses it leaves it running."""
    with PostgresServer() as running:
        yield running


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Redis server. Use names of your own, or `flush()`; a test that stops it leaves it running."""
    with RedisServer() as running:
        yield running
