"""A Tempo devnet in this process: `Devnet` for asynchronous code, `ThreadedDevnet` for any other."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Final

import httpx2
import msgspec

from coinslot.errors import ConfigurationError
from coinslot.methods.tempo.keys import PrivateKey
from coinslot.protocol import JSONObject
from coinslot.sandbox.tempo.accounts import ACCOUNTS
from coinslot.sandbox.tempo.anvil import HARDFORKS, Anvil, DevnetError
from coinslot.sandbox.tempo.binary import anvil_binary
from coinslot.sandbox.tempo.expiring import ExpiringNonces
from coinslot.sandbox.tempo.faucet import GENESIS_TOKENS, Faucet
from coinslot.sandbox.tempo.front import Front
from coinslot.sandbox.tempo.http import RPCApp, Server, listen
from coinslot.sandbox.tempo.mainnet import MAINNET, USDC_E, add_usdc_e
from coinslot.sandbox.tempo.node import Node

CHAIN_IDS: Final = (42431, MAINNET)
"""Tempo's testnet (Moderato) and mainnet: clients know no others."""

_WITHOUT_EXPIRING_NONCES: Final = ("Genesis", "T0")


class Devnet:
    """A Tempo devnet of its own: anvil, and the front that makes it behave like Tempo.

        async with Devnet() as devnet:
            await devnet.fund(address)
            wallet = Wallet(methods=[tempo.account(key, rpc_url=devnet.rpc_url)])

    `port` is the front's, on the loopback interface; 0 takes any that is free. `chain_id` is 42431 or 4217.
    `hardfork` "T0" (the default) emulates expiring nonces as today's clients sign them; "T4" has the chain's
    own, with nonce 0 and at most 30 s. `anvil` is the node's program, if not `anvil_binary()`.

    Raises `ConfigurationError` for settings that cannot work; `start` also for a port that is taken, and
    `DevnetError` if the node does not come up.
    """

    def __init__(
        self, *, port: int = 0, chain_id: int = 42431, hardfork: str = "T0", anvil: Path | None = None
    ) -> None:
        if chain_id not in CHAIN_IDS:
            raise ConfigurationError(f"the chain id is 42431 (testnet) or 4217 (mainnet), not {chain_id}")
        if hardfork not in HARDFORKS:
            raise ConfigurationError(f"the hardfork is one of {', '.join(HARDFORKS)}, not {hardfork}")
        self.chain_id = chain_id
        self.hardfork = hardfork
        self._port = port
        self._binary = anvil
        self._running: AsyncExitStack | None = None
        self._anvil: Anvil | None = None
        self._url = ""

    @property
    def accounts(self) -> tuple[PrivateKey, ...]:
        """Ten keys that hold plenty of every token. The whole world knows them."""
        return ACCOUNTS

    @property
    def rpc_url(self) -> str:
        """The front's URL. Raises `DevnetError` before `start`."""
        if not self._url:
            raise DevnetError("the devnet has not been started")
        return self._url

    @property
    def node_pid(self) -> int:
        """The node's process. Raises `DevnetError` before `start`."""
        if self._anvil is None:
            raise DevnetError("the devnet has not been started")
        return self._anvil.pid

    async def start(self) -> None:
        """Start the node and the front. Returns when both answer."""
        if self._running is not None:
            raise DevnetError("the devnet is running already")
        async with AsyncExitStack() as stack:
            listener = stack.enter_context(listen(self._port))
            binary = self._binary if self._binary is not None else await asyncio.to_thread(anvil_binary)
            anvil = await Anvil.start(binary, chain_id=self.chain_id, hardfork=self.hardfork)
            stack.push_async_callback(anvil.stop)
            node = Node(anvil.url, why_stopped=anvil.why_stopped)
            stack.push_async_callback(node.aclose)
            tokens = GENESIS_TOKENS
            if self.chain_id == MAINNET:
                await add_usdc_e(node)
                tokens = (*tokens, USDC_E)
            nonces = ExpiringNonces(node) if self.hardfork in _WITHOUT_EXPIRING_NONCES else None
            front = Front(node, Faucet(node, self.chain_id, tokens), nonces)
            server = Server(RPCApp(front.call))
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            stack.push_async_callback(_finish, server, serving)
            host, port = listener.getsockname()
            self._anvil, self._url = anvil, f"http://{host}:{port}"
            self._running = stack.pop_all()

    async def stop(self) -> None:
        """Stop both. Stopping what does not run does nothing."""
        running, self._running = self._running, None
        if running is not None and self._anvil is not None:
            # The node first: whoever waits for it is answered, and the server has nobody left to wait for.
            await self._anvil.stop()
            await running.aclose()

    async def stopped(self) -> str:
        """Wait until the node stops by itself; returns why."""
        if self._anvil is None:
            raise DevnetError("the devnet has not been started")
        return await self._anvil.wait()

    async def fund(self, address: str) -> None:
        """Give `address` a million of every token. It has them on return. Raises `DevnetError`.

        Works in any event loop, not only in the one that the devnet runs in.
        """
        async with httpx2.AsyncClient(verify=False, trust_env=False, timeout=30) as http:
            _check_funded(await http.post(self.rpc_url, json=_funding(address)))

    async def __aenter__(self) -> Devnet:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


