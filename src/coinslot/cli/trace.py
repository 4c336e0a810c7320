"""How `coinslot pay` connects, and what `--verbose` shows of it: each message's head, without its secrets."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.request import getproxies, proxy_bypass

import httpx2

from coinslot.cli.output import CommandError, Exit
from coinslot.client.origin import is_loopback

_SECRET = re.compile(r"authorization|^x-auth|cookie|token|secret|password|api-?key|^payment-receipt$")
"""Names of header fields whose values are not shown. A receipt is sensitive data, and not for logs
(draft-httpauth-payment §Security Considerations)."""

_SCHEMES = re.compile(r"\b(payment|bearer|basic|digest)\s", re.IGNORECASE)


class Connections(httpx2.AsyncBaseTransport):
    """Connects directly or, if the environment names a proxy for the host (HTTPS_PROXY …), through that."""

    def __init__(self) -> None:
        self._transports: dict[str | None, httpx2.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send it on its way."""
        proxy = _proxy_for(request.url)
        if proxy not in self._transports:
            try:
                self._transports[proxy] = httpx2.AsyncHTTPTransport(proxy=proxy)
            except (ValueError, ImportError) as error:
                # The text of either may hold the proxy's password.
                raise CommandError(
                    f"the environment's proxy for {request.url.host} is of no kind that can be used",
                    Exit.NO_CONNECTION,
                ) from error
        return await self._transports[proxy].handle_async_request(request)

    async def aclose(self) -> None:
        """Close every connection."""
        for transport in self._transports.values():
            await transport.aclose()


class Traced(httpx2.AsyncBaseTransport):
    """Shows what goes over `inner`, line by line, to `show`."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, show: Callable[[str], None]) -> None:
        self._inner = inner
        self._show = show

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send it on its way, and show its head and that of the answer."""
        self._show(f"* {request.url.scheme}://{request.url.netloc.decode('ascii')}")
        self._show(f"> {request.method} {request.url.raw_path.decode('ascii')} HTTP/1.1")
        for name, value in request.headers.multi_items():
            self._show(f"> {name}: {redacted(name, value)}")
        self._show(">")
        response = await self._inner.handle_async_request(request)
        self._show(f"< {status_line(response)}")
        for name, value in response.headers.multi_items():
            self._show(f"< {name}: {redacted(name, value)}")
        self._show("<")
        return response

    async def aclose(self) -> None:
        """Close `inner`."""
        await self._inner.aclose()


def status_line(response: httpx2.Response) -> str:
    """`HTTP/1.1 200 OK`."""
    return f"{response.http_version} {response.status_code} {response.reason_phrase}".rstrip()


def redacted(name: str, value: str) -> str:
    """A header's value, or its scheme and size if what it says is a secret."""
    if not _SECRET.search(name.lower()):
        return value
    schemes = _SCHEMES.findall(value) if name.lower().endswith("authorization") else []
    return " ".join([*schemes, f"<{len(value)} characters>"])


def _proxy_for(url: httpx2.URL) -> str | None:
    # What goes to this machine over plain http must not leave it: a proxy could take a credential on the way.
    if is_loopback(url.host) or proxy_bypass(f"{url.host}:{url.port}" if url.port else url.host):
        return None
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"
