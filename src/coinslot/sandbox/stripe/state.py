"""What a request, a timer or the dashboard sees of the state: the objects, within one transaction."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from coinslot.sandbox.stripe.errors import ApiError, missing
from coinslot.sandbox.stripe.shapes import Lasting
from coinslot.sandbox.stripe.shapes.event import EventRequest

R = TypeVar("R", bound=Lasting)
Filters = dict[str, "str | int | None"]
"""Members of an object and what they have to equal; None asks for nothing."""

EVERYBODY: Final = None
"""In place of an account: objects of all of them."""


class Settings(Struct, frozen=True, kw_only=True):
    """How the sandbox behaves, in seconds.

    `settle_after` is from a deposit's being seen to its being settled; `deposit_lifetime` from a deposit's
    being asked for to its expiry; `retry_delays` between the attempts to deliver a webhook. `tokens` are the
    contracts that deposits are made in, by network, and `chain_id` is the chain that is watched, if one is.
    `public_url` is where payers' browsers find the sandbox.
    """

    clock: Callable[[], float] = time.time
    settle_after: float = 1.0
    deposit_lifetime: float = 24 * 3600.0
    retry_delays: tuple[float, ...] = (5.0, 60.0, 600.0)
    tokens: dict[str, str] = {}
    chain_id: int | None = None
    public_url: str = ""


class State:
    """The objects, in the transaction that `connection` is in.

    `request` is what events name as their cause.
    """

    def __init__(self, connection: sqlite3.Connection, settings: Settings) -> None:
        self.sql = connection
        self.settings = settings
        self.moment = settings.clock()
        self.now = int(self.moment)
        self.request = EventRequest()
        self.version = ""

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Undo what is done within if it ends with an error, except what a card error leaves behind."""
        self.sql.execute("SAVEPOINT attempt")
        try:
            yield
        except ApiError as error:
            if not error.keeps_changes:
                self.sql.execute("ROLLBACK TO attempt")
            raise
        finally:
            self.sql.execute("RELEASE attempt")

    def find(self, kind: type[R], id_: str, account: str | None = EVERYBODY) -> R | None:
        """The object, if there is one and it is the account's."""
        row = self.sql.execute(
            "SELECT body FROM objects WHERE kind = ? AND id = ? AND (? IS NULL OR account = ?)",
            (kind.KIND, id_, account, account),
        ).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=kind)

    def get(self, kind: type[R], id_: str, account: str | None = EVERYBODY, *, param: str | None = None) -> R:
        """The object. Raises `ApiError`, naming the parameter of its id, if there is none."""
        found = self.find(kind, id_, account)
        if found is None:
            raise missing(kind.NOUN, id_, param=param)
        return found

    def owner(self, kind: type[Lasting], id_: str) -> str:
        """Whose object it is. Raises `ApiError` if there is none."""
        row = self.sql.execute(
            "SELECT account FROM objects WHERE kind = ? AND id = ?", (kind.KIND, id_)
        ).fetchone()
        if row is None:
            raise missing(kind.NOUN, id_)
        account: str = row[0]
        return account

    def add(self, item: R, account: str) -> R:
        """Keep a new object, and return it."""
        self.sql.execute(
            "INSERT INTO objects (id, kind, account, body) VALUES (?, ?, ?, ?)",
            (item.id, item.KIND, account, _encode(item)),
        )
        return item

    def save(self, item: R) -> R:
        """Keep what has changed in an object, and return it."""
        self.sql.execute(
            "UPDATE objects SET body = ? WHERE kind = ? AND id = ?", (_encode(item), item.KIND, item.id)
        )
        return item

    def remove(self, item: Lasting) -> None:
        """Forget an object."""
        self.sql.execute("DELETE FROM objects WHERE kind = ? AND id = ?", (item.KIND, item.id))

    def all(self, kind: type[R], account: str | None = EVERYBODY, **filters: str | int | None) -> list[R]:
        """Every such object, oldest first."""
        clauses, values = conditions(filters)
        rows = self.sql.execute(
            "SELECT body FROM objects WHERE kind = ? AND (? IS NULL OR account = ?)"  # noqa: S608 - see `conditions`
            f"{clauses} ORDER BY sequence",
            (kind.KIND, account, account, *values),
        )
        return [msgspec.json.decode(body, type=kind) for (body,) in rows]

    def later(self, due: float, action: str, subject: str) -> None:
        """Have `timers` do something at a time."""
        self.sql.execute("INSERT INTO timers (due, action, subject) VALUES (?, ?, ?)", (due, action, subject))

    def note(self, name: str) -> str | None:
        """A value that was kept under a name."""
        row = self.sql.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def keep_note(self, name: str, value: str) -> None:
        """Keep a value under a name."""
        self.sql.execute("INSERT OR REPLACE INTO notes (name, value) VALUES (?, ?)", (name, value))


def conditions(filters: Filters) -> tuple[str, list[str | int]]:
    """SQL to append to a WHERE, and its values: `member__sub` is a member of a member.

    Only placeholders are in the SQL.
    """
    wanted = [(name, value) for name, value in filters.items() if value is not None]
    clauses = "".join(" AND json_extract(body, ?) = ?" for _ in wanted)
    values: Iterable[str | int] = (
        part for name, value in wanted for part in ("$." + name.replace("__", "."), value)
    )
    return clauses, list(values)


def _encode(item: Lasting) -> str:
    return msgspec.json.encode(item).decode()
