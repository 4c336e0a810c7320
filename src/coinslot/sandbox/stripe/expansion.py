"""Answers as JSON, with the members that `expand` names as objects in place of their ids."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from coinslot.protocol import JSONObject, JSONValue
from coinslot.sandbox.stripe.errors import ApiError, invalid
from coinslot.sandbox.stripe.shapes import (
    BalanceTransaction,
    Charge,
    Customer,
    Dispute,
    Lasting,
    PaymentIntent,
    PaymentMethod,
    Refund,
)
from coinslot.sandbox.stripe.state import State

MAX_DEPTH: Final = 4
"""Levels that can be expanded at once."""

_EXPANDABLE: Final[dict[str, dict[str, type[Lasting]]]] = {
    "payment_intent": {
        "customer": Customer,
        "latest_charge": Charge,
        "payment_method": PaymentMethod,
    },
    "charge": {
        "balance_transaction": BalanceTransaction,
        "customer": Customer,
        "payment_intent": PaymentIntent,
    },
    "refund": {
        "balance_transaction": BalanceTransaction,
        "charge": Charge,
        "payment_intent": PaymentIntent,
    },
    "dispute": {"charge": Charge, "payment_intent": PaymentIntent},
    "balance_transaction": {"source": Charge},
    "payment_method": {"customer": Customer},
    "crypto.deposit_address": {"customer": Customer},
}
_LISTS: Final = ("list", "search_result")
_PREFIXED: Final[dict[str, type[Lasting]]] = {"re_": Refund, "pyr_": Refund, "du_": Dispute}


def render(state: State, answer: Struct, expand: list[str] | None) -> JSONObject:
    """The answer's JSON. Raises `ApiError` for a member that cannot be expanded."""
    body = to_json(answer)
    for path in expand or []:
        steps = path.split(".")
        if len(steps) > MAX_DEPTH:
            raise invalid(
                f"You cannot expand more than {MAX_DEPTH} levels of a property. Property: {path[:120]}",
                param="expand",
            )
        _expand(state, body, steps, path)
    return body


def to_json(answer: Struct) -> JSONObject:
    """A Struct as JSON has it."""
    body: JSONObject = msgspec.to_builtins(answer)
    return body


def _expand(state: State, value: JSONValue, steps: list[str], path: str) -> None:
    if not steps or value is None:
        return
    if isinstance(value, list):
        for each in value:
            _expand(state, each, steps, path)
        return
    name = steps[0]
    if not isinstance(value, dict) or not _is_expandable(value, name):
        raise _not_expandable(path)
    member = value[name]
    if isinstance(member, str):
        value[name] = _look_up(state, _EXPANDABLE[str(value["object"])][name], member)
    _expand(state, value[name], steps[1:], path)


def _is_expandable(value: JSONObject, name: str) -> bool:
    if value.get("object") in _LISTS:
        return name == "data"
    return name in _EXPANDABLE.get(str(value.get("object")), {})


def _look_up(state: State, kind: type[Lasting], id_: str) -> JSONValue:
    kind = next((other for prefix, other in _PREFIXED.items() if id_.startswith(prefix)), kind)
    found = state.find(kind, id_)
    return id_ if found is None else to_json(found)


def _not_expandable(path: str) -> ApiError:
    return invalid(
        f"This property cannot be expanded ({path[:120]}). You may want to try expanding 'data.{path[:120]}' "
        "instead if this is a list.",
        param="expand",
    )
