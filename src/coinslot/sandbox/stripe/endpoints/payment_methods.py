"""/v1/payment_methods."""

from __future__ import annotations

from typing import Final

from coinslot.sandbox.stripe import cards, metadata
from coinslot.sandbox.stripe.calls import Call, endpoint
from coinslot.sandbox.stripe.endpoints.customers import check_customer
from coinslot.sandbox.stripe.errors import invalid
from coinslot.sandbox.stripe.lists import Listing, ListParameters, page
from coinslot.sandbox.stripe.parameters import Parameters
from coinslot.sandbox.stripe.payment_parameters import BillingData, CardData
from coinslot.sandbox.stripe.shapes import PaymentMethod
from coinslot.sandbox.stripe.shapes.payment_method import Address, BillingDetails
from coinslot.sandbox.stripe.state import State


class Create(Parameters, kw_only=True, frozen=True):
    """What creating takes."""

    type: str
    billing_details: BillingData | None = None
    card: CardData | None = None
    metadata: dict[str, str] | None = None


class Attach(Parameters, kw_only=True, frozen=True):
    """What attaching takes."""

    customer: str


class ListMethods(ListParameters, kw_only=True, frozen=True):
    """What listing takes."""

    customer: str | None = None
    type: str | None = None


def create(state: State, call: Call, given: Create) -> PaymentMethod:
    """POST /v1/payment_methods."""
    pairs = metadata.merged({}, given.metadata)
    method = _new(state, call.account, given)
    method.metadata = pairs
    if given.billing_details is not None:
        method.billing_details = _billing(given.billing_details)
    return state.save(method)


def retrieve(state: State, call: Call, _given: Parameters) -> PaymentMethod:
    """GET /v1/payment_methods/{id}."""
    return state.get(PaymentMethod, call.id, call.account)


def attach(state: State, call: Call, given: Attach) -> PaymentMethod:
    """POST /v1/payment_methods/{id}/attach. A test card's id gives a card of the customer's own."""
    check_customer(state, call.account, given.customer)
    method = cards.take(state, call.account, call.id, param="payment_method")
    return cards.attach(state, method, given.customer)


def detach(state: State, call: Call, _given: Parameters) -> PaymentMethod:
    """POST /v1/payment_methods/{id}/detach."""
    method = state.get(PaymentMethod, call.id, call.account)
    method.customer = None
    return state.save(method)


def list_(state: State, call: Call, given: ListMethods) -> Listing:
    """GET /v1/payment_methods."""
    filters = {"customer": given.customer, "type": given.type}
    return page(state, PaymentMethod, call.account, given, call.path, {**filters})


def _new(state: State, account: str, given: Create) -> PaymentMethod:
    if given.type == "link":
        return cards.add_method(state, account, "link")
    if given.type == "crypto":
        return cards.add_method(state, account, "crypto")
    if given.type != "card":
        raise invalid("Invalid type: must be one of card, crypto, or link", param="type")
    if given.card is not None and given.card.token is not None:
        return cards.from_token(state, account, given.card.token, param="card[token]")
    if given.card is not None and given.card.number is not None:
        return cards.from_number(state, account, given.card.number)
    raise invalid("Missing required param: card.", param="card", code="parameter_missing")


def _billing(given: BillingData) -> BillingDetails:
    address = Address()
    if given.address is not None:
        address = Address(
            city=given.address.city,
            country=given.address.country,
            line1=given.address.line1,
            line2=given.address.line2,
            postal_code=given.address.postal_code,
            state=given.address.state,
        )
    return BillingDetails(
        address=address, email=given.email, name=given.name, phone=given.phone, tax_id=given.tax_id
    )


ENDPOINTS: Final = (
    endpoint("POST", "/v1/payment_methods", Create, create),
    endpoint("GET", "/v1/payment_methods", ListMethods, list_),
    endpoint("GET", "/v1/payment_methods/{id}", Parameters, retrieve),
    endpoint("POST", "/v1/payment_methods/{id}/attach", Attach, attach),
    endpoint("POST", "/v1/payment_methods/{id}/detach", Parameters, detach),
)
