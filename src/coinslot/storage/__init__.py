"""Where payments are kept: the implementations of `coinslot.payments.ledger.Ledger`, picked by URL.

    memory:                        in this process, and gone with it
    sqlite:///coinslot.db          a file, relative to the working directory
    sqlite:////var/lib/coins.db    a file, by its absolute path
    postgresql://user@host/shop    a database, for many machines

And those of `coinslot.payments.cache.Cache`, for what may be forgotten:

    memory:                        in this process
    redis://host:6379/0            for many machines; rediss:// with TLS, unix:// for a socket

Nothing is loaded until it is asked for: a driver is imported when a store that needs it is made.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from coinslot.errors import ConfigurationError
from coinslot.payments.cache import Cache
from coinslot.payments.ledger import Ledger

if TYPE_CHECKING:
    from coinslot.storage.memory import MemoryLedger
    from coinslot.storage.memory_cache import MemoryCache
    from coinslot.storage.postgres import PostgresLedger
    from coinslot.storage.redis import RedisCache
    from coinslot.storage.sqlite import SQLiteLedger

__all__ = [
    "MemoryCache",
    "MemoryLedger",
    "PostgresLedger",
    "RedisCache",
    "SQLiteLedger",
    "open_cache",
    "open_ledger",
]

_HOMES: Final = {
    "MemoryCache": "coinslot.storage.memory_cache",
    "MemoryLedger": "coinslot.storage.memory",
    "PostgresLedger": "coinslot.storage.postgres",
    "RedisCache": "coinslot.storage.redis",
    "SQLiteLedger": "coinslot.storage.sqlite",
}

_KINDS: Final = (
    'write "sqlite:///coinslot.db" for a file, "postgresql://user:password@host/database" for many machines, '
    'or "memory:" to try things out'
)
_CACHES: Final = 'write "redis://host:6379/0", or "memory:" for a single process'
_SLASHES: Final = 'write "sqlite:///relative.db" (three slashes) or "sqlite:////absolute/path.db" (four)'


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def open_ledger(url: str) -> Ledger:
    """The ledger that a URL names. `await ledger.open()` connects to it.

    A path is taken as it is written; nothing in it is percent-decoded. Raises `ConfigurationError`, which
    says what to write instead, for a URL that names no ledger, a directory that is not there and a driver
    that is not installed. The URL itself is not repeated in it: one may hold a password.
    """
    scheme, rest = _scheme(url)
    match scheme:
        case "memory":
            return _memory(rest)
        case "sqlite":
            return _sqlite(rest)
        case "postgres" | "postgresql":
            return _postgres(url)
        case "redis" | "rediss" | "unix":
            raise ConfigurationError(f"a ledger cannot be in Redis, which may forget payments: {_KINDS}")
        case _:
            raise ConfigurationError(f"the ledger's URL does not begin with a kind of ledger: {_KINDS}")


def open_cache(url: str) -> Cache:
    """The cache that a URL names. `await cache.open()` connects to it.

    Raises `ConfigurationError` as `open_ledger` does.
    """
    scheme, rest = _scheme(url)
    match scheme:
        case "memory" if rest in ("", "//"):
            from coinslot.storage.memory_cache import MemoryCache

            return MemoryCache()
        case "redis" | "rediss" | "unix":
            return _redis(f"{scheme}:{rest}")  # redis-py knows it in small letters only
        case _:
            raise ConfigurationError(f"the cache's URL does not name a cache: {_CACHES}")


def _scheme(url: str) -> tuple[str, str]:
    scheme, colon, rest = url.partition(":")
    return (scheme.lower(), rest) if colon else ("", url)


def _memory(rest: str) -> Ledger:
    if rest not in ("", "//"):
        raise ConfigurationError('a ledger in memory has no name: write "memory:"')
    from coinslot.storage.memory import MemoryLedger

    return MemoryLedger()


def _sqlite(rest: str) -> Ledger:
    path = rest.removeprefix("///")
    if path == rest:
        raise ConfigurationError(f"the ledger's URL has too few slashes: {_SLASHES}")
    if path in ("", ":memory:"):
        raise ConfigurationError('an SQLite ledger needs a file; for one in memory write "memory:"')
    if "?" in path or "#" in path:
        raise ConfigurationError(f"an SQLite ledger has no options in its URL: {_SLASHES}")
    file = Path(path).absolute()
    if file.is_dir():
        raise ConfigurationError(f"{file} is a directory; the ledger needs the name of a file in it")
    if not file.parent.is_dir():
        raise ConfigurationError(f"the directory {file.parent} is not there: create it for the ledger")
    try:
        from coinslot.storage.sqlite import SQLiteLedger
    except ImportError as error:
        raise ConfigurationError(
            "this Python was built without SQLite: install one that has the sqlite3 module"
        ) from error
    return SQLiteLedger(file)


def _postgres(url: str) -> Ledger:
    try:
        from coinslot.storage.postgres import PostgresLedger
    except ImportError as error:
        raise ConfigurationError(
            "a ledger in PostgreSQL needs asyncpg: pip install 'coinslot[postgres]'"
        ) from error
    return PostgresLedger(url)


def _redis(url: str) -> Cache:
    try:
        from coinslot.storage.redis import RedisCache
    except ImportError as error:
        raise ConfigurationError("a cache in Redis needs redis-py: pip install 'coinslot[redis]'") from error
    return RedisCache(url)
