"""A script: what is asked of an SQL database for one call, as a generator that does no I/O.

It yields statements and is sent their results, so that the same script runs on SQLite's own thread and over
a connection to PostgreSQL. The statements are understood by both, but for what is in `Dialect`; the time that
leases and answers go by is `wall_clock()`. What a caller can get wrong is found before the first statement.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import NamedTuple, TypeAlias, TypeVar

from coinslot.storage.rows import Value

T = TypeVar("T")

Row: TypeAlias = Sequence[object]


class Statement(NamedTuple):
    """One statement, with a `?` for each of its values. One that `reads` has rows, others count them."""

    sql: str
    values: tuple[Value, ...]
    reads: bool


class Result(NamedTuple):
    """The rows that were read, or how many were changed."""

    rows: Sequence[Row] = ()
    changed: int = 0


Script: TypeAlias = Generator[Statement, Result, T]


class Dialect(NamedTuple):
    """What cannot be written so that every database understands it.

    `total` is the exact sum of the column `{}` as decimal text, and `day` the day since 1970 of the time in
    `{}`. With `hasty_from` or `hasty_using` a statement's commit does not wait for the disk; `skip_locked`
    passes over rows that another transaction is at.
    """

    total: str
    day: str
    hasty_from: str = ""
    hasty_using: str = ""
    skip_locked: str = ""


def ask(sql: str, *values: Value) -> Script[Sequence[Row]]:
    """Read rows."""
    return (yield Statement(sql, values, reads=True)).rows


def change(sql: str, *values: Value) -> Script[int]:
    """Change rows, and count them."""
    return (yield Statement(sql, values, reads=False)).changed
