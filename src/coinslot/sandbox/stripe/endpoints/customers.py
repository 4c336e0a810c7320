"""/v1/customers, as far as payments name them."""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import asdict

from coinslot.sandbox.stripe import events, metadata
from coinslot.sandbox.stripe.calls import Call, endpoint
from coinslot.sandbox.stripe.identifiers import new_id
from coinslot.sandbox.stripe.lists import Listing, ListParameters, page
from coinslot.sandbox.stripe.parameters import Parameters
from coinslot.sandbox.stripe.payment_parameters import AddressData
from coinslot.sandbox.stripe.shapes import Customer
from coinslot.sandbox.stripe.shapes.payment_method import Address
from coinslot.sandbox.stripe.state import State


class Change(Parameters, kw_only=True, frozen=True):
    """What creating and updating take."""

    address: AddressData | None = None
    description: str | None = None
    email: str | None = None
    metadata: dict[str, str] | None = None
    name: str | None = None
    phone: str | None = None


class ListCustomers(ListParameters, kw_only=True, frozen=True):
    """What listing takes."""

    email: str | None = None


class Deleted(Struct, kw_only=True):
    """What is left of an object."""

    id: str
    object: str
    deleted: bool = True


def create(state: State, call: Call, given: Change) -> Customer:
    """POST /v1/customers."""
    customer = _changed(Customer(id=new_id("cus", length=14), created=state.now), given)
    state.add(customer, call.account)
    events.record(state, call.account, "customer.created", customer)
    return customer


def retrieve(state: State, call: Call, _given: Parameters) -> Customer:
    """GET /v1/customers/{id}."""
    return state.get(Customer, call.id, call.account)


def update(state: State, call: Call, given: Change) -> Customer:
    """POST /v1/customers/{id}."""
    customer = state.save(_changed(state.get(Customer, call.id, call.account), given))
    events.record(state, call.account, "customer.updated", customer)
    return customer


def delete(state: State, call: Call, _given: Parameters) -> Deleted:
    """DELETE /v1/customers/{id}."""
    customer = state.get(Customer, call.id, call.account)
    state.remove(customer)
    events.record(state, call.account, "customer.deleted", customer)
    return Deleted(id=customer.id, object=Customer.KIND)


def list_(state: State, call: Call, given: ListCustomers) -> Listing:
    """GET /v1/customers."""
    return page(state, Customer, call.account, given, call.path, {"email": given.email})


def check_customer(state: State, account: str, id_: str | None) -> None:
    """Raise `ApiError` for a customer that the account does not have."""
    if id_ is not None:
        state.get(Customer, id_, account, param="customer")


def _changed(customer: Customer, given: Change) -> Customer:
    for name in ("description", "email", "name", "phone"):
        value = getattr(given, name)
        if value is not None:
            setattr(customer, name, value or None)
    if given.address is not None:
        customer.address = Address(**asdict(given.address))
    customer.metadata = metadata.merged(customer.metadata, given.metadata)
    return customer


ENDPOINTS: Final = (
    endpoint("POST", "/v1/customers", Change, create),
    endpoint("GET", "/v1/customers", ListCustomers, list_),
    endpoint("GET", "/v1/customers/{id}", Parameters, retrieve),
    endpoint("POST", "/v1/customers/{id}", Change, update),
    endpoint("DELETE", "/v1/customers/{id}", Parameters, delete),
)
