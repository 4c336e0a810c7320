from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from coinslot.errors import ConfigurationError
from coinslot.methods.tempo.keys import PrivateKey
from coinslot.sandbox.hosting import listen
from coinslot.sandbox.tempo import CHAIN_IDS, HARDFORKS, Devnet, DevnetError, ThreadedDevnet
from coinslot.sandbox.tempo.faucet import GENESIS_TOKENS, GRANT
from sandbox_rpc import RPC, pay, payment, raw


async def test_it_is_an_asynchronous_context_manager() -> None:
    """Inside it answers and funds; after it, its port is free again."""
    address = PrivateKey.generate().address
    async with Devnet() as devnet:
        await devnet.fund(address)
        rpc = RPC(devnet.rpc_url)
        assert await asyncio.to_thread(rpc.balance, address) == GRANT
        assert await asyncio.to_thread(rpc, "eth_chainId") == hex(devnet.chain_id)
        rpc.close()
    listen(int(devnet.rpc_url.rpartition(":")[2])).close()


def test_it_serves_synchronous_code_and_other_loops(devnet: ThreadedDevnet, rpc: RPC) -> None:
    """A devnet on its own thread funds from no loop and from another."""
    address = PrivateKey.generate().address
    devnet.fund(address)
    asyncio.run(devnet.afund(address))
    assert rpc.balance(address) == 2 * GRANT


def test_its_accounts_can_pay(devnet: ThreadedDevnet, rpc: RPC, shop: str) -> None:
    """Each of the ten keys holds plenty and may spend it."""
    assert len(devnet.accounts) == 10
    for key in devnet.accounts:
        assert rpc.balance(key.address) > GRANT
    assert (
        rpc("eth_sendRawTransactionSync", raw(payment(pay(shop)).sign(devnet.accounts[9])))["status"] == "0x1"
    )


def test_its_sponsor_is_an_account_of_its_own(devnet: ThreadedDevnet, rpc: RPC) -> None:
    """The fee payer service's account holds plenty of every token, and is none of the ten."""
    assert devnet.sponsor.address not in {key.address for key in devnet.accounts}
    assert all(rpc.balance(devnet.sponsor.address, token) > GRANT for token in GENESIS_TOKENS)
    assert (devnet.chain_id, devnet.hardfork) == (42431, "T0")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Devnet(chain_id=1), "42431"),
        (lambda: Devnet(hardfork="T5"), "Genesis, T0"),
        (lambda: ThreadedDevnet(hardfork="t0"), "Genesis, T0"),
    ],
)
def test_settings_that_cannot_work_are_refused(make: Callable[[], object], reason: str) -> None:
    """An unknown chain or hardfork is an error that lists what there is."""
    with pytest.raises(ConfigurationError, match=reason):
        make()


def test_a_taken_port_fails_the_start() -> None:
    """A port that somebody has is an error before a node is started, in both forms."""
    with listen(0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match="already in use"):
            ThreadedDevnet(port=port).start()
        with pytest.raises(ConfigurationError, match="already in use"):
            asyncio.run(Devnet(port=port).start())


def test_it_has_no_url_before_it_runs() -> None:
    """Using it before `start` is an error that says so."""
    for devnet in (Devnet(), ThreadedDevnet()):
        with pytest.raises(DevnetError, match="has not been started"):
            _ = devnet.rpc_url
    with pytest.raises(DevnetError, match="has not been started"):
        ThreadedDevnet().fund(PrivateKey.generate().address)


async def test_it_authorizes_keys_in_any_loop() -> None:
    """What `ThreadedDevnet` does in its own loop, `Devnet` does in the caller's."""
    async with Devnet(hardfork="T4") as devnet:
        root, key = PrivateKey.generate(), PrivateKey.generate()
        await devnet.authorize_key(root, key.address)
        with pytest.raises(DevnetError, match="KeyAlreadyExists"):
            await devnet.authorize_key(root, key.address)
        await devnet.revoke_key(root, key.address)


@pytest.mark.parametrize("chain_id", CHAIN_IDS)
@pytest.mark.parametrize("hardfork", HARDFORKS)
def test_every_hardfork_starts(hardfork: str, chain_id: int) -> None:
    """Whatever the chain's rules are, it has its tokens, its market and its faucet."""
    with ThreadedDevnet(hardfork=hardfork, chain_id=chain_id) as devnet:
        devnet.fund(PrivateKey.generate().address)


async def test_it_runs_once_at_a_time() -> None:
    """Starting twice is an error; stopping twice is not; it can be started again."""
    devnet = Devnet()
    await devnet.start()
    with pytest.raises(DevnetError, match="running already"):
        await devnet.start()
    await devnet.stop()
    await devnet.stop()
    async with devnet:
        await devnet.fund(PrivateKey.generate().address)


async def test_a_bad_address_is_not_funded(devnet: ThreadedDevnet) -> None:
    """The faucet's refusal is an error, and not silence."""
    with pytest.raises(DevnetError, match="address"):
        devnet.fund("0x12")
    with pytest.raises(DevnetError, match="address"):
        await devnet.afund("0x12")
