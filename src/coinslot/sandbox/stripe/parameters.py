"""Parameters with types: a `Form` becomes the Struct that an endpoint declares, or Stripe's error for it.

The Struct's fields are the parameters that the endpoint takes. A field without a default is required; one
whose default is None may be left out, and an empty string for it is kept as `""` where it is text, which is
how a member is unset.
"""

from __future__ import annotations

import re
import types
from functools import cache
from typing import Any, Final, Literal, NoReturn, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from msgspec import NODEFAULT, Struct
from msgspec.structs import fields

from coinslot.sandbox.stripe.errors import ApiError, invalid
from coinslot.sandbox.stripe.form import Form

P = TypeVar("P", bound=Struct)

_INTEGER: Final = re.compile(r"-?\d{1,18}")
_BOOLEANS: Final = {"true": True, "false": False, "1": True, "0": False}


class Parameters(Struct, kw_only=True, frozen=True):
    """What every endpoint takes: `expand` names members that are to be answered as objects."""

    expand: list[str] | None = None


def read(form: Form, kind: type[P]) -> P:
    """The parameters in `form`. Raises `ApiError` for one that is unknown, missing or malformed."""
    return cast(P, _struct(form, kind, ""))


def _struct(value: Form, kind: type[Struct], path: str) -> Struct:
    types_ = _types(kind)
    unknown = [_join(path, name) for name in value if name not in types_]
    if unknown:
        plural = "s" if len(unknown) > 1 else ""
        raise invalid(
            f"Received unknown parameter{plural}: {', '.join(unknown)[:400]}",
            param=unknown[0][:200],
            code="parameter_unknown",
        )
    found: dict[str, object] = {}
    for field in fields(kind):
        name = _join(path, field.name)
        if field.name in value:
            found[field.name] = _convert(value[field.name], types_[field.name], name)
        elif field.default is NODEFAULT:
            raise invalid(f"Missing required param: {name}.", param=name, code="parameter_missing")
    return kind(**found)


def _convert(value: str | Form, kind: Any, path: str) -> object:
    """`value` as `kind`, which is one of the types that parameters have."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        (inner,) = [each for each in get_args(kind) if each is not type(None)]
        return _convert(value, inner, path)
    if origin is list:
        return _list(value, get_args(kind)[0], path)
    if origin is dict:
        return _strings(value, path)
    if isinstance(kind, type) and issubclass(kind, Struct):
        return _struct(value, kind, path) if isinstance(value, dict) else _no_object(path)
    if not isinstance(value, str):
        raise invalid("Invalid string: an object was given", param=path)
    return _scalar(value, kind, path)


def _scalar(value: str, kind: Any, path: str) -> object:
    if kind is str:
        return value
    if value == "":
        raise _empty(path)
    if kind is int:
        if not _INTEGER.fullmatch(value):
            raise invalid(f"Invalid integer: {value[:80]}", param=path, code="parameter_invalid_integer")
        return int(value)
    if kind is bool:
        if value not in _BOOLEANS:
            raise invalid(f"Invalid boolean: {value[:80]}", param=path)
        return _BOOLEANS[value]
    assert get_origin(kind) is Literal, f"{path} is declared with a type that parameters do not have"
    choices = get_args(kind)
    if value not in choices:
        raise invalid(f"Invalid {path}: must be {_one_of(choices)}", param=path)
    return value


def _list(value: str | Form, kind: Any, path: str) -> list[object]:
    if value == "":
        return []
    if not isinstance(value, dict) or not all(name.isdecimal() for name in value):
        raise invalid("Invalid array", param=path)
    ordered = sorted(value, key=int)
    return [_convert(value[name], kind, f"{path}[{name}]") for name in ordered]


def _strings(value: str | Form, path: str) -> dict[str, str]:
    """A hash of text. An empty string for the whole of it unsets it: `{"": ""}`, see `metadata`."""
    if value == "":
        return {"": ""}
    if not isinstance(value, dict):
        _no_object(path)
    for name, text in value.items():
        if not isinstance(text, str):
            raise invalid("Metadata values must be strings", param=f"{path}[{name}]")
    return cast("dict[str, str]", value)


def _no_object(path: str) -> NoReturn:
    raise invalid("Invalid object", param=path)


def _empty(path: str) -> ApiError:
    return invalid(
        f"You passed an empty string for '{path}'. We assume empty values are an attempt to unset a "
        f"parameter; however '{path}' cannot be unset. You should remove '{path}' from your request or "
        "supply a non-empty value.",
        param=path,
        code="parameter_invalid_empty",
    )


def _one_of(choices: tuple[str, ...]) -> str:
    if len(choices) == 1:
        return choices[0]
    return f"one of {', '.join(choices[:-1])}, or {choices[-1]}"


def _join(path: str, name: str) -> str:
    return f"{path}[{name}]" if path else name


@cache
def _types(kind: type[Struct]) -> dict[str, Any]:
    return get_type_hints(kind)
