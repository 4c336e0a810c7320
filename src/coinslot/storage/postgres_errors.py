"""What goes wrong with PostgreSQL, as a sentence.

Its own messages are not repeated: they quote rows, and with them what nobody should read in a log.
"""

from __future__ import annotations

from typing import Final

import asyncpg  # type: ignore[import-untyped]  # it has no stubs

from coinslot.errors import ConfigurationError, LedgerError

_VALUE_FAULTS: Final = (
    asyncpg.DataError,
    asyncpg.exceptions._base.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    UnicodeError,
    OverflowError,
)

OWN_FAULTS: Final = (*_VALUE_FAULTS, asyncpg.LockNotAvailableError)
"""Raised for what one call asked, while the connection is as good as it was."""

FAULTS: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,  # and with it TimeoutError, and TLS's
    EOFError,
    *OWN_FAULTS,
)
"""Everything that a server, a network or a value can do."""

_SENTENCES: Final[tuple[tuple[type[Exception], str], ...]] = (
    *((kind, "refused a value that no payment may have") for kind in _VALUE_FAULTS),
    (TimeoutError, "does not answer in time"),
    (asyncpg.QueryCanceledError, "does not answer in time"),
    (asyncpg.LockNotAvailableError, "does not answer in time: somebody holds a lock"),
    (asyncpg.InvalidAuthorizationSpecificationError, "refuses the user, or the password"),
    (asyncpg.InvalidCatalogNameError, "has no database of this name"),
    (asyncpg.InsufficientPrivilegeError, "does not allow it: its user needs more rights"),
    (asyncpg.TooManyConnectionsError, "has no connection left: raise its max_connections"),
    (asyncpg.DiskFullError, "cannot grow: its disk is full"),
    (asyncpg.ReadOnlySQLTransactionError, "takes no writes: it is a standby, or set to read-only"),
    (asyncpg.UndefinedTableError, "has lost its tables: restore them from a backup"),
    (asyncpg.DataCorruptedError, "is damaged: restore it from a backup"),
    (asyncpg.exceptions.OperatorInterventionError, "is shutting down, or starting up"),
    (asyncpg.PostgresConnectionError, "cannot be reached, or the connection was lost"),
    (asyncpg.InterfaceError, "cannot be reached, or the connection was lost"),
    (OSError, "cannot be reached, or the connection was lost"),
)


def not_a_url() -> ConfigurationError:
    """For a URL that asyncpg cannot read; what it says about that repeats the URL."""
    return ConfigurationError(
        "the PostgreSQL URL cannot be understood: write "
        '"postgresql://user:password@host:5432/database", special characters percent-encoded'
    )


def explain(error: Exception) -> LedgerError:
    """The error as a caller may see it, which says what to do and holds neither the URL nor a row."""
    sentence = next((sentence for kind, sentence in _SENTENCES if isinstance(error, kind)), "does not work")
    code = getattr(error, "sqlstate", None)
    name = type(error).__name__
    return LedgerError(f"the PostgreSQL ledger {sentence} ({f'{name}, {code}' if code else name})")
