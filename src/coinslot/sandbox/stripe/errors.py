"""Errors in Stripe's shape: `{"error": {"type", "code", "message", "param", …}}`, and when each is raised.

An error belongs to one of two phases, because idempotency keys make a difference of them (docs.stripe.com,
"Idempotent requests"). What parameters are refused for happens before an endpoint begins: nothing is stored,
and the same key may be used for the corrected request. What happens after that, a declined card or a
PaymentIntent in another state, is an answer like any other, and is stored. Of what the endpoint did until
then, only what a card error leaves behind is kept: the PaymentIntent with its failed charge.
"""

from __future__ import annotations

from typing import Final

from coinslot.errors import CoinslotError
from coinslot.protocol import JSONObject, JSONValue

INVALID_REQUEST: Final = "invalid_request_error"
CARD: Final = "card_error"
API: Final = "api_error"
IDEMPOTENCY: Final = "idempotency_error"

_DOCUMENTATION: Final = "https://docs.stripe.com/error-codes#"


class ApiError(CoinslotError):
    """An answer that is an error.

    `status` is HTTP's, `body` the members of `error`, `headers` go out beside it. `executed` says whether the
    endpoint had begun, so that the idempotency key keeps the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = INVALID_REQUEST,
        code: str | None = None,
        param: str | None = None,
        executed: bool = False,
        headers: dict[str, str] | None = None,
        **members: JSONValue,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.executed = executed
        self.headers = headers or {}
        named = {"code": code, "param": param, **members}
        self.body: JSONObject = {name: value for name, value in named.items() if value is not None}
        self.body |= {"message": message, "type": kind}
        if code is not None:
            self.body["doc_url"] = _DOCUMENTATION + code.replace("_", "-")

    @property
    def keeps_changes(self) -> bool:
        """Whether what was done until then stands."""
        return self.body["type"] == CARD

    def answer(self) -> JSONObject:
        """The body of the answer."""
        return {"error": dict(sorted(self.body.items()))}


def invalid(message: str, *, param: str | None = None, code: str | None = None) -> ApiError:
    """400: a parameter that cannot be. Not stored."""
    return ApiError(400, message, code=code, param=param)


def refused(message: str, *, param: str | None = None, code: str | None = None) -> ApiError:
    """400: what was asked cannot be done as things are. Stored."""
    return ApiError(400, message, code=code, param=param, executed=True)


def missing(kind: str, id_: str, *, param: str | None = None) -> ApiError:
    """No such object: 404 where the path names it, 400 where the parameter `param` does."""
    status = 404 if param is None else 400
    return ApiError(
        status, f"No such {kind}: '{id_[:120]}'", code="resource_missing", param=param or "id", executed=True
    )


def unknown_url(method: str, path: str) -> ApiError:
    """404: no such endpoint, or not in the version that was asked for."""
    return ApiError(
        404,
        f"Unrecognized request URL ({method}: {path[:200]}). If you are trying to list objects, remove the "
        "trailing slash. If you are trying to retrieve an object, make sure you passed a valid (non-empty) "
        "identifier in your code. Please see https://docs.stripe.com/api.",
    )


def unexpected_state(message: str, intent: JSONObject) -> ApiError:
    """400: the PaymentIntent, which is in the answer, is not in a state for this. Stored."""
    return ApiError(
        400, message, code="payment_intent_unexpected_state", executed=True, payment_intent=intent
    )


def server_error() -> ApiError:
    """500: as Stripe says it."""
    return ApiError(500, "An unknown error occurred", kind=API)
