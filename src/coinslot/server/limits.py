"""Limits: how many prices one client may be told, and how many of its credentials are looked at.

A client that goes on is answered 429, with the seconds to wait and no challenge. What is paid for is not
affected: a credential whose money is here is honoured at any rate.

Counts are by fixed windows of the clock, in the cache that all workers share, or else in this process. Each
client falls into one of a fixed number of counters, so that nobody can make them grow.
"""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final, TypeAlias

from msgspec import Struct

from coinslot.errors import CoinslotError, ConfigurationError, RateLimited
from coinslot.payments.cache import Cache
from coinslot.server.exchange import Request

logger = logging.getLogger("coinslot")

COUNTERS: Final = 2**18
"""How many counters each limit has. Two clients rarely share one, and none can choose to."""

_ALONE: Final = 10.0  # how long a cache that did not answer is left alone: prices must not wait for it

_UNITS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}

Client: TypeAlias = Callable[[Request], str | None]


def network_of(request: Request) -> str | None:
    """The network that a request came from: an IPv4 address, or the /64 of an IPv6 one.

    None, which is not limited, for an address that is not global: it is most likely a proxy of the seller's,
    with everybody behind it.
    """
    return None if request.peer is None else _network(request.peer)


class Limits(Struct, frozen=True, kw_only=True):
    """Limits for each client, as `"600/minute"` (or second, hour, day). None: there is none.

    - `challenges`: answers with a price.
    - `credentials`: credentials for which a payment method may have to ask the world.
    - `client`: what tells clients apart: any short text, or None for one that is not limited.

    Raises `ConfigurationError` for a rate that cannot be read.
    """

    challenges: str | None = None
    credentials: str | None = None
    client: Client = network_of

    def __post_init__(self) -> None:
        _rate("challenges", self.challenges)
        _rate("credentials", self.credentials)


class Rate(Struct, frozen=True):
    """So many in so many seconds. `what` is counted."""

    what: str
    most: int
    seconds: int


class Limiter:
    """Counts one paywall's requests. `secret` keeps strangers from finding out who shares a counter."""

    def __init__(
        self,
        limits: Limits,
        *,
        secret: bytes,
        cache: Cache | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = limits.client
        self._challenges = _rate("challenges", limits.challenges)
        self._credentials = _rate("credentials", limits.credentials)
        self._secret = hashlib.sha256(b"coinslot limits" + secret).digest()
        self._cache = cache
        self._clock = clock
        self._is_open = False
        self._alone_until = 0.0
        self._counts: dict[str, tuple[int, dict[int, int]]] = {}

    async def count_challenge(self, request: Request) -> None:
        """One more price is asked for. Raises `RateLimited`."""
        if self._challenges is not None:
            await self._count(request, self._challenges)

    async def count_credential(self, request: Request) -> None:
        """One more credential is to be looked at. Raises `RateLimited`."""
        if self._credentials is not None:
            await self._count(request, self._credentials)

    async def _count(self, request: Request, rate: Rate) -> None:
        client = self._client(request)
        if client is None:
            return
        digest = hashlib.blake2b(client.encode("utf-8", "surrogateescape"), key=self._secret, digest_size=8)
        counter = int.from_bytes(digest.digest()) % COUNTERS
        now = self._clock()
        window = int(now // rate.seconds)
        count = await self._add(rate, window, counter)
        if count <= rate.most:
            return
        if count == rate.most + 1:  # once a window, however long it goes on
            logger.warning("%s: a client is over its limit of %s", request.label, rate.what)
        wait = math.ceil((window + 1) * rate.seconds - now)
        raise RateLimited(f"Too many {rate.what}. Try again in {wait} s.", retry_after=max(wait, 1))

    async def _add(self, rate: Rate, window: int, counter: int) -> int:
        """One more; how many that makes in this window."""
        if self._cache is not None and self._clock() >= self._alone_until:
            name = f"limit:{rate.what}:{window}:{counter}"
            try:
                if not self._is_open:
                    await self._cache.open()
                    self._is_open = True
                return await self._cache.count(name, by=1, seconds=float(rate.seconds))
            except CoinslotError as error:
                logger.warning("for %g s limits are counted by this worker alone: %s", _ALONE, error)
                self._alone_until = self._clock() + _ALONE
        current, counts = self._counts.get(rate.what, (window, {}))
        if current != window:
            counts = {}
        counts[counter] = counts.get(counter, 0) + 1
        self._counts[rate.what] = (window, counts)
        return counts[counter]


def _rate(what: str, text: str | None) -> Rate | None:
    if text is None:
        return None
    most, slash, unit = text.partition("/")
    if not (slash and most.isascii() and most.isdigit() and int(most) > 0 and unit in _UNITS):
        raise ConfigurationError(
            f"the limit of {what} has to be a number for each second, minute, hour or day, "
            f'such as "60/minute", not {text!r}.'
        )
    return Rate(what, int(most), _UNITS[unit])


@lru_cache(maxsize=4096)
def _network(peer: str) -> str | None:
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return None  # a unix socket's path, or a test client's name
    address = getattr(address, "ipv4_mapped", None) or address
    if not address.is_global:
        return None
    return address.exploded[:19] if isinstance(address, IPv6Address) else str(address)
