"""What an exchange asks of the world, and what it gets: the vocabulary between `Exchange` and its drivers.

A driver performs each `Step` with the HTTP library that it is for, and resumes the exchange with the
result, or with the exception that it raised.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Generic, TypeAlias, TypeVar, cast

from msgspec import Struct

from coinslot.client.origin import Origin
from coinslot.payments.method import ClientMethod, Payload, Quote, Revokes
from coinslot.protocol import Challenge

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Head(Struct, frozen=True, kw_only=True):
    """The header fields of a request or an answer, names in lower case."""

    fields: tuple[tuple[str, str], ...]

    def values(self, name: str) -> list[str]:
        """The values of every field of that name, in order."""
        return [value for key, value in self.fields if key == name]


class RequestHead(Head, frozen=True, kw_only=True):
    """The caller's request, as far as an exchange needs to know it. `target` is its path and query."""

    method: str
    origin: Origin
    target: str

    def __str__(self) -> str:
        return f"{self.method} {self.target}"


class ResponseHead(Head, frozen=True, kw_only=True):
    """An answer, without its body."""

    status: int


class Lost(Struct, frozen=True):
    """No answer. The request may have arrived, or not; `error` is the HTTP library's."""

    error: Exception


class Step(Struct, Generic[T_co], frozen=True):
    """Something to do outside; `T_co` is what the exchange is resumed with."""


class Send(Step[ResponseHead | Lost], frozen=True):
    """Send a copy of the caller's request with these fields set, each in place of its own of that name."""

    fields: dict[str, str]


class ReadBody(Step[bytes], frozen=True):
    """The whole body of the caller's request, kept to be sent again. Raises `BodyNotReplayable`."""


class Peek(Step[bytes | Lost], frozen=True):
    """The beginning of the last answer's body, decoded, and left in place for the caller to read."""


class AskQuote(Step[Quote | None], frozen=True):
    """`method.quote(challenge)`."""

    method: ClientMethod
    challenge: Challenge


class Pay(Step[Payload], frozen=True):
    """`method.pay(challenge)`."""

    method: ClientMethod
    challenge: Challenge


class AskDead(Step[bool], frozen=True):
    """`method.is_dead(payload)`."""

    method: Revokes
    payload: Payload


class Wait(Step[None], frozen=True):
    """Let that many seconds pass."""

    seconds: float


Steps: TypeAlias = Generator[Step[object], object, T]
"""A generator of steps that returns a `T`."""


def take(step: Step[T]) -> Steps[T]:
    """Have `step` done: `result = yield from take(step)`."""
    result = yield step
    return cast("T", result)  # the driver's side of the bargain
