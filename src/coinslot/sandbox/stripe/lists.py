"""Lists with cursors: `limit`, `starting_after`, `ending_before`, and `created` ranges."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from coinslot.sandbox.stripe.errors import invalid, missing
from coinslot.sandbox.stripe.parameters import Parameters
from coinslot.sandbox.stripe.shapes import Lasting, Resource
from coinslot.sandbox.stripe.state import Filters, State, conditions

R = TypeVar("R", bound=Lasting)

MAX_LIMIT: Final = 100


class Range(Struct, kw_only=True, frozen=True):
    """A range of Unix seconds."""

    gt: int | None = None
    gte: int | None = None
    lt: int | None = None
    lte: int | None = None


class ListParameters(Parameters, kw_only=True, frozen=True):
    """What every list takes. `limit` is from 1 to 100."""

    limit: int | None = None
    starting_after: str | None = None
    ending_before: str | None = None
    created: Range | None = None


class Listing(Struct, kw_only=True):
    """A page of objects, newest first."""

    object: str = "list"
    data: list[Resource]
    has_more: bool
    url: str


def page(
    state: State, kind: type[R], account: str | None, parameters: ListParameters, url: str, filters: Filters
) -> Listing:
    """The page that is asked for. Raises `ApiError` for a cursor that is no such object."""
    limit = _limit(parameters.limit)
    clauses, values = conditions(filters)
    for name, operator in (("gt", ">"), ("gte", ">="), ("lt", "<"), ("lte", "<=")):
        bound = None if parameters.created is None else getattr(parameters.created, name)
        if bound is not None:
            clauses += f" AND json_extract(body, '$.created') {operator} ?"
            values.append(bound)
    backwards = parameters.ending_before is not None
    cursor = parameters.ending_before if backwards else parameters.starting_after
    if cursor is not None:
        clauses += f" AND sequence {'>' if backwards else '<'} ?"
        values.append(_place(state, kind, account, cursor, backwards))
    rows = state.sql.execute(
        "SELECT body FROM objects WHERE kind = ? AND (? IS NULL OR account = ?)"  # noqa: S608 - see `conditions`
        f"{clauses} "
        f"ORDER BY sequence {'ASC' if backwards else 'DESC'} LIMIT ?",
        (kind.KIND, account, account, *values, limit + 1),
    ).fetchall()
    found: list[Resource] = [msgspec.json.decode(body, type=kind) for (body,) in rows[:limit]]
    if backwards:
        found.reverse()
    return Listing(data=found, has_more=len(rows) > limit, url=url)


def _limit(limit: int | None) -> int:
    if limit is None:
        return 10
    if not 1 <= limit <= MAX_LIMIT:
        what = "greater than or equal to 1" if limit < 1 else f"less than or equal to {MAX_LIMIT}"
        raise invalid(
            f"This value must be {what} (it currently is '{limit}').",
            param="limit",
            code="parameter_invalid_integer",
        )
    return limit


def _place(state: State, kind: type[Lasting], account: str | None, cursor: str, backwards: bool) -> int:
    row = state.sql.execute(
        "SELECT sequence FROM objects WHERE kind = ? AND id = ? AND (? IS NULL OR account = ?)",
        (kind.KIND, cursor, account, account),
    ).fetchone()
    if row is None:
        raise missing(kind.NOUN, cursor, param="ending_before" if backwards else "starting_after")
    place: int = row[0]
    return place
