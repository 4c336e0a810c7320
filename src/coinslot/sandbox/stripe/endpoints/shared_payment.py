"""/v1/shared_payment: tokens that agents issue, and that sellers are granted."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from coinslot.sandbox.stripe import accounts, cards, metadata, money, tokens
from coinslot.sandbox.stripe.calls import Call, endpoint
from coinslot.sandbox.stripe.endpoints.customers import check_customer
from coinslot.sandbox.stripe.errors import invalid, missing, refused
from coinslot.sandbox.stripe.parameters import Parameters
from coinslot.sandbox.stripe.shapes import GrantedToken, IssuedToken, PaymentIntent
from coinslot.sandbox.stripe.shapes.private import SharedToken
from coinslot.sandbox.stripe.state import State

_INTERNAL: Final = "internal"
"""The network id that means one's own account, in requests that have a network id."""


class UsageLimits(Struct, kw_only=True, frozen=True):
    """What the token is to be good for."""

    currency: str
    max_amount: int
    expires_at: int | None = None


class SellerDetails(Struct, kw_only=True, frozen=True):
    """For whom the token is: a business profile, which older documents call a network id."""

    network_business_profile: str | None = None
    network_id: str | None = None
    external_id: str | None = None


class Issue(Parameters, kw_only=True, frozen=True):
    """What issuing takes."""

    payment_method: str
    seller_details: SellerDetails
    usage_limits: UsageLimits
    return_url: str | None = None
    setup_future_usage: Literal["on_session"] | None = None
    shared_metadata: dict[str, str] | None = None
    use_stripe_sdk: bool | None = None


class Grant(Parameters, kw_only=True, frozen=True):
    """What the test helper takes. `seller_details` and `metadata` are what mppx's command sends."""

    payment_method: str
    usage_limits: UsageLimits
    customer: str | None = None
    metadata: dict[str, str] | None = None
    seller_details: SellerDetails | None = None
    shared_metadata: dict[str, str] | None = None


def issue(state: State, call: Call, given: Issue) -> IssuedToken:
    """POST /v1/shared_payment/issued_tokens."""
    _check(state, given.usage_limits)
    seller = _seller(state, given.seller_details)
    if seller == call.account:
        raise refused("network_id is the same as the counterparty network_id", param="seller_details")
    shared = metadata.merged({}, given.shared_metadata)
    token = SharedToken(
        id=tokens.new_token_id(),
        created=state.now,
        issuer=call.account,
        seller=seller,
        payment_method=cards.take(state, call.account, given.payment_method, param="payment_method").id,
        currency=given.usage_limits.currency.lower(),
        max_amount=given.usage_limits.max_amount,
        expires_at=given.usage_limits.expires_at,
        external_id=given.seller_details.external_id,
        return_url=given.return_url,
        setup_future_usage=given.setup_future_usage,
        use_stripe_sdk=given.use_stripe_sdk,
        shared_metadata=shared,
    )
    return tokens.issued(tokens.add(state, token))


def grant(state: State, call: Call, given: Grant) -> GrantedToken:
    """POST /v1/test_helpers/shared_payment/granted_tokens: as if an agent had issued it."""
    _check(state, given.usage_limits)
    check_customer(state, call.account, given.customer)
    shared = metadata.merged(metadata.merged({}, given.metadata), given.shared_metadata)
    seller = call.account
    if given.seller_details is not None and given.seller_details.network_id != _INTERNAL:
        seller = _seller(state, given.seller_details)
    token = SharedToken(
        id=tokens.new_token_id(),
        created=state.now,
        issuer=call.account,
        seller=seller,
        payment_method=cards.take(state, call.account, given.payment_method, param="payment_method").id,
        currency=given.usage_limits.currency.lower(),
        max_amount=given.usage_limits.max_amount,
        expires_at=given.usage_limits.expires_at,
        shared_metadata=shared,
    )
    return tokens.granted(state, tokens.add(state, token))


def retrieve_issued(state: State, call: Call, _given: Parameters) -> IssuedToken:
    """GET /v1/shared_payment/issued_tokens/{id}."""
    token = _current(state, _issued(state, call))
    view = tokens.issued(token)
    if token.action_for is not None:
        view.next_action = state.get(PaymentIntent, token.action_for).next_action
    return view


def retrieve_granted(state: State, call: Call, _given: Parameters) -> GrantedToken:
    """GET /v1/shared_payment/granted_tokens/{id}."""
    return tokens.granted(state, _current(state, state.get(SharedToken, call.id, call.account)))


def revoke_issued(state: State, call: Call, _given: Parameters) -> IssuedToken:
    """POST /v1/shared_payment/issued_tokens/{id}/revoke."""
    token = _current(state, _issued(state, call))
    _revoke(state, token)
    return tokens.issued(token)


def revoke_granted(state: State, call: Call, _given: Parameters) -> GrantedToken:
    """POST /v1/test_helpers/shared_payment/granted_tokens/{id}/revoke."""
    token = _current(state, state.get(SharedToken, call.id, call.account))
    _revoke(state, token)
    return tokens.granted(state, token)


def _issued(state: State, call: Call) -> SharedToken:
    token = state.get(SharedToken, call.id)
    if token.issuer != call.account:
        raise missing(SharedToken.NOUN, call.id)
    return token


def _current(state: State, token: SharedToken) -> SharedToken:
    if token.expires_at is not None and token.expires_at <= state.now:
        tokens.deactivate(state, token, "expired")
    return token


def _revoke(state: State, token: SharedToken) -> None:
    if token.deactivated_reason is not None:
        raise refused(
            f"The shared_payment_token {token.id} has been deactivated already ({token.deactivated_reason}).",
            code="payment_method_unexpected_state",
        )
    tokens.deactivate(state, token, "revoked")


def _seller(state: State, given: SellerDetails) -> str:
    profile = given.network_business_profile or given.network_id
    param = "seller_details[network_business_profile]"
    if profile is None:
        raise invalid(f"Missing required param: {param}.", param=param, code="parameter_missing")
    seller = accounts.account_of_profile(state, profile)
    if seller is None:
        raise missing("business profile", profile, param=param)
    return seller


def _check(state: State, limits: UsageLimits) -> None:
    money.check_amount(limits.max_amount, limits.currency.lower(), crypto=False)
    if limits.expires_at is not None and limits.expires_at <= state.now:
        raise invalid("expires_at must be in the future.", param="usage_limits[expires_at]")


_ISSUED: Final = "/v1/shared_payment/issued_tokens"
_GRANTED: Final = "/v1/shared_payment/granted_tokens"
_HELPER: Final = "/v1/test_helpers/shared_payment/granted_tokens"

ENDPOINTS: Final = (
    endpoint("POST", _ISSUED, Issue, issue, preview=True),
    endpoint("GET", f"{_ISSUED}/{{id}}", Parameters, retrieve_issued, preview=True),
    endpoint("POST", f"{_ISSUED}/{{id}}/revoke", Parameters, revoke_issued, preview=True),
    endpoint("GET", f"{_GRANTED}/{{id}}", Parameters, retrieve_granted, preview=True),
    endpoint("POST", _HELPER, Grant, grant, preview=True),
    endpoint("POST", f"{_HELPER}/{{id}}/revoke", Parameters, revoke_granted, preview=True),
)
