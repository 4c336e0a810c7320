"""Every error of the SDK means one thing for the money."""

from __future__ import annotations

from typing import Any

import pytest
import stripe as sdk
from hypothesis import given, strategies as st

from coinslot.methods.stripe.failures import NotDone, Refused, StripeFailure, Unanswered, classify

SECRET = "spt_secret"


class ConnectError(Exception):
    """As httpx and httpx2 name it."""


class ReadTimeout(Exception):
    """As httpx and httpx2 name it."""


def broken(cause: Exception) -> sdk.APIConnectionError:
    """A connection that broke because of that."""
    error = sdk.APIConnectionError(f"about {SECRET}")  # type: ignore[no-untyped-call]  # the SDK's
    error.__cause__ = cause
    return error


def answered(kind: Any, status: int, **error: Any) -> sdk.StripeError:
    """An answer with that status and error, as the SDK raises it."""
    arguments = (None, error.get("code")) if kind in (sdk.InvalidRequestError, sdk.CardError) else ()
    body = {"error": {"message": f"about {SECRET}", "type": "invalid_request_error", **error}}
    made: sdk.StripeError = kind(
        f"about {SECRET}", *arguments, http_status=status, json_body=body, headers={"request-id": "req_1"}
    )
    return made


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (broken(ConnectError()), NotDone, "cannot be reached"),
        (broken(ReadTimeout()), Unanswered, "broke (ReadTimeout)"),
        (answered(sdk.RateLimitError, 429, code="rate_limit"), NotDone, "rate_limit"),
        (answered(sdk.AuthenticationError, 401), NotDone, "401"),
        (answered(sdk.PermissionError, 403), NotDone, "403"),
        (answered(sdk.InvalidRequestError, 400, code="parameter_missing"), NotDone, "400"),
        (answered(sdk.InvalidRequestError, 404), NotDone, "404"),
        (answered(sdk.InvalidRequestError, 404, code="resource_missing"), Refused, "404"),
        (answered(sdk.InvalidRequestError, 400, code="too_small", param="amount"), Refused, "(amount)"),
        (answered(sdk.CardError, 402, code="card_declined"), Refused, "card_declined"),
        (answered(sdk.IdempotencyError, 400), Unanswered, "other parameters"),
        (answered(sdk.APIError, 409, code="idempotency_key_in_use"), Unanswered, "idempotency_key_in_use"),
        (answered(sdk.APIError, 500), Unanswered, "500"),
        (answered(sdk.APIError, 503), Unanswered, "503"),
        (answered(sdk.APIError, 418), Unanswered, "418"),
        (sdk.APIError(f"not JSON, about {SECRET}", http_status=200), Unanswered, "200"),
    ],
)  # fmt: skip
def test_what_an_error_means(error: sdk.StripeError, kind: type[StripeFailure], said: str) -> None:
    """Not done, not answered, or refused; told with Stripe's codes, and nothing that quotes a token."""
    failure = classify(error)
    assert type(failure) is kind
    assert said in str(failure)
    assert SECRET not in str(failure) + repr(failure)


def test_the_request_can_be_found_again() -> None:
    """The request's id is told: the whole exchange is in the Dashboard."""
    assert "req_1" in str(classify(answered(sdk.APIError, 500)))


def test_an_answer_from_memory_is_known_as_such() -> None:
    """`Idempotent-Replayed` says that nothing was attempted this time."""
    error = sdk.APIError("again", http_status=500, headers={"Idempotent-Replayed": "true"})
    first, again = classify(answered(sdk.APIError, 500)), classify(error)
    assert isinstance(first, Unanswered)
    assert isinstance(again, Unanswered)
    assert (first.replayed, again.replayed) == (False, True)


@given(
    body=st.none() | st.text() | st.dictionaries(st.text(), st.text()) | st.lists(st.integers()),
    error=st.dictionaries(st.sampled_from(["code", "type", "param"]), st.none() | st.text() | st.integers()),
)
def test_any_body_is_survived(body: Any, error: dict[str, Any]) -> None:
    """Whatever a proxy or a broken Stripe answers, its words are not repeated."""
    for each in (body, {"error": body}, {"error": error}):
        failure = classify(sdk.APIError("x", http_status=502, json_body=each))
        assert isinstance(failure, Unanswered)
        assert all(character.isprintable() for character in str(failure))
