from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from coinslot.errors import PaymentError
from coinslot.protocol import PROBLEMS, problem_body, problem_type


def subclasses(cls: type[PaymentError]) -> Iterator[type[PaymentError]]:
    """A class and everything below it."""
    yield cls
    for below in cls.__subclasses__():
        yield from subclasses(below)


def test_every_error_has_its_problem() -> None:
    """Each slug that an error names is in the table."""
    defined_here = [error for error in subclasses(PaymentError) if error.__module__ == "coinslot.errors"]
    assert len(defined_here) > 10
    assert {error.slug for error in defined_here} <= set(PROBLEMS)


def test_statuses_of_the_draft() -> None:
    """draft-httpauth-payment §Error Codes."""
    statuses = {
        "payment-required": 402,
        "payment-insufficient": 402,
        "payment-expired": 402,
        "verification-failed": 402,
        "method-unsupported": 400,
        "malformed-credential": 402,
        "invalid-challenge": 402,
    }
    assert {slug: PROBLEMS[slug].status for slug in statuses} == statuses


@pytest.mark.parametrize("slug", PROBLEMS)
def test_table(slug: str) -> None:
    """Each problem type is filed under its own slug, has a title, and an error status."""
    problem = PROBLEMS[slug]
    assert problem.slug == slug
    assert problem.title.lower().replace(" ", "-") == slug
    assert 400 <= problem.status < 600


def test_body() -> None:
    """The members come in the order of the draft, then the caller's."""
    body = problem_body("payment-required", "Zahlen — bitte.", challenge_id="abc", retryable=True)
    assert list(json.loads(body).items()) == [
        ("type", "https://paymentauth.org/problems/payment-required"),
        ("title", "Payment Required"),
        ("status", 402),
        ("detail", "Zahlen — bitte."),
        ("challengeId", "abc"),
        ("retryable", True),
    ]
    assert "challengeId" not in json.loads(problem_body("bad-request", "No."))


def test_unknown_slug() -> None:
    """A problem type that is not in the table is a mistake of the caller."""
    with pytest.raises(KeyError):
        problem_body("no-such-problem", "")
    assert problem_type("no-such-problem").endswith("/no-such-problem")
