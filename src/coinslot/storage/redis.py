"""A cache in Redis, or in what speaks its protocol: for any number of machines.

Each call is one command, or one script on one key, so each is atomic. Everything is set together with its
end, by Redis's own clock. Keys begin with `coinslot:`, so the database may have other uses.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any, Final

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from coinslot.errors import ConfigurationError, LedgerError
from coinslot.storage.per_loop import PerLoop

PREFIX: Final = "coinslot:"

# Key: the lease. Arguments: owner, milliseconds.
_LEASE: Final = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
# Key: the lease. Argument: owner.
_RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""
# Key: the counter. Arguments: by how much, milliseconds. It answers in text: Lua's numbers end at 53 bits.
_COUNT: Final = """
if ARGV[1] ~= '0' then
    redis.call('INCRBY', KEYS[1], ARGV[1])
    if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
end
return redis.call('GET', KEYS[1]) or '0'
"""

_SENTENCES: Final[tuple[tuple[type[Exception], str], ...]] = (
    (exceptions.AuthenticationError, "refuses the user, or the password"),
    (exceptions.OutOfMemoryError, "is full: raise its maxmemory, or let it evict"),
    (exceptions.ConnectionError, "cannot be reached, or the connection was lost"),
    (exceptions.ResponseError, "refused what it was asked"),
    (TimeoutError, "does not answer in time"),
    (OSError, "cannot be reached"),
)


class RedisCache:
    """The cache at `url`, as redis-py has it (`redis://…`, `rediss://…` with TLS, `unix://…`).

    Each event loop makes up to `connections` connections. A call takes at most `patience` seconds and then
    raises `LedgerError`.
    """

    def __init__(self, url: str, *, connections: int = 20, patience: float = 2.0) -> None:
        self._url = url
        self._connections = connections
        self._patience = patience
        self._clients: PerLoop[Redis] = PerLoop(self._connect)

    def __repr__(self) -> str:
        return "RedisCache()"

    async def open(self) -> None:
        """Connect. Raises `ConfigurationError` for a URL that makes no sense."""
        await self._ask(lambda client: client.ping())

    async def close(self) -> None:
        """Disconnect."""
        await self._clients.aclose()

    async def lease(self, name: str, owner: str, seconds: float) -> bool:
        """Take or renew the lease."""
        key = f"{PREFIX}lease:{name}"
        milliseconds = _milliseconds(seconds)
        return bool(await self._ask(lambda client: client.eval(_LEASE, 1, key, owner, milliseconds)))

    async def release(self, name: str, owner: str) -> None:
        """Give the lease back, if `owner` has it."""
        await self._ask(lambda client: client.eval(_RELEASE, 1, f"{PREFIX}lease:{name}", owner))

    async def count(self, name: str, *, by: int, seconds: float) -> int:
        """Add to a counter and return what it stands at."""
        key = f"{PREFIX}count:{name}"
        milliseconds = _milliseconds(seconds)
        return int(await self._ask(lambda client: client.eval(_COUNT, 1, key, str(by), milliseconds)))

    async def get(self, name: str) -> bytes | None:
        """A value, if it was put and its time is not over."""
        value: bytes | None = await self._ask(lambda client: client.get(f"{PREFIX}value:{name}"))
        return value

    async def put(self, name: str, value: bytes, *, seconds: float) -> None:
        """Keep a value for so long, in place of what was there."""
        key = f"{PREFIX}value:{name}"
        await self._ask(lambda client: client.set(key, value, px=int(_milliseconds(seconds))))

    async def _ask(self, question: Callable[[Redis], Awaitable[Any]]) -> Any:
        client = await self._clients.get()
        try:
            async with asyncio.timeout(self._patience):
                return await question(client)
        except (exceptions.RedisError, OSError) as error:
            # Not `from error`: nothing that may quote the URL.
            raise _explain(error) from None

    def _connect(self) -> Redis:
        try:
            pool = BlockingConnectionPool.from_url(
                self._url,
                max_connections=self._connections,
                timeout=self._patience,
                socket_timeout=self._patience,
                socket_connect_timeout=self._patience,
                retry=Retry(NoBackoff(), 0),  # a counter must not be added to twice
            )
        except (ValueError, exceptions.RedisError):
            raise ConfigurationError(
                'the Redis URL cannot be understood: write "redis://:password@host:6379/0", '
                "special characters percent-encoded"
            ) from None
        return Redis.from_pool(pool)


def _milliseconds(seconds: float) -> str:
    """The whole milliseconds that Redis counts in, at least one."""
    return str(max(1, math.ceil(seconds * 1000)))


def _explain(error: Exception) -> LedgerError:
    sentence = next((sentence for kind, sentence in _SENTENCES if isinstance(error, kind)), "does not work")
    return LedgerError(f"the Redis cache {sentence} ({type(error).__name__})")
