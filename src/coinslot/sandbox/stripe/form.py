"""Form bodies and query strings as Stripe reads them: `a[b][c]=1`, `a[0]=1`, `a[]=1` are one tree.

Nothing is known here about what a parameter means. `parameters` gives the tree its types; there, an object
whose names are all numbers can be read as an array, which is how the SDKs write arrays.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import parse_qsl

from coinslot.sandbox.stripe.errors import invalid

if TYPE_CHECKING:
    Form: TypeAlias = dict[str, "str | Form"]
    """Names to strings, or to the names below them."""
else:
    Form = dict[str, Any]

MAX_PARAMETERS: Final = 2000
"""Pairs in one request."""

MAX_DEPTH: Final = 12
"""Brackets after one name."""

_NAME: Final = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_BRACKET: Final = re.compile(r"\[([^\[\]]*)\]")


def decode(text: str) -> Form:
    """The tree in `application/x-www-form-urlencoded` text. Raises `ApiError` for what is none."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_PARAMETERS, errors="strict")
    except ValueError as error:
        raise invalid("The request's parameters cannot be read.") from error
    tree: Form = {}
    for name, value in pairs:
        _insert(tree, _path(name), value)
    return tree


def merge(first: Form, second: Form) -> Form:
    """Both, as when a request has parameters in its URL and in its body. The second one's go first."""
    return {**first, **second}


def _path(name: str) -> list[str]:
    found = _NAME.fullmatch(name)
    if found is None:
        raise invalid(f"Invalid parameter name: {name[:80]}")
    path = [found[1], *_BRACKET.findall(found[2])]
    if len(path) > MAX_DEPTH:
        raise invalid(f"The parameter {found[1][:80]} is nested too deep.")
    return path


def _insert(tree: Form, path: list[str], value: str) -> None:
    here = tree
    for position, name in enumerate(path[:-1]):
        below = here.setdefault(_next(here) if name == "" and position else name, {})
        if not isinstance(below, dict):
            raise invalid(f"The parameter {path[0]} is both a value and an object.", param=path[0])
        here = below
    last = _next(here) if path[-1] == "" else path[-1]
    if isinstance(here.get(last), dict):
        raise invalid(f"The parameter {path[0]} is both a value and an object.", param=path[0])
    here[last] = value


def _next(here: Form) -> str:
    """The place that `[]` means: after what is there."""
    return str(len(here))
