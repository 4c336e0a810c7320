"""Link in this process: `LinkSandbox` for asynchronous code, `ThreadedLinkSandbox` for any other."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response

from coinslot.errors import ConfigurationError
from coinslot.sandbox.hosting import HOST, hosting, listen, url_of
from coinslot.sandbox.link.authorization import Authorizations
from coinslot.sandbox.link.database import Clock, Database
from coinslot.sandbox.link.login_api import LoginAPI
from coinslot.sandbox.link.pages import Pages
from coinslot.sandbox.link.refusals import OAuthRefusal, Refusal
from coinslot.sandbox.link.spending import Spending
from coinslot.sandbox.link.tokens import Draw, TokenSource
from coinslot.sandbox.link.wallet import Wallet
from coinslot.sandbox.link.wallet_api import WalletAPI
from coinslot.sandbox.threads import Threaded


class LinkSandbox:
    """A Link of its own, with one user and their wallet.

        async with LinkSandbox(stripe_url=stripe.url, stripe_key=buyer.secret_key) as link:
            wallet = Link(session(link.url))

    `port` is on the loopback interface; 0 takes any that is free. `state` is the file that keeps everything,
    or `":memory:"`. `stripe_url` and `stripe_key` name the Stripe API that shared payment tokens are drawn
    from; without them only virtual cards can be asked for. `draw` is `"issued"` if the key is the agent's,
    who pays any seller, and `"granted"` if it is the one seller's, whose test helper makes the tokens.
    `unattended` allows every login and approves every request at once. `limited` is whether Link's limits on
    the number of requests are enforced. `token_lifetime` is an access token's, in seconds.

    Raises `ConfigurationError` for settings that cannot work; `start` also for a port that is taken and a
    file that cannot be used.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        state: str | Path = ":memory:",
        stripe_url: str | None = None,
        stripe_key: str | None = None,
        draw: Draw = "issued",
        unattended: bool = False,
        limited: bool = True,
        token_lifetime: int = 3600,
        clock: Clock = time.time,
    ) -> None:
        if (stripe_url is None) != (stripe_key is None):
            raise ConfigurationError("stripe_url and stripe_key go together: give both, or neither")
        if stripe_key is not None and "_test_" not in stripe_key:
            raise ConfigurationError("stripe_key has to be a test key: a sandbox spends no money")
        self._port = port
        self._state = state
        self._stripe = None if stripe_url is None or stripe_key is None else (stripe_url, stripe_key, draw)
        self._unattended = unattended
        self._limited = limited
        self._token_lifetime = token_lifetime
        self._clock = clock
        self._running: AsyncExitStack | None = None
        self._url: str | None = None

    @property
    def url(self) -> str:
        """The base URL of both APIs and of the pages. Raises `ConfigurationError` before `start`."""
        if self._url is None:
            raise ConfigurationError("the Link sandbox has not been started")
        return self._url

    async def start(self) -> None:
        """Start it. Returns when it answers."""
        if self._running is not None:
            raise ConfigurationError("the Link sandbox is running already")
        async with AsyncExitStack() as stack:
            listener = stack.enter_context(listen(self._port))
            database = Database(self._state)
            stack.callback(database.close)
            source = None if self._stripe is None else TokenSource(*self._stripe)
            if source is not None:
                stack.push_async_callback(source.aclose)
            self._url = url_of(listener)
            await stack.enter_async_context(hosting(self._app(database, source), listener))
            self._running = stack.pop_all()

    async def stop(self) -> None:
        """Stop it. Stopping what does not run does nothing."""
        running, self._running = self._running, None
        if running is not None:
            await running.aclose()

    def _app(self, database: Database, source: TokenSource | None) -> Starlette:
        authorizations = Authorizations(
            database, self._clock, token_lifetime=self._token_lifetime, unattended=self._unattended
        )
        spending = Spending(
            database,
            self._clock,
            source,
            base_url=lambda: self.url,
            limited=self._limited,
            unattended=self._unattended,
        )
        login = LoginAPI(authorizations, lambda: self.url)
        wallet = WalletAPI(authorizations, Wallet(database), spending, lambda: self.url)
        pages = Pages(authorizations, spending, lambda: self.url)
        return Starlette(
            routes=[*login.routes, *wallet.routes, *pages.routes],
            # A name that somebody else's page made to mean this address is not one of ours.
            middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])],
            exception_handlers={Refusal: _answer, OAuthRefusal: _answer, 404: _no_such_path},
        )

    async def __aenter__(self) -> LinkSandbox:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


class ThreadedLinkSandbox(Threaded[LinkSandbox]):
    """The same on a thread of its own. Its settings are those of `sandbox`, which must not be started."""

    def __init__(self, sandbox: LinkSandbox | None = None) -> None:
        super().__init__(sandbox if sandbox is not None else LinkSandbox(), "coinslot-link")

    @property
    def url(self) -> str:
        """The base URL of both APIs and of the pages. Raises `ConfigurationError` before `start`."""
        return self._sandbox.url


async def _answer(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal | OAuthRefusal)
    return error.response()


async def _no_such_path(request: Request, _error: Exception) -> Response:
    return Refusal(404, f"There is no {request.method} {request.url.path} here.", code="not_found").response()
