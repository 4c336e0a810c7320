"""Where payments are kept: the implementations of `coinslot.payments.ledger.Ledger`, picked by URL.

    memory:                      in this process, and gone with it
    sqlite:///coinslot.db        a file, relative to the working directory
    sqlite:////var/lib/coins.db  a file, by its absolute path

Nothing is loaded until it is asked for: a driver is imported when a ledger that needs it is made.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from coinslot.errors import ConfigurationError
from coinslot.payments.ledger import Ledger

if TYPE_CHECKING:
    from coinslot.storage.memory import MemoryLedger
    from coinslot.storage.sqlite import SQLiteLedger

__all__ = ["MemoryLedger", "SQLiteLedger", "open_ledger"]

_HOMES: Final = {"MemoryLedger": "coinslot.storage.memory", "SQLiteLedger": "coinslot.storage.sqlite"}

_KINDS: Final = 'write "sqlite:///coinslot.db" for a file, or "memory:" to try things out'
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
    scheme, colon, rest = url.partition(":")
    match scheme.lower() if colon else "":
        case "memory":
            return _memory(rest)
        case "sqlite":
            return _sqlite(rest)
        case "redis" | "rediss":
            raise ConfigurationError(f"a ledger cannot be in Redis, which may forget payments: {_KINDS}")
        case "postgres" | "postgresql":
            raise ConfigurationError(f"there is no PostgreSQL ledger in this release: {_KINDS}")
        case _:
            raise ConfigurationError(f"the ledger's URL does not begin with a kind of ledger: {_KINDS}")


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
