"""/v1/account, /v1/balance, /v1/balance_transactions and /v2/network/business_profiles."""

from __future__ import annotations

from typing import Final

from coinslot.sandbox.stripe import accounts, balances
from coinslot.sandbox.stripe.calls import Call, endpoint
from coinslot.sandbox.stripe.errors import missing
from coinslot.sandbox.stripe.lists import Listing, ListParameters, page
from coinslot.sandbox.stripe.parameters import Parameters
from coinslot.sandbox.stripe.shapes import Account, Balance, BalanceTransaction, BusinessProfile
from coinslot.sandbox.stripe.state import State


class ListTransactions(ListParameters, kw_only=True, frozen=True):
    """What listing balance transactions takes."""

    currency: str | None = None
    source: str | None = None
    type: str | None = None


def account(state: State, call: Call, _given: Parameters) -> Account:
    """GET /v1/account."""
    return accounts.describe(state, call.account)


def own_profile(state: State, call: Call, _given: Parameters) -> BusinessProfile:
    """GET /v2/network/business_profiles/me."""
    return accounts.describe_profile(state, call.account)


def profile(state: State, call: Call, _given: Parameters) -> BusinessProfile:
    """GET /v2/network/business_profiles/{id}."""
    owner = accounts.account_of_profile(state, call.id)
    if owner is None:
        raise missing(BusinessProfile.NOUN, call.id)
    return accounts.describe_profile(state, owner)


def balance(state: State, call: Call, _given: Parameters) -> Balance:
    """GET /v1/balance."""
    return balances.balance(state, call.account)


def transaction(state: State, call: Call, _given: Parameters) -> BalanceTransaction:
    """GET /v1/balance_transactions/{id}."""
    return balances.aged(state, state.get(BalanceTransaction, call.id, call.account))


def transactions(state: State, call: Call, given: ListTransactions) -> Listing:
    """GET /v1/balance_transactions."""
    filters = {"currency": given.currency, "source": given.source, "type": given.type}
    listing = page(state, BalanceTransaction, call.account, given, call.path, {**filters})
    for each in listing.data:
        if isinstance(each, BalanceTransaction):
            balances.aged(state, each)
    return listing


ENDPOINTS: Final = (
    endpoint("GET", "/v1/account", Parameters, account),
    endpoint("GET", "/v1/balance", Parameters, balance),
    endpoint("GET", "/v1/balance_transactions", ListTransactions, transactions),
    endpoint("GET", "/v1/balance_transactions/{id}", Parameters, transaction),
    endpoint("GET", "/v2/network/business_profiles/me", Parameters, own_profile, preview=True),
    endpoint("GET", "/v2/network/business_profiles/{id}", Parameters, profile, preview=True),
)
