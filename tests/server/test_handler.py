"""What can be decorated, and what a framework sees of it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from coinslot import ConfigurationError, Payment, Paywall
from coinslot.server.handler import find_charge


async def plain(a: int, b: Payment, *, c: Payment | None = None) -> str:
    """A handler."""
    return f"{a} {b} {c}"


def test_the_signature_is_the_handler_s_less_the_payment(paywall: Paywall) -> None:
    """Name, documentation and annotations are the handler's; the payment is no parameter; it is async."""
    wrapped = paywall.charge("0.01")(plain)
    assert (wrapped.__name__, wrapped.__doc__) == ("plain", "A handler.")
    assert list(inspect.signature(wrapped).parameters) == ["a"]
    assert wrapped.__annotations__ == {"a": int, "return": str}
    assert inspect.iscoroutinefunction(wrapped)
    assert find_charge(wrapped) is wrapped


def test_a_charge_is_found_below_other_decorators(paywall: Paywall) -> None:
    """A decorator that uses `functools.wraps` does not hide the charge; an undecorated function has none."""
    wrapped = paywall.charge("0.01")(plain)

    @functools.wraps(wrapped)
    async def logged(*args: Any, **kwargs: Any) -> object:
        return await wrapped(*args, **kwargs)

    assert find_charge(logged) is wrapped
    assert find_charge(plain) is None
    assert find_charge(None) is None


def annotated(**annotations: object) -> Callable[..., object]:
    """A handler whose annotations are as written, and cannot all be resolved."""

    async def handler(request: object, extra: object = None) -> str:
        return "ok"

    handler.__annotations__ = annotations
    return handler


def test_what_cannot_be_resolved_is_left_as_it_is(paywall: Paywall) -> None:
    """An annotation that only type checkers can resolve is left to the framework; others are resolved."""
    wrapped = paywall.charge("0.01")(annotated(request="Missing", extra="int"))
    parameters = inspect.signature(wrapped).parameters
    assert [parameter.annotation for parameter in parameters.values()] == ["Missing", int]


@pytest.mark.parametrize("annotation", ["missing.Payment", "Payment | Missing"])
def test_a_payment_that_cannot_be_resolved_is_refused(paywall: Paywall, annotation: str) -> None:
    """Left as it is, the parameter would stay empty, and the call fail after the money moved."""
    with pytest.raises(ConfigurationError, match="outside TYPE_CHECKING"):
        paywall.charge("0.01")(annotated(request="Missing", extra=annotation))


class Handler:
    """An object that can be called."""

    def __call__(self) -> str:
        return "never"


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        (functools.partial(plain, 1), "cannot wrap a partial"),
        (staticmethod(plain), "cannot wrap a staticmethod"),
        (Handler(), "decorate its __call__ method"),
        (Handler, "decorate its methods"),
    ],
)
def test_what_is_no_function_is_refused(paywall: Paywall, handler: Any, message: str) -> None:
    """Each of these would slip past, or be charged for somewhere else than it seems."""
    with pytest.raises(ConfigurationError, match=message):
        paywall.charge("0.01")(handler)
