"""Webhooks: events posted to the endpoints that asked for them, signed, and tried again until accepted.

    Stripe-Signature: t=<Unix seconds>,v1=<hex HMAC-SHA256 of "<t>.<body>" with the endpoint's secret>

A delivery counts with a 2xx answer. It may come twice, and not in order, as Stripe's may.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

import httpx2
import msgspec
from msgspec import UNSET, Struct

from coinslot.sandbox.stripe.shapes import Event, WebhookEndpoint
from coinslot.sandbox.stripe.state import State

TIMEOUT: Final = 10.0
"""Seconds that an endpoint has to answer."""

BATCH: Final = 20
"""Deliveries at once."""

_USER_AGENT: Final = "Stripe/1.0 (+https://docs.stripe.com/webhooks)"


class Delivery(Struct, frozen=True, kw_only=True):
    """One attempt: what is posted where."""

    sequence: int
    url: str
    secret: str
    body: bytes
    moment: int

    def __repr__(self) -> str:
        return f"Delivery({self.sequence}, {self.url!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        # msgspec's own would show the secret wherever rich prints a traceback.
        return [("sequence", self.sequence), ("url", self.url)]


class Due(Struct, frozen=True):
    """What is to be delivered now, and when there is something next."""

    deliveries: list[Delivery]
    next: float | None


def sign(secret: str, moment: int, body: bytes) -> str:
    """The `Stripe-Signature` of a body at a moment."""
    digest = hmac.new(secret.encode(), b"%d." % moment + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


def due(state: State) -> Due:
    """What is to be delivered."""
    rows = state.sql.execute(
        "SELECT sequence, event, endpoint FROM deliveries WHERE due <= ? ORDER BY due, sequence LIMIT ?",
        (state.moment, BATCH),
    ).fetchall()
    deliveries = []
    for sequence, event_id, endpoint_id in rows:
        endpoint = state.find(WebhookEndpoint, endpoint_id)
        if endpoint is None or endpoint.status == "disabled" or endpoint.secret is UNSET:
            _close(state, sequence, "the endpoint is gone or disabled")
            continue
        event = state.get(Event, event_id)
        body = msgspec.json.format(msgspec.json.encode(event), indent=2)
        deliveries.append(
            Delivery(sequence=sequence, url=endpoint.url, secret=endpoint.secret, body=body, moment=state.now)
        )
    (following,) = state.sql.execute("SELECT min(due) FROM deliveries").fetchone()
    return Due(deliveries, None if following is None else float(following))


async def post(http: httpx2.AsyncClient, delivery: Delivery) -> str | None:
    """Try once. None if it was accepted, else why it was not."""
    headers = {
        "content-type": "application/json; charset=utf-8",
        "user-agent": _USER_AGENT,
        "stripe-signature": sign(delivery.secret, delivery.moment, delivery.body),
    }
    try:
        response = await http.post(delivery.url, content=delivery.body, headers=headers, timeout=TIMEOUT)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        return type(error).__name__
    return None if response.is_success else f"HTTP {response.status_code}"


def settle(state: State, sequence: int, failure: str | None) -> None:
    """Write down what came of an attempt: it is over, or tried again later."""
    if failure is None:
        _close(state, sequence, "delivered")
        return
    (attempts,) = state.sql.execute(
        "UPDATE deliveries SET attempts = attempts + 1 WHERE sequence = ? RETURNING attempts", (sequence,)
    ).fetchone()
    delays = state.settings.retry_delays
    if attempts > len(delays):
        _close(state, sequence, f"given up: {failure}")
        return
    state.sql.execute(
        "UPDATE deliveries SET due = ?, outcome = ? WHERE sequence = ?",
        (state.moment + delays[attempts - 1], failure, sequence),
    )


def _close(state: State, sequence: int, outcome: str) -> None:
    (event_id,) = state.sql.execute(
        "UPDATE deliveries SET due = NULL, outcome = ? WHERE sequence = ? RETURNING event",
        (outcome, sequence),
    ).fetchone()
    event = state.get(Event, event_id)
    event.pending_webhooks = max(0, event.pending_webhooks - 1)
    state.save(event)
