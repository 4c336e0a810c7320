"""/v1/crypto/deposit_addresses: addresses that any number of payments go to."""

from __future__ import annotations

from typing import Final

from coinslot.sandbox.stripe import deposits, metadata, networks
from coinslot.sandbox.stripe.calls import Call, endpoint
from coinslot.sandbox.stripe.endpoints.customers import check_customer
from coinslot.sandbox.stripe.identifiers import new_id
from coinslot.sandbox.stripe.lists import Listing, ListParameters, page
from coinslot.sandbox.stripe.parameters import Parameters
from coinslot.sandbox.stripe.shapes import DepositAddress
from coinslot.sandbox.stripe.shapes.crypto import Network
from coinslot.sandbox.stripe.state import State


class Create(Parameters, kw_only=True, frozen=True):
    """What creating takes."""

    network: Network
    customer: str | None = None
    metadata: dict[str, str] | None = None


class ListAddresses(ListParameters, kw_only=True, frozen=True):
    """What listing takes."""

    address: str | None = None
    customer: str | None = None
    network: Network | None = None


def create(state: State, call: Call, given: Create) -> DepositAddress:
    """POST /v1/crypto/deposit_addresses."""
    check_customer(state, call.account, given.customer)
    pairs = metadata.merged({}, given.metadata)
    address = DepositAddress(
        id=new_id("cryptoda"),
        created=state.now,
        address=deposits.add_wallet(state, call.account, given.network).address,
        customer=given.customer,
        metadata=pairs,
        network=given.network,
        supported_tokens=networks.supported_tokens(given.network, state.settings.tokens),
    )
    return state.add(address, call.account)


def retrieve(state: State, call: Call, _given: Parameters) -> DepositAddress:
    """GET /v1/crypto/deposit_addresses/{id}."""
    return state.get(DepositAddress, call.id, call.account)


def list_(state: State, call: Call, given: ListAddresses) -> Listing:
    """GET /v1/crypto/deposit_addresses."""
    filters = {"address": given.address, "customer": given.customer, "network": given.network}
    return page(state, DepositAddress, call.account, given, call.path, {**filters})


_ALL: Final = "/v1/crypto/deposit_addresses"

ENDPOINTS: Final = (
    endpoint("POST", _ALL, Create, create, preview=True),
    endpoint("GET", _ALL, ListAddresses, list_, preview=True),
    endpoint("GET", f"{_ALL}/{{id}}", Parameters, retrieve, preview=True),
)
