"""Idempotency keys, as Stripe keeps them (docs.stripe.com/api/idempotent_requests).

    unknown key                      claimed; the request goes on
    claimed, and still being done    409 idempotency_key_in_use
    done, same path and parameters   the stored status and body, with `Idempotent-Replayed: true`
    done, other ones                 400 idempotency_error

What is stored is the answer of an endpoint that had begun, whatever it was. A request that never got there,
for its parameters or for a limit, gives the key back. Keys belong to an account and are kept for a day.
"""

from __future__ import annotations

import hashlib
import json
from typing import Final

from msgspec import Struct

from coinslot.sandbox.stripe.errors import IDEMPOTENCY, ApiError, invalid
from coinslot.sandbox.stripe.form import Form
from coinslot.sandbox.stripe.state import State

MAX_KEY: Final = 255
KEPT_FOR: Final = 24 * 3600


class Stored(Struct, frozen=True):
    """An answer from before, and the request that it was to."""

    request_id: str
    status: int
    body: bytes


def fingerprint(method: str, path: str, form: Form) -> str:
    """What two requests with one key have to agree on."""
    described = json.dumps([method, path, form], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(described.encode()).hexdigest()


def claim(state: State, account: str, key: str, path: str, print_: str, request_id: str) -> Stored | None:
    """Take the key for this request; or the answer that it has already. Raises `ApiError`."""
    if len(key) > MAX_KEY:
        raise invalid(f"Idempotency keys can be at most {MAX_KEY} characters long; this one has {len(key)}.")
    state.sql.execute(
        "DELETE FROM idempotency WHERE account = ? AND begun < ?", (account, state.moment - KEPT_FOR)
    )
    row = state.sql.execute(
        "SELECT fingerprint, path, request_id, status, body FROM idempotency WHERE account = ? AND key = ?",
        (account, key),
    ).fetchone()
    if row is None:
        state.sql.execute(
            "INSERT INTO idempotency (account, key, fingerprint, path, request_id, begun) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (account, key, print_, path, request_id, state.moment),
        )
        return None
    known, first_path, first_request, status, body = row
    if known != print_:
        raise _reused(key, path, first_path)
    if status is None:
        raise _in_use(key)
    return Stored(first_request, status, body)


def store(state: State, account: str, key: str, status: int, body: bytes) -> None:
    """Keep the answer, in the transaction of what it tells of."""
    state.sql.execute(
        "UPDATE idempotency SET status = ?, body = ? WHERE account = ? AND key = ?",
        (status, body, account, key),
    )


def release(state: State, account: str, key: str) -> None:
    """Give back a key whose request did not begin."""
    state.sql.execute(
        "DELETE FROM idempotency WHERE account = ? AND key = ? AND status IS NULL", (account, key)
    )


def release_all(state: State) -> None:
    """Give back what a sandbox that was stopped had claimed: none of it was done."""
    state.sql.execute("DELETE FROM idempotency WHERE status IS NULL")


def _reused(key: str, path: str, first_path: str) -> ApiError:
    what = (
        "with the same parameters they were first used with."
        if path == first_path
        else f"for the same endpoint they were first used for ('{path}' vs '{first_path}')."
    )
    return ApiError(
        400,
        f"Keys for idempotent requests can only be used {what} Try using a key other than '{key}' if you "
        "meant to execute a different request.",
        kind=IDEMPOTENCY,
    )


def _in_use(key: str) -> ApiError:
    return ApiError(
        409,
        "There is currently another in-progress request using this Idempotent Key (that probably means you "
        f"submitted twice, and the other request is still going through): {key}. Please try again later.",
        code="idempotency_key_in_use",
    )
