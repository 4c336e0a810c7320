"""A Tempo devnet in this process: `Devnet` for asynchronous code, `ThreadedDevnet` for any other."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, TypeVar

from coinslot.errors import ConfigurationError
from coinslot.methods.tempo.keys import AddressError, PrivateKey
from coinslot.methods.tempo.wire import (
    KeyAuthorization,
    KeyAuthorizationError,
    SigningKey,
    TokenLimit,
    keychain,
)
from coinslot.sandbox.hosting import hosting, listen, url_of
from coinslot.sandbox.tempo.accounts import ACCOUNTS, SPONSOR
from coinslot.sandbox.tempo.anvil import HARDFORKS, Anvil, DevnetError
from coinslot.sandbox.tempo.binary import anvil_binary
from coinslot.sandbox.tempo.faucet import GENESIS_TOKENS, Faucet
from coinslot.sandbox.tempo.front import Front
from coinslot.sandbox.tempo.granting import ask, call_keychain
from coinslot.sandbox.tempo.http import RPCApp
from coinslot.sandbox.tempo.jsonrpc import RPCError
from coinslot.sandbox.tempo.mainnet import MAINNET, USDC_E, add_usdc_e
from coinslot.sandbox.tempo.market import open_market
from coinslot.sandbox.tempo.node import Node
from coinslot.sandbox.threads import Threaded

CHAIN_IDS: Final = (42431, MAINNET)
"""Tempo's testnet (Moderato) and mainnet: clients know no others."""

_Result = TypeVar("_Result")


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
    def sponsor(self) -> PrivateKey:
        """The key with which the fee payer service pays. It holds plenty of every token."""
        return SPONSOR

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
            faucet = Faucet(node, self.chain_id, await self._furnish(node))
            front = Front(node, self.chain_id, self.hardfork, faucet)
            await stack.enter_async_context(hosting(RPCApp(front.call), listener))
            self._anvil, self._url = anvil, url_of(listener)
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

        Works in any event loop, not only in the one that the devnet runs in. So do the other two.
        """
        await ask(self.rpc_url, "tempo_fundAddress", address)

    async def authorize_key(
        self,
        root: SigningKey,
        key_address: str,
        *,
        key_type: str = "secp256k1",
        expiry: int | None = None,
        limits: Mapping[str, int] | None = None,
    ) -> None:
        """Let the key of `key_address` sign for the account of `root`, from now on.

        `root` is the account's own key. `key_type` is "secp256k1", "p256" or "webAuthn"; `expiry` is in Unix
        seconds, None for a key that is good until revoked. `limits` are the base units of each token that the
        key may spend, fees included, None for all there is. The sponsor pays for it. What access keys sign,
        the chain takes since T1C. Raises `DevnetError`, with the chain's reason if it refuses.
        """
        try:
            authorization = KeyAuthorization(
                chain_id=self.chain_id,
                key_type=key_type,
                key_address=key_address,
                expiry=expiry,
                limits=None if limits is None else tuple(TokenLimit(*limit) for limit in limits.items()),
            )
            legacy = HARDFORKS.index(self.hardfork) < HARDFORKS.index("T3")
            data = keychain.authorize_key(authorization, legacy=legacy)
        except (AddressError, KeyAuthorizationError) as error:
            raise DevnetError(str(error)) from error
        await call_keychain(self.rpc_url, self.chain_id, root, data)

    async def revoke_key(self, root: SigningKey, key_address: str) -> None:
        """Let the key of `key_address` never again sign for the account of `root`. Raises `DevnetError`."""
        try:
            data = keychain.revoke_key(key_address)
        except AddressError as error:
            raise DevnetError(str(error)) from error
        await call_keychain(self.rpc_url, self.chain_id, root, data)

    async def _furnish(self, node: Node) -> tuple[str, ...]:
        """Give the chain what it lacks; returns its tokens."""
        tokens = GENESIS_TOKENS
        try:
            if self.chain_id == MAINNET:
                await add_usdc_e(node)
                tokens = (*tokens, USDC_E)
            await open_market(node, self.chain_id, tokens)
        except RPCError as error:
            raise DevnetError(f"the node could not be set up: {error}") from error
        return tokens

    async def __aenter__(self) -> Devnet:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


class ThreadedDevnet(Threaded[Devnet]):
    """A `Devnet` with a thread and an event loop of its own, for synchronous code and for any event loop.

        with ThreadedDevnet() as devnet:
            devnet.fund(address)

    Takes `Devnet`'s parameters, and raises what it raises.
    """

    def __init__(
        self, *, port: int = 0, chain_id: int = 42431, hardfork: str = "T0", anvil: Path | None = None
    ) -> None:
        devnet = Devnet(port=port, chain_id=chain_id, hardfork=hardfork, anvil=anvil)
        super().__init__(devnet, "coinslot-devnet")

    @property
    def chain_id(self) -> int:
        """The chain's id."""
        return self._sandbox.chain_id

    @property
    def accounts(self) -> tuple[PrivateKey, ...]:
        """Ten keys that hold plenty of every token. The whole world knows them."""
        return self._sandbox.accounts

    @property
    def hardfork(self) -> str:
        """The chain's hardfork."""
        return self._sandbox.hardfork

    @property
    def sponsor(self) -> PrivateKey:
        """The key with which the fee payer service pays. It holds plenty of every token."""
        return self._sandbox.sponsor

    @property
    def rpc_url(self) -> str:
        """The front's URL. Raises `DevnetError` before `start`."""
        return self._sandbox.rpc_url

    @property
    def node_pid(self) -> int:
        """The node's process. Raises `DevnetError` before `start`."""
        return self._sandbox.node_pid

    def fund(self, address: str) -> None:
        """Give `address` a million of every token. It has them on return. Raises `DevnetError`."""
        self._wait_for(self._sandbox.fund(address))

    async def afund(self, address: str) -> None:
        """The same, for asynchronous code in any event loop."""
        await self._sandbox.fund(address)

    def authorize_key(
        self,
        root: SigningKey,
        key_address: str,
        *,
        key_type: str = "secp256k1",
        expiry: int | None = None,
        limits: Mapping[str, int] | None = None,
    ) -> None:
        """`Devnet.authorize_key`; the key may sign on return."""
        self._wait_for(
            self._sandbox.authorize_key(root, key_address, key_type=key_type, expiry=expiry, limits=limits)
        )

    def revoke_key(self, root: SigningKey, key_address: str) -> None:
        """`Devnet.revoke_key`; the key signs no more on return."""
        self._wait_for(self._sandbox.revoke_key(root, key_address))

    def _wait_for(self, coroutine: Coroutine[object, object, _Result]) -> _Result:
        if self._loop is None:
            coroutine.close()
            raise DevnetError("the devnet has not been started")
        return self._run(coroutine)