class ThreadedDevnet:
    """A `Devnet` with a thread and an event loop of its own, for synchronous code and for any event loop.

        with ThreadedDevnet() as devnet:
            devnet.fund(address)

    Takes `Devnet`'s parameters, and raises what it raises.
    """

    def __init__(
        self, *, port: int = 0, chain_id: int = 42431, hardfork: str = "T0", anvil: Path | None = None
    ) -> None:
        self._devnet = Devnet(port=port, chain_id=chain_id, hardfork=hardfork, anvil=anvil)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def chain_id(self) -> int:
        """The chain's id."""
        return self._devnet.chain_id

    @property
    def accounts(self) -> tuple[PrivateKey, ...]:
        """Ten keys that hold plenty of every token. The whole world knows them."""
        return self._devnet.accounts

    @property
    def rpc_url(self) -> str:
        """The front's URL. Raises `DevnetError` before `start`."""
        return self._devnet.rpc_url

    @property
    def node_pid(self) -> int:
        """The node's process. Raises `DevnetError` before `start`."""
        return self._devnet.node_pid

    def start(self) -> None:
        """Start the thread, the node and the front. Returns when they answer."""
        if self._loop is not None:
            raise DevnetError("the devnet is running already")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="coinslot-devnet", daemon=True)
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._devnet.start(), self._loop).result()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all of it. Stopping what does not run does nothing."""
        if self._loop is None or self._thread is None:
            return
        try:
            asyncio.run_coroutine_threadsafe(self._devnet.stop(), self._loop).result()
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._loop = self._thread = None

    def fund(self, address: str) -> None:
        """Give `address` a million of every token. It has them on return. Raises `DevnetError`."""
        with httpx2.Client(verify=False, trust_env=False, timeout=30) as http:
            _check_funded(http.post(self.rpc_url, json=_funding(address)))

    async def afund(self, address: str) -> None:
        """The same, for asynchronous code in any event loop."""
        await self._devnet.fund(address)

    def __enter__(self) -> ThreadedDevnet:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


async def _finish(server: Server, serving: asyncio.Task[None]) -> None:
    server.should_exit = True
    await serving


def _funding(address: str) -> JSONObject:
    return {"jsonrpc": "2.0", "id": 1, "method": "tempo_fundAddress", "params": [address]}


def _check_funded(response: httpx2.Response) -> None:
    answer = msgspec.json.decode(response.content)
    if "error" in answer:
        raise DevnetError(f"the faucet refused: {answer['error']['message']}")
