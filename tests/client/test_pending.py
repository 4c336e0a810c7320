"""When a credential is presented again, and after how long."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from coinslot.client.pending import is_pending, may_be_pending, pause_after_try
from coinslot.client.steps import Lost, ResponseHead
from coinslot.protocol import PROBLEMS, problem_body

NOW = 1_900_000_000.0
KNOWN = {"payment-in-progress": 409, "payment-unavailable": 503, "payment-outcome-unknown": 503}


def head(status: int, **fields: str) -> ResponseHead:
    """An answer; `_` in a field's name stands for `-`."""
    return ResponseHead(status=status, fields=tuple((k.replace("_", "-"), v) for k, v in fields.items()))


@pytest.mark.parametrize("slug", sorted(PROBLEMS))
@pytest.mark.parametrize("status", [402, 409, 503])
def test_only_three_problems_are_pending(slug: str, status: int) -> None:
    """A problem means "not yet" only with its own type and its own status together."""
    answer = head(status, content_type="application/problem+json; charset=utf-8")
    pending = may_be_pending(answer) and is_pending(answer, problem_body(slug, "So it is."))
    assert pending == (KNOWN.get(slug) == status)


@pytest.mark.parametrize("content_type", ["application/json", "text/html", "", "x"])
def test_other_bodies_are_not_looked_into(content_type: str) -> None:
    """What is not problem+json says nothing about a payment."""
    assert not may_be_pending(head(409, content_type=content_type))
    assert not may_be_pending(head(409))


@given(st.binary(max_size=60), st.sampled_from([409, 503]))
def test_any_body_can_be_looked_at(body: bytes, status: int) -> None:
    """No body, whatever it holds, raises anything."""
    assert not is_pending(head(status), body)


def test_pauses_grow() -> None:
    """Without advice each pause is longer than the last, up to a few seconds."""
    pauses = [pause_after_try(tries, Lost(OSError()), NOW) for tries in range(1, 13)]
    assert pauses == sorted(pauses)
    assert 0 < pauses[0] < 1 < pauses[-1] < 10


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("30", 30),
        (" 30 ", 30),
        ("999999999", 999999999),
        ("Wed, 17 Mar 2030 17:47:40 GMT", 60),
        ("0", 0.1),
        ("Wed, 17 Mar 2010 17:47:40 GMT", 0.1),
        ("-5", 0.1),
        ("1.5", 0.1),
        ("soon", 0.1),
        ("", 0.1),
        ("9" * 5000, 0.1),
        ("Wed, 99 Mar 2030 17:46:40 GMT", 0.1),
    ],
)
def test_retry_after(value: str, seconds: float) -> None:
    """`Retry-After` is obeyed in both its forms, and anything else in it is as if it were not there."""
    assert pause_after_try(1, head(503, retry_after=value), NOW) == seconds


@given(st.text(max_size=40))
def test_any_retry_after_can_be_read(value: str) -> None:
    """No text makes it raise, or wait for less than without it."""
    assert pause_after_try(1, head(503, retry_after=value), NOW) >= 0.1
