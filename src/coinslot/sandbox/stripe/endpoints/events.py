"""/v1/events."""

from __future__ import annotations

from typing import Final

from coinslot.sandbox.stripe.calls import Call, endpoint
from coinslot.sandbox.stripe.lists import Listing, ListParameters, page
from coinslot.sandbox.stripe.parameters import Parameters
from coinslot.sandbox.stripe.shapes import Event
from coinslot.sandbox.stripe.state import State


class ListEvents(ListParameters, kw_only=True, frozen=True):
    """What listing takes."""

    type: str | None = None


def retrieve(state: State, call: Call, _given: Parameters) -> Event:
    """GET /v1/events/{id}."""
    return state.get(Event, call.id, call.account)


def list_(state: State, call: Call, given: ListEvents) -> Listing:
    """GET /v1/events."""
    return page(state, Event, call.account, given, call.path, {"type": given.type})


ENDPOINTS: Final = (
    endpoint("GET", "/v1/events", ListEvents, list_),
    endpoint("GET", "/v1/events/{id}", Parameters, retrieve),
)
