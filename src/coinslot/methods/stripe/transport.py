"""How the SDK's requests travel: over httpx2, as everything else here does.

The SDK itself would take httpx or aiohttp for its asynchronous calls. This is one HTTP library less, keeps
connections apart by event loop, and keeps tokens in paths out of httpx2's log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from ipaddress import ip_address
from typing import ClassVar, Final

from coinslot.errors import ConfigurationError
from coinslot.methods.stripe.sdk import httpx2, stripe

_CONNECT_TIMEOUT: Final = 5.0


class Transport(stripe.HTTPClient):
    """Carries requests of the SDK, asynchronous ones alone. `timeout` is in seconds."""

    name: ClassVar[str] = "httpx2"

    def __init__(self, timeout: float) -> None:
        super().__init__()
        self._timeout = httpx2.Timeout(timeout, connect=_CONNECT_TIMEOUT, pool=_CONNECT_TIMEOUT)
        self._clients: dict[asyncio.AbstractEventLoop, httpx2.AsyncClient] = {}

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: str | None = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """One exchange: the answer's body, status and headers. Raises `stripe.APIConnectionError`."""
        parsed = httpx2.URL(url)
        try:
            # httpx2 logs the URLs of its requests; the path goes beside it.
            response = await self._client(parsed.host).request(
                method,
                parsed.copy_with(raw_path=b"/"),
                headers=dict(headers),
                content=post_data,
                extensions={"target": parsed.raw_path},
            )
        except httpx2.HTTPError as error:
            unanswered = stripe.APIConnectionError("no answer from Stripe")  # type: ignore[no-untyped-call]  # theirs
            raise unanswered from error
        return response.content, response.status_code, response.headers

    async def sleep_async(self, secs: float) -> None:
        """Wait, between two tries."""
        await asyncio.sleep(secs)

    async def close_async(self) -> None:
        """Close the connections of every event loop that still runs."""
        here = asyncio.get_running_loop()
        clients, self._clients = self._clients, {}
        for loop, client in clients.items():
            if loop is here:
                await client.aclose()
            elif loop.is_running():
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(client.aclose(), loop))

    def _client(self, host: str) -> httpx2.AsyncClient:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            # A loop that has ended took its connections with it.
            for ended in [loop for loop in list(self._clients) if loop.is_closed()]:
                self._clients.pop(ended, None)
            client = self._clients[loop] = httpx2.AsyncClient(
                timeout=self._timeout,
                # Proxies are for what is elsewhere.
                trust_env=not _is_loopback(host),
            )
        return client


def check_api_base(url: str) -> str:
    """`url` without a slash at its end. Raises `ConfigurationError` if a key would go there in the clear."""
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        parsed = httpx2.URL()
    is_safe = parsed.scheme == "https" or (parsed.scheme == "http" and _is_loopback(parsed.host))
    if not is_safe or not parsed.host or parsed.query or parsed.fragment or parsed.userinfo:
        raise ConfigurationError("api_base has to be an https URL, or an http one on this machine")
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
