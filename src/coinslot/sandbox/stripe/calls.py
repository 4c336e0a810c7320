"""Endpoints: a path, the parameters that it takes, and a function of the state that answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeVar

from msgspec import Struct

from coinslot.protocol import JSONObject
from coinslot.sandbox.stripe.chain import Evidence
from coinslot.sandbox.stripe.expansion import render
from coinslot.sandbox.stripe.form import Form
from coinslot.sandbox.stripe.parameters import Parameters, read
from coinslot.sandbox.stripe.state import State
from coinslot.sandbox.stripe.versions import has_machine_payments

P = TypeVar("P", bound=Parameters)

_PLACE: Final = re.compile(r"\{\w+\}")


class Call(Struct, frozen=True, kw_only=True):
    """A request, beside its parameters: whose it is, in which API version, and the ids in its path.

    `evidence` is what the chain says of the transaction that the parameters name, if they name one.
    """

    account: str
    version: str
    path: str
    ids: tuple[str, ...] = ()
    evidence: Evidence | None = None

    @property
    def id(self) -> str:
        """The id in the path."""
        return self.ids[0]

    @property
    def previews(self) -> bool:
        """Whether the version has machine payments."""
        return has_machine_payments(self.version)


class Endpoint(Struct, frozen=True, kw_only=True):
    """One method on one path. A `preview` one exists in preview versions alone."""

    method: str
    path: str
    pattern: re.Pattern[str]
    run: Callable[[State, Call, Form], JSONObject]
    preview: bool


def endpoint(
    method: str,
    path: str,
    parameters: type[P],
    answer: Callable[[State, Call, P], Struct],
    *,
    preview: bool = False,
) -> Endpoint:
    """`answer` behind `path`, in which `{id}` stands for one segment."""

    def run(state: State, call: Call, form: Form) -> JSONObject:
        given = read(form, parameters)
        return render(state, answer(state, call, given), given.expand)

    pattern = re.compile(_PLACE.sub("([^/]+)", path))
    return Endpoint(method=method, path=path, pattern=pattern, run=run, preview=preview)
