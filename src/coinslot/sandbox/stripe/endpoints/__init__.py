"""Every endpoint, in one table: what the emulator answers, and what is an unrecognized URL."""

from __future__ import annotations

from typing import Final

from coinslot.sandbox.stripe.calls import Endpoint
from coinslot.sandbox.stripe.endpoints import (
    accounts,
    charges,
    customers,
    deposit_addresses,
    disputes,
    events,
    payment_intents,
    payment_methods,
    refunds,
    shared_payment,
    simulation,
    webhook_endpoints,
)
from coinslot.sandbox.stripe.errors import unknown_url
from coinslot.sandbox.stripe.versions import has_machine_payments

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *accounts.ENDPOINTS,
    *charges.ENDPOINTS,
    *customers.ENDPOINTS,
    *deposit_addresses.ENDPOINTS,
    *disputes.ENDPOINTS,
    *events.ENDPOINTS,
    *payment_intents.ENDPOINTS,
    *payment_methods.ENDPOINTS,
    *refunds.ENDPOINTS,
    *shared_payment.ENDPOINTS,
    *simulation.ENDPOINTS,
    *webhook_endpoints.ENDPOINTS,
)


def find(method: str, path: str, version: str) -> tuple[Endpoint, tuple[str, ...]]:
    """The endpoint, and the ids in its path. Raises `ApiError` if there is none in that version."""
    for endpoint in ENDPOINTS:
        if endpoint.method != method or (endpoint.preview and not has_machine_payments(version)):
            continue
        found = endpoint.pattern.fullmatch(path)
        if found is not None:
            return endpoint, found.groups()
    raise unknown_url(method, path)
