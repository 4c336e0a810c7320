"""/v1/charges."""

from __future__ import annotations

from typing import Final

from coinslot.sandbox.stripe import events, metadata, searching
from coinslot.sandbox.stripe.calls import Call, endpoint
from coinslot.sandbox.stripe.lists import Listing, ListParameters, page
from coinslot.sandbox.stripe.parameters import Parameters
from coinslot.sandbox.stripe.searching import SearchParameters, SearchResult
from coinslot.sandbox.stripe.shapes import Charge
from coinslot.sandbox.stripe.state import State


class ListCharges(ListParameters, kw_only=True, frozen=True):
    """What listing takes."""

    customer: str | None = None
    payment_intent: str | None = None
    transfer_group: str | None = None


class Update(Parameters, kw_only=True, frozen=True):
    """What updating takes."""

    description: str | None = None
    metadata: dict[str, str] | None = None
    receipt_email: str | None = None


def retrieve(state: State, call: Call, _given: Parameters) -> Charge:
    """GET /v1/charges/{id}."""
    return state.get(Charge, call.id, call.account)


def update(state: State, call: Call, given: Update) -> Charge:
    """POST /v1/charges/{id}."""
    charge = state.get(Charge, call.id, call.account)
    before = dict(charge.metadata)
    charge.metadata = metadata.merged(charge.metadata, given.metadata)
    if given.description is not None:
        charge.description = given.description or None
    if given.receipt_email is not None:
        charge.receipt_email = given.receipt_email or None
    state.save(charge)
    events.record(state, call.account, "charge.updated", charge, previous={"metadata": {**before}})
    return charge


def list_(state: State, call: Call, given: ListCharges) -> Listing:
    """GET /v1/charges."""
    filters = {
        "customer": given.customer,
        "payment_intent": given.payment_intent,
        "transfer_group": given.transfer_group,
    }
    return page(state, Charge, call.account, given, call.path, {**filters})


def search(state: State, call: Call, given: SearchParameters) -> SearchResult:
    """GET /v1/charges/search."""
    return searching.search(state, Charge, call.account, given, call.path)


ENDPOINTS: Final = (
    endpoint("GET", "/v1/charges", ListCharges, list_),
    endpoint("GET", "/v1/charges/search", SearchParameters, search),
    endpoint("GET", "/v1/charges/{id}", Parameters, retrieve),
    endpoint("POST", "/v1/charges/{id}", Update, update),
)
