"""Problem details (RFC 9457): why a request was not served, for programs.

One table has every problem type; `coinslot.errors` names them by slug.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec
from msgspec import Struct

from coinslot.protocol.encoding import JSONObject, JSONValue

BASE = "https://paymentauth.org/problems/"
"""What every problem type starts with (draft-httpauth-payment §Error Response Format)."""

CONTENT_TYPE = "application/problem+json"
"""The media type of `problem_body`."""


class Problem(Struct, frozen=True):
    """A problem type: the end of its URI, its title, and the HTTP status it comes with."""

    slug: str
    title: str
    status: int


PROBLEMS: Mapping[str, Problem] = MappingProxyType(
    {
        problem.slug: problem
        for problem in (
            Problem("payment-required", "Payment Required", 402),
            Problem("malformed-credential", "Malformed Credential", 402),
            Problem("invalid-challenge", "Invalid Challenge", 402),
            Problem("verification-failed", "Verification Failed", 402),
            Problem("invalid-payload", "Invalid Payload", 402),
            Problem("payment-action-required", "Payment Action Required", 402),
            Problem("payment-expired", "Payment Expired", 402),
            Problem("payment-insufficient", "Payment Insufficient", 402),
            Problem("bad-request", "Bad Request", 400),
            Problem("method-unsupported", "Method Unsupported", 400),
            Problem("https-required", "HTTPS Required", 403),
            Problem("payment-undelivered", "Payment Undelivered", 403),
            Problem("payment-in-progress", "Payment In Progress", 409),
            Problem("rate-limited", "Rate Limited", 429),
            Problem("payment-unavailable", "Payment Unavailable", 503),
            Problem("payment-outcome-unknown", "Payment Outcome Unknown", 503),
        )
    }
)
"""Every problem type by its slug."""


def problem_type(slug: str) -> str:
    """The URI of the problem type `slug`."""
    return BASE + slug


def problem_body(slug: str, detail: str, *, challenge_id: str | None = None, **members: JSONValue) -> bytes:
    """An `application/problem+json` body: type, title, status, detail, challengeId, then `members`.

    `detail` is one sentence for the payer. Raises `KeyError` for a slug that is not in `PROBLEMS`.
    """
    problem = PROBLEMS[slug]
    body: JSONObject = {
        "type": problem_type(slug),
        "title": problem.title,
        "status": problem.status,
        "detail": detail,
    }
    if challenge_id is not None:
        body["challengeId"] = challenge_id
    body.update(members)
    return msgspec.json.encode(body)
