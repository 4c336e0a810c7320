"""Answers that mean: not yet. The same credential is to be presented again, later, and nothing else."""

from __future__ import annotations

import re
from typing import Final

from coinslot.client.steps import Lost, ResponseHead
from coinslot.errors import (
    MalformedJSON,
    OutcomeUnknown,
    PaymentInProgress,
    PaymentUnavailable,
    RateLimited,
)
from coinslot.protocol import problem_type, strict_json

_STATUS: Final = {
    problem_type(PaymentInProgress.slug): 409,
    problem_type(RateLimited.slug): 429,
    problem_type(PaymentUnavailable.slug): 503,
    problem_type(OutcomeUnknown.slug): 503,
}

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 8.0

_delta_seconds = re.compile(r"[0-9]{1,9}")


def may_be_pending(answer: ResponseHead) -> bool:
    """Whether the body is worth a look: the status alone could be the application's own."""
    media_types = [value.partition(";")[0].strip().lower() for value in answer.values("content-type")]
    return answer.status in _STATUS.values() and media_types == ["application/problem+json"]


def is_pending(answer: ResponseHead, body: bytes) -> bool:
    """Whether it is one of the problems that say that the payment is not decided yet."""
    try:
        problem = strict_json(body)
    except MalformedJSON:
        return False
    kind = problem.get("type") if isinstance(problem, dict) else None
    return isinstance(kind, str) and _STATUS.get(kind) == answer.status


def pause_after_try(tries: int, reply: ResponseHead | Lost, now: float) -> float:
    """Seconds to wait after the credential was presented so many times, and had that reply to the last.

    Twice as long each time, and no shorter than the answer's `Retry-After`. `now` is in Unix seconds.
    """
    pause = min(_FIRST_PAUSE * 2.0 ** (tries - 1), _LONGEST_PAUSE)
    return pause if isinstance(reply, Lost) else max(pause, _retry_after(reply, now))


def _retry_after(answer: ResponseHead, now: float) -> float:
    """RFC 9110 §10.2.3: seconds, or a date. 0 if there is none that can be read."""
    value = next(iter(answer.values("retry-after")), "").strip()
    if _delta_seconds.fullmatch(value):
        return float(value)
    from email.utils import parsedate_to_datetime  # costs more to import than most programs will ever need it

    try:
        return parsedate_to_datetime(value).timestamp() - now
    except ValueError:
        return 0.0
