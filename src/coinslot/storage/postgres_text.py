"""Statements and values as PostgreSQL has them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

# Its text has no NUL. One is written as the escape character (DLE) and an @, the escape as two of itself.
_ESCAPE: Final = "\x10"
_NUL: Final = _ESCAPE + "@"
_ESCAPED: Final = re.compile(f"{_ESCAPE}(.)", re.DOTALL)


def to_postgres(value: object) -> object:
    """A value as it can be stored: any text is."""
    if isinstance(value, str) and ("\0" in value or _ESCAPE in value):
        return value.replace(_ESCAPE, _ESCAPE * 2).replace("\0", _NUL)
    return value


def from_postgres(value: object) -> object:
    """A value as it was before `to_postgres`."""
    if isinstance(value, str) and _ESCAPE in value:
        return _ESCAPED.sub(lambda found: "\0" if found[1] == "@" else found[1], value)
    return value


@lru_cache(maxsize=256)
def numbered(sql: str) -> str:
    """The statement with `$1`, `$2` … in place of each `?`."""
    first, *others = sql.split("?")
    return first + "".join(f"${number}{part}" for number, part in enumerate(others, start=1))


def definition(sql: str) -> str:
    """A statement of a migration: bytes have another name, and the order of text is that of code points."""
    return sql.replace("BLOB", "BYTEA").replace(" TEXT", ' TEXT COLLATE "C"')
