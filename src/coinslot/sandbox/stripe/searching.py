"""Search: `status:'succeeded' AND metadata['order']:'7' AND amount>=100` (docs.stripe.com/search).

Clauses are joined by AND or by OR, not by both; `-` before a clause negates it; `~` finds part of a text.
Stripe's index follows within a minute; this one is the state itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from coinslot.protocol import JSONObject, JSONValue
from coinslot.sandbox.stripe.errors import ApiError, invalid
from coinslot.sandbox.stripe.expansion import to_json
from coinslot.sandbox.stripe.parameters import Parameters
from coinslot.sandbox.stripe.shapes import Lasting, Resource
from coinslot.sandbox.stripe.state import State

R = TypeVar("R", bound=Lasting)

_CLAUSE: Final = re.compile(
    r"\s*(?P<not>-)?(?P<field>\w+)(?:\[(?P<quote>['\"])(?P<key>[^'\"]*)(?P=quote)\])?"
    r"(?P<operator>>=|<=|:|~|>|<)(?P<value>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|-?\d+|null)\s*"
)
_JOINT: Final = re.compile(r"(AND|OR)\b")
_NUMBERS: Final = ("amount", "created")
_TEXTS: Final = ("currency", "customer", "status")

_COMPARE: Final[dict[str, Callable[[int, int], bool]]] = {
    ":": lambda one, other: one == other,
    ">": lambda one, other: one > other,
    "<": lambda one, other: one < other,
    ">=": lambda one, other: one >= other,
    "<=": lambda one, other: one <= other,
}


class SearchParameters(Parameters, kw_only=True, frozen=True):
    """What searching takes. `page` is the `next_page` of the answer before."""

    query: str
    limit: int | None = None
    page: str | None = None


class SearchResult(Struct, kw_only=True):
    """A page of what was found, newest first."""

    object: str = "search_result"
    data: list[Resource]
    has_more: bool
    next_page: str | None
    url: str
    total_count: int | msgspec.UnsetType = msgspec.UNSET


class _Clause(Struct, frozen=True):
    negated: bool
    field: str
    key: str | None
    operator: str
    value: str


def search(state: State, kind: type[R], account: str, parameters: SearchParameters, url: str) -> SearchResult:
    """What matches the query. Raises `ApiError` for one that cannot be read."""
    clauses, any_ = _parse(parameters.query)
    joined = any if any_ else all
    found = [
        item
        for item in reversed(state.all(kind, account))
        if joined(_matches(to_json(item), clause) for clause in clauses)
    ]
    limit = parameters.limit or 10
    if not 1 <= limit <= 100:
        raise invalid("The limit of a search is from 1 to 100.", param="limit")
    start = _start(parameters.page)
    data: list[Resource] = [*found[start : start + limit]]
    more = start + limit < len(found)
    return SearchResult(data=data, has_more=more, next_page=str(start + limit) if more else None, url=url)


def _start(page: str | None) -> int:
    if page is None:
        return 0
    if not page.isdecimal():
        raise invalid("Invalid page.", param="page")
    return int(page)


def _parse(query: str) -> tuple[list[_Clause], bool]:
    """The clauses, and whether any of them is enough."""
    clauses, joints, place = [], set(), 0
    while True:
        found = _CLAUSE.match(query, place)
        if found is None:
            raise _unreadable()
        clauses.append(_clause(found))
        place = found.end()
        if place == len(query):
            break
        joint = _JOINT.match(query, place)
        if joint is None:
            raise _unreadable()
        joints.add(joint[1])
        place = joint.end()
    if len(joints) > 1:
        raise invalid("You can't combine AND and OR in the same query.", param="query")
    return clauses, joints == {"OR"}


def _clause(found: re.Match[str]) -> _Clause:
    value = found["value"]
    if value[0] in "'\"":
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    known = found["field"] in (*_NUMBERS, *_TEXTS) or (found["field"] == "metadata" and found["key"])
    if not known:
        raise invalid(f"Field `{found['field'][:80]}` is an unsupported search field.", param="query")
    if found["field"] in _NUMBERS and not value.lstrip("-").isdecimal():
        raise invalid(f"Field `{found['field']}` takes a number.", param="query")
    return _Clause(found["not"] is not None, found["field"], found["key"], found["operator"], value)


def _matches(item: JSONObject, clause: _Clause) -> bool:
    return _holds(item, clause) != clause.negated


def _holds(item: JSONObject, clause: _Clause) -> bool:
    value: JSONValue = item.get(clause.field)
    if clause.key is not None:
        value = value.get(clause.key) if isinstance(value, dict) else None
        if clause.value == "null":
            return value is not None
    if isinstance(value, int) and clause.operator in _COMPARE:
        return _COMPARE[clause.operator](value, int(clause.value))
    if not isinstance(value, str):
        return False
    if clause.operator == "~":
        return clause.value.lower() in value.lower()
    return clause.operator == ":" and value.lower() == clause.value.lower()


def _unreadable() -> ApiError:
    return invalid(
        'We were unable to parse your search query. Try using the format `metadata["key"]:"value"` to '
        'query for metadata or key:"value" to query for other fields.',
        param="query",
    )
