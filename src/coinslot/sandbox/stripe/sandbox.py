"""A Stripe in this process: `StripeSandbox` for asynchronous code, `ThreadedStripeSandbox` for any."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Final

from coinslot.errors import CoinslotError, ConfigurationError
from coinslot.methods.tempo.rpc import RpcError
from coinslot.sandbox.hosting import hosting, listen, url_of
from coinslot.sandbox.stripe import accounts, idempotency, networks
from coinslot.sandbox.stripe.accounts import FIRST, SELLER, Keys
from coinslot.sandbox.stripe.api import Api
from coinslot.sandbox.stripe.app import App
from coinslot.sandbox.stripe.background import Background
from coinslot.sandbox.stripe.chain import NETWORK, Chain
from coinslot.sandbox.stripe.connections import Connection
from coinslot.sandbox.stripe.control import Control
from coinslot.sandbox.stripe.dashboard import pages
from coinslot.sandbox.stripe.limits import RateLimit
from coinslot.sandbox.stripe.state import Settings, State
from coinslot.sandbox.stripe.store import MEMORY, Store
from coinslot.sandbox.threads import Threaded

RETRY_DELAYS: Final = (5.0, 60.0, 600.0)
"""Seconds between the attempts to deliver a webhook."""


class SandboxError(CoinslotError):
    """The sandbox does not run."""


class StripeSandbox:
    """A Stripe of its own, with a state that a restart does not lose.

        async with StripeSandbox(chain=devnet.rpc_url) as sandbox:
            client = stripe.StripeClient(
                sandbox.account().secret_key, base_addresses={"api": sandbox.url}
            )

    `port` is on the loopback interface; 0 takes any that is free. `state` is the path of a file, or
    `":memory:"`. `chain` is the URL of a Tempo node on this machine, to be watched for deposits. `clock`
    gives Unix seconds. In seconds: `settle_after` is from a deposit to its settlement, `deposit_lifetime`
    from a deposit-mode PaymentIntent to its expiry, `retry_delays` between the attempts to deliver a webhook,
    `poll_interval` between looks at the chain. `rate_limit` is in requests a second for each account.

    `start` raises `ConfigurationError` for a port, a state or a chain that cannot be used.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        state: str | Path = MEMORY,
        chain: str | None = None,
        clock: Callable[[], float] = time.time,
        settle_after: float = 1.0,
        deposit_lifetime: float = 24 * 3600.0,
        retry_delays: Sequence[float] = RETRY_DELAYS,
        poll_interval: float = 0.5,
        rate_limit: float | None = None,
    ) -> None:
        self.state = str(state)
        self._port = port
        self._chain_url = chain
        self._clock = clock
        self._settle_after = settle_after
        self._deposit_lifetime = deposit_lifetime
        self._retry_delays = tuple(retry_delays)
        self._poll_interval = poll_interval
        self._limit = RateLimit(rate_limit, clock)
        self._running: AsyncExitStack | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """Where the API and the dashboard are. Raises `SandboxError` before `start`."""
        if not self._url:
            raise SandboxError("the Stripe sandbox has not been started")
        return self._url

    @staticmethod
    def account(name: str = SELLER) -> Keys:
        """The keys of `"seller"` or `"buyer"`, or of an account that was added to `/_sandbox/accounts`."""
        return Keys(name)

    async def start(self) -> None:
        """Start. Returns when it answers."""
        if self._running is not None:
            raise SandboxError("the Stripe sandbox is running already")
        async with AsyncExitStack() as stack:
            listener = stack.enter_context(listen(self._port))
            url = url_of(listener)
            chain = None
            if self._chain_url is not None:
                chain = Chain(self._chain_url)
                stack.push_async_callback(chain.aclose)
            store = Store(self.state, await self._settings(chain, url))
            await store.open()
            stack.push_async_callback(store.close)
            await store.run(_prepare)
            background = Background(store, self._clock, chain, self._poll_interval)
            background.start()
            stack.push_async_callback(background.stop)
            control = Control(store, self._limit, background.changed)
            app = App(
                Api(store, self._limit, chain, background.changed),
                pages(store, control, background.changed),
            )
            await stack.enter_async_context(hosting(app, listener, http=Connection))
            self._url = url
            self._running = stack.pop_all()

    async def stop(self) -> None:
        """Stop. Stopping what does not run does nothing."""
        running, self._running = self._running, None
        if running is not None:
            await running.aclose()

    async def __aenter__(self) -> StripeSandbox:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _settings(self, chain: Chain | None, url: str) -> Settings:
        tokens: dict[str, str] = {}
        chain_id = None
        if chain is not None:
            try:
                chain_id = await chain.chain_id()
                if chain_id == networks.TEMPO_MAINNET:
                    tokens[NETWORK] = networks.MAINNET_USDC
            except RpcError as error:
                raise ConfigurationError(f"the chain cannot be watched: {error}") from error
        return Settings(
            clock=self._clock,
            settle_after=self._settle_after,
            deposit_lifetime=self._deposit_lifetime,
            retry_delays=self._retry_delays,
            tokens=tokens,
            chain_id=chain_id,
            public_url=url,
        )


class ThreadedStripeSandbox(Threaded[StripeSandbox]):
    """A `StripeSandbox` with a thread and an event loop of its own, for any code.

        with ThreadedStripeSandbox() as sandbox:
            ...sandbox.url...

    Takes `StripeSandbox`'s parameters, and raises what it raises.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        state: str | Path = MEMORY,
        chain: str | None = None,
        clock: Callable[[], float] = time.time,
        settle_after: float = 1.0,
        deposit_lifetime: float = 24 * 3600.0,
        retry_delays: Sequence[float] = RETRY_DELAYS,
        poll_interval: float = 0.5,
        rate_limit: float | None = None,
    ) -> None:
        sandbox = StripeSandbox(
            port=port,
            state=state,
            chain=chain,
            clock=clock,
            settle_after=settle_after,
            deposit_lifetime=deposit_lifetime,
            retry_delays=retry_delays,
            poll_interval=poll_interval,
            rate_limit=rate_limit,
        )
        super().__init__(sandbox, "coinslot-stripe")

    @property
    def url(self) -> str:
        """Where the API and the dashboard are. Raises `SandboxError` before `start`."""
        return self._sandbox.url

    def account(self, name: str = SELLER) -> Keys:
        """The keys of an account, as `StripeSandbox.account`."""
        return self._sandbox.account(name)


def _prepare(state: State) -> None:
    """The first accounts, and the keys of requests that a stopped sandbox left behind."""
    idempotency.release_all(state)
    for name in FIRST:
        accounts.open_account(state, name)
