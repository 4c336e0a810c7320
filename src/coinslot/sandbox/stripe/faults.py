"""Faults on demand: the next requests that match are delayed, refused, or left without an answer.

    delay       answered after `seconds`; the idempotency key is taken meanwhile
    rate_limit  429, before anything; `code` is `rate_limit` or `lock_timeout`
    error       `status` (500), before or after what was asked for is done; stored for the idempotency key
    drop        the connection breaks, before or after

They are kept in the state, so that a restart does not lift them.
"""

from __future__ import annotations

import fnmatch
from typing import Final, Literal

import msgspec
from msgspec import Struct

from coinslot.sandbox.stripe.errors import API, ApiError
from coinslot.sandbox.stripe.identifiers import new_id
from coinslot.sandbox.stripe.shapes.private import Fault
from coinslot.sandbox.stripe.state import State

_EVERY_PATH: Final = "*"


class FaultSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to go wrong, for which requests (`*` stands for anything in `path`), and how often."""

    kind: Literal["delay", "rate_limit", "error", "drop"]
    when: Literal["before", "after"] = "before"
    seconds: float = 1.0
    status: int = 500
    code: str | None = None
    method: str | None = None
    path: str = _EVERY_PATH
    times: int = 1


def add(state: State, settings: FaultSettings) -> Fault:
    """Have it happen to the next `times` requests that match."""
    fault = Fault(
        id=new_id("fault"), created=state.now, settings=msgspec.to_builtins(settings), left=settings.times
    )
    return state.add(fault, "")


def pending(state: State) -> list[Fault]:
    """What is still to happen."""
    return state.all(Fault)


def clear(state: State) -> None:
    """Let nothing happen any more."""
    for fault in pending(state):
        state.remove(fault)


def strike(state: State, method: str, path: str) -> FaultSettings | None:
    """What happens to this request, if anything: it counts."""
    for fault in pending(state):
        settings = msgspec.convert(fault.settings, FaultSettings)
        if settings.method in (None, method) and fnmatch.fnmatchcase(path, settings.path):
            fault.left -= 1
            if fault.left > 0:
                state.save(fault)
            else:
                state.remove(fault)
            return settings
    return None


def limited(code: str | None = None) -> ApiError:
    """429: too many requests, or somebody else is at the same object."""
    if code == "lock_timeout":
        return ApiError(
            429,
            "This object cannot be accessed right now because another API request or Stripe process is "
            "currently accessing it. If you see this error intermittently, retry the request.",
            code="lock_timeout",
        )
    return ApiError(
        429,
        "Request rate limit exceeded. You can learn more about rate limits here "
        "https://docs.stripe.com/rate-limits.",
        code="rate_limit",
        headers={"Stripe-Rate-Limited-Reason": "global-rate"},
    )


def broken(status: int) -> ApiError:
    """The error that was asked for. It is stored: Stripe keeps 500s too."""
    return ApiError(status, "An unknown error occurred", kind=API, executed=True)
