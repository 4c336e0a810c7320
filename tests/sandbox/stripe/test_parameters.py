"""Parameters: what an endpoint declares is what it takes, and the rest is refused in Stripe's words."""

from __future__ import annotations

from typing import Literal

import pytest
from msgspec import Struct

from coinslot.sandbox.stripe.errors import ApiError
from coinslot.sandbox.stripe.form import decode
from coinslot.sandbox.stripe.parameters import Parameters, read


class Inner(Struct, frozen=True, kw_only=True):
    """An object in a parameter."""

    colour: Literal["red", "green", "blue"] | None = None
    on: bool | None = None


class Outer(Parameters, frozen=True, kw_only=True):
    """All the types that parameters have."""

    amount: int
    inner: Inner | None = None
    many: list[Inner] | None = None
    names: list[str] | None = None
    pairs: dict[str, str] | None = None
    text: str | None = None


def test_every_type_is_read() -> None:
    """Integers, booleans, choices, objects, arrays of both, pairs and text."""
    form = decode(
        "amount=-5&inner[colour]=red&inner[on]=true&many[0][on]=false&many[1][colour]=blue&names[]=a&names[]=b"
        "&pairs[x]=1&text=&expand[]=data"
    )
    assert read(form, Outer) == Outer(
        amount=-5,
        inner=Inner(colour="red", on=True),
        many=[Inner(on=False), Inner(colour="blue")],
        names=["a", "b"],
        pairs={"x": "1"},
        text="",
        expand=["data"],
    )


@pytest.mark.parametrize(
    ("text", "code", "param", "message"),
    [
        ("", "parameter_missing", "amount", "Missing required param: amount."),
        ("amount=1.5", "parameter_invalid_integer", "amount", "Invalid integer: 1.5"),
        ("amount=", "parameter_invalid_empty", "amount", "You passed an empty string for 'amount'."),
        ("amount=1&foo=2", "parameter_unknown", "foo", "Received unknown parameter: foo"),
        ("amount=1&a=2&b=2", "parameter_unknown", "a", "Received unknown parameters: a, b"),
        ("amount=1&inner[x]=2", "parameter_unknown", "inner[x]", "Received unknown parameter: inner[x]"),
        ("amount=1&inner[on]=maybe", None, "inner[on]", "Invalid boolean: maybe"),
        ("amount=1&inner=2", None, "inner", "Invalid object"),
        ("amount=1&names=2", None, "names", "Invalid array"),
        ("amount[a]=1", None, "amount", "Invalid string"),
        ("amount=1&inner[colour]=tea", None, "inner[colour]", "must be one of red, green, or blue"),
        ("amount=1&pairs[a][b]=1", None, "pairs[a]", "Metadata values must be strings"),
    ],
)
def test_what_is_wrong_is_said(text: str, code: str | None, param: str, message: str) -> None:
    """The code, the parameter and the message are Stripe's; nothing is stored for a key."""
    with pytest.raises(ApiError) as refused:
        read(decode(text), Outer)
    error = refused.value
    assert (error.status, error.body.get("code"), error.body.get("param")) == (400, code, param)
    assert message in str(error)
    assert not error.executed
