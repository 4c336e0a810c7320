"""The decorator half: a handler that runs only once its request is paid.

The framework has routed, validated and resolved dependencies by the time it calls what is made here, so a
request that the app refuses has cost its payer nothing. The adapter that admitted the request left an
`Exchange` in the context; this takes the money through it.
"""

from __future__ import annotations

import functools
import inspect
import re
import types
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeAlias, TypeVar, Union, cast, get_args, get_origin

from coinslot.errors import ConfigurationError, PaymentError
from coinslot.payments.order import Order
from coinslot.payments.payment import Payment
from coinslot.payments.replay import Replay, take
from coinslot.payments.till import Sale

if TYPE_CHECKING:
    from coinslot.server.gate import Gate

P = ParamSpec("P")
R = TypeVar("R")
Handler: TypeAlias = Callable[..., object]

_GATE: Final = "__coinslot_gate__"


class Exchange(ABC):
    """One request on its way through the app, as an adapter carries it.

    `order` is there once the request has been admitted, `sale` once it has been paid.
    """

    gate: Gate
    order: Order
    sale: Sale | None

    @abstractmethod
    async def refusal(self, error: PaymentError) -> object:
        """The framework's response for a payment that was refused after all."""

    @abstractmethod
    async def replayed(self, replay: Replay) -> object:
        """Answer with what was kept, and return what the framework is to think it has sent."""

    @abstractmethod
    async def run_sync(self, function: Callable[[], R]) -> R:
        """Run a blocking handler where the framework would."""


current: ContextVar[Exchange | None] = ContextVar("coinslot_exchange", default=None)


def charged(gate: Gate, handler: Callable[P, R]) -> Callable[P, R]:
    """`handler`, behind `gate`: same name, same signature less the `Payment` parameter, always async."""
    _check(handler)
    signature = _signature(handler)
    wanted = [name for name, parameter in signature.parameters.items() if _is_payment(handler, parameter)]
    shown = signature.replace(
        parameters=[parameter for name, parameter in signature.parameters.items() if name not in wanted]
    )
    is_async = inspect.iscoroutinefunction(handler)

    async def paid_handler(*args: Any, **kwargs: Any) -> object:
        exchange = _exchange(gate, handler)
        given = shown.bind(*args, **kwargs).arguments if wanted else {}  # before the money moves
        try:
            sale = await take(gate.engine.till, exchange.order)
        except PaymentError as error:
            return await exchange.refusal(error)
        if isinstance(sale, Replay):
            return await exchange.replayed(sale)
        exchange.sale = sale
        if wanted:
            given.update(dict.fromkeys(wanted, sale.payment))
            in_order = {name: given[name] for name in signature.parameters if name in given}
            bound = inspect.BoundArguments(signature, in_order)
            args, kwargs = bound.args, bound.kwargs
        if is_async:
            return await cast("Callable[..., Awaitable[object]]", handler)(*args, **kwargs)
        return await exchange.run_sync(functools.partial(cast("Any", handler), *args, **kwargs))

    functools.update_wrapper(paid_handler, handler)
    # A framework that followed this would see the bare handler: its signature, or whether it is async.
    del paid_handler.__wrapped__  # type: ignore[attr-defined]  # update_wrapper has just set it
    paid_handler.__signature__ = shown  # type: ignore[attr-defined]  # PEP 362
    paid_handler.__annotations__ = {
        parameter.name: parameter.annotation
        for parameter in shown.parameters.values()
        if parameter.annotation is not inspect.Parameter.empty
    }
    if signature.return_annotation is not inspect.Signature.empty:
        paid_handler.__annotations__["return"] = signature.return_annotation
    setattr(paid_handler, _GATE, gate)
    return cast("Callable[P, R]", paid_handler)


def find_charge(function: object) -> Handler | None:
    """What `charged` made, at or below `function`: a method of it, or what a decorator above it wraps."""
    while function is not None:
        function = getattr(function, "__func__", function)
        inner = getattr(function, "__wrapped__", None)
        if inner is None:
            return cast("Handler", function) if hasattr(function, _GATE) else None
        function = inner
    return None


def gate_of(charge: Handler) -> Gate:
    """The gate of what `find_charge` found."""
    return cast("Gate", getattr(charge, _GATE))


def _exchange(gate: Gate, handler: Handler) -> Exchange:
    exchange = current.get()
    if exchange is None:
        raise ConfigurationError(
            f"{_name(handler)} is charged for, but no paywall watches its route: call paywall.attach(app) "
            "on the app that serves it, before the app starts."
        )
    if exchange.gate is not gate or exchange.sale is not None:
        raise ConfigurationError(
            f"{_name(handler)} is charged for and was called from inside another charged handler; "
            "call an undecorated function that both share."
        )
    return exchange


def _check(handler: Handler) -> None:
    if isinstance(handler, functools.partial | staticmethod | classmethod):
        raise ConfigurationError(
            f"paywall.charge cannot wrap a {type(handler).__name__}: decorate the function itself."
        )
    if inspect.isclass(handler):
        raise ConfigurationError(
            f"paywall.charge cannot wrap the class {handler.__name__}: decorate its methods (get, post, …)."
        )
    if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
        raise ConfigurationError(
            f"{_name(handler)} is a generator: what it yields would be sent before it is paid for. "
            "Return a StreamingResponse instead."
        )
    if not inspect.isroutine(handler):
        raise ConfigurationError(
            f"paywall.charge needs a function, not {type(handler).__name__}: decorate its __call__ method."
        )


def _signature(handler: Handler) -> inspect.Signature:
    """The signature with its annotations as objects, as far as they can be had.

    The wrapper lives in another module, so a framework could not resolve the handler's string annotations.
    """
    try:
        return inspect.signature(handler, eval_str=True)
    except Exception:  # noqa: BLE001 - an annotation is any expression, and may raise anything
        signature = inspect.signature(handler)
    namespace = getattr(handler, "__globals__", {})
    return signature.replace(
        parameters=[
            parameter.replace(annotation=_resolve(parameter.annotation, namespace))
            for parameter in signature.parameters.values()
        ],
        return_annotation=_resolve(signature.return_annotation, namespace),
    )


def _resolve(annotation: object, namespace: dict[str, object]) -> object:
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, namespace)  # noqa: S307 - the seller's own source, as inspect does it
    except Exception:  # noqa: BLE001 - imported for type checkers only, perhaps: left as it is
        return annotation


def _is_payment(handler: Handler, parameter: inspect.Parameter) -> bool:
    """Whether a parameter is to be filled in with the payment: `Payment`, or `Payment | None`."""
    annotation = parameter.annotation
    if isinstance(annotation, str) and re.search(r"\bPayment\b", annotation):
        raise ConfigurationError(
            f"{_name(handler)}: the annotation {annotation!r} of {parameter.name} cannot be resolved at run "
            "time: import Payment outside TYPE_CHECKING."
        )
    if get_origin(annotation) in (Union, types.UnionType):
        return Payment in get_args(annotation)
    return annotation is Payment


def _name(handler: Handler) -> str:
    return f"{handler.__module__}.{handler.__qualname__}"
