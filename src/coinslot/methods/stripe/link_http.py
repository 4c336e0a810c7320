"""How Link is spoken to: over TLS, or to this machine."""

from __future__ import annotations

from ipaddress import ip_address

from coinslot.errors import ConfigurationError

try:
    import httpx
except ImportError as error:
    raise ImportError(
        f"Link needs {error.name}, which is not installed: pip install 'coinslot[link]'"
    ) from error

__all__ = ["httpx", "open_http", "safe_base_url"]


def open_http(base_url: str, timeout: float) -> httpx.AsyncClient:
    """A client for `base_url`. `timeout` is in seconds, for each of connecting, reading and writing.

    The environment's proxies are used, except for this machine.
    """
    return httpx.AsyncClient(timeout=timeout, trust_env=not _is_loopback(httpx.URL(base_url).host))


def safe_base_url(url: str, setting: str) -> str:
    """`url` without a slash at its end.

    Raises `ConfigurationError`, which names `setting`, if tokens could be read on their way there.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL()
    safe = parsed.scheme == "https" or (parsed.scheme == "http" and _is_loopback(parsed.host))
    if not (safe and parsed.host) or parsed.query or parsed.fragment or parsed.userinfo:
        raise ConfigurationError(
            f"{setting} {url!r} will not do: it is https://…, or http:// on this machine"
        )
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
