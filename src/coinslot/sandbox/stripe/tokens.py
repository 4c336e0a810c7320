"""Shared payment tokens: an agent lets a seller charge a payment method once, up to a limit, for a while.

    active ──► deactivated: consumed (charged) │ expired │ revoked (by either side)
       ╰─► requires_action (the payer has to authenticate) ─► active

One record is behind both sides' views. What Stripe answers where a token cannot be used is not published,
except for one that does not exist; the codes here are Stripe's, and which of them stands for what is a guess.
"""

from __future__ import annotations

from typing import Final, Literal

from coinslot.sandbox.stripe import accounts, events
from coinslot.sandbox.stripe.errors import refused
from coinslot.sandbox.stripe.identifiers import new_id
from coinslot.sandbox.stripe.shapes import (
    GrantedToken,
    IssuedToken,
    PaymentIntent,
    PaymentMethod,
    shared_payment as shape,
)
from coinslot.sandbox.stripe.shapes.payment_method import Card
from coinslot.sandbox.stripe.shapes.private import SharedToken
from coinslot.sandbox.stripe.state import State

EXPIRE: Final = "token.expire"
"""The timer's name for `expire`."""

_GRANTED: Final = "shared_payment.granted_token"
_ISSUED: Final = "shared_payment.issued_token"


def add(state: State, token: SharedToken) -> SharedToken:
    """Keep a new token, and have it expire when it does."""
    state.add(token, token.seller)
    if token.expires_at is not None:
        state.later(token.expires_at, EXPIRE, token.id)
    return token


def new_token_id() -> str:
    """An id for a new token."""
    return new_id("spt")


def usable(state: State, account: str, id_: str, intent: PaymentIntent, *, param: str) -> SharedToken:
    """The token that `account` was granted, if it is good for the PaymentIntent. Raises `ApiError` if not."""
    token = state.find(SharedToken, id_, account)
    if token is None:
        raise refused(f"No such shared_payment_token: '{id_[:120]}'", param=param, code="resource_missing")
    if token.expires_at is not None and token.expires_at <= state.now:
        deactivate(state, token, "expired")
    if token.deactivated_reason is not None:
        raise refused(
            f"The shared_payment_token {token.id} cannot be used because it has been deactivated "
            f"({token.deactivated_reason}).",
            param=param,
            code="payment_method_unexpected_state",
        )
    if token.action_for not in (None, intent.id):
        raise refused(
            f"The shared_payment_token {token.id} cannot be used because it is waiting for the payer.",
            param=param,
            code="payment_method_unexpected_state",
        )
    if token.currency != intent.currency:
        raise refused(
            f"The shared_payment_token {token.id} can only be used with the currency {token.currency}.",
            param="currency",
            code="payment_method_currency_mismatch",
        )
    if token.captured + intent.amount > token.max_amount:
        raise refused(
            f"The amount {intent.amount} exceeds the shared_payment_token's limit of {token.max_amount}.",
            param="amount",
            code="charge_exceeds_source_limit",
        )
    return token


def consume(state: State, id_: str, amount: int) -> None:
    """The token has paid `amount`, and is good for no more."""
    token = state.get(SharedToken, id_)
    if token.action_for is not None:
        activate(state, token)
    token.captured += amount
    state.save(token)
    events.record(state, token.seller, f"{_GRANTED}.used", granted(state, token))
    if token.issuer != token.seller:
        events.record(state, token.issuer, f"{_ISSUED}.used", issued(token))
    deactivate(state, token, "consumed")


def require_action(state: State, id_: str, intent: PaymentIntent) -> None:
    """The payer has to authenticate before the token can pay `intent`."""
    token = state.get(SharedToken, id_)
    token.action_for = intent.id
    state.save(token)
    if token.issuer != token.seller:
        view = issued(token)
        view.next_action = intent.next_action
        events.record(state, token.issuer, f"{_ISSUED}.requires_action", view)


def activate(state: State, token: SharedToken) -> None:
    """Nothing is waited for any more."""
    token.action_for = None
    state.save(token)
    if token.issuer != token.seller:
        events.record(state, token.issuer, f"{_ISSUED}.active", issued(token))


def release(state: State, id_: str, intent: PaymentIntent) -> None:
    """The PaymentIntent no longer waits for the payer: the token is free again, if it was waiting too."""
    token = state.get(SharedToken, id_)
    if token.action_for == intent.id:
        activate(state, token)


def deactivate(state: State, token: SharedToken, reason: shape.DeactivatedReason) -> None:
    """End the token, if it has not ended already."""
    if token.deactivated_reason is not None:
        return
    token.deactivated_at = state.now
    token.deactivated_reason = reason
    token.action_for = None
    state.save(token)
    events.record(state, token.seller, f"{_GRANTED}.deactivated", granted(state, token))
    if token.issuer != token.seller:
        events.record(state, token.issuer, f"{_ISSUED}.deactivated", issued(token))


def expire(state: State, id_: str) -> None:
    """End a token whose time is over."""
    deactivate(state, state.get(SharedToken, id_), "expired")


def granted(state: State, token: SharedToken) -> GrantedToken:
    """The seller's view of a token."""
    return GrantedToken(
        id=token.id,
        created=token.created,
        agent_details=shape.AgentDetails(accounts.profile_of(token.issuer)),
        deactivated_at=token.deactivated_at,
        deactivated_reason=token.deactivated_reason,
        payment_method_details=_shared(state.get(PaymentMethod, token.payment_method)),
        shared_metadata=token.shared_metadata,
        usage_details=_usage(token),
        usage_limits=_limits(token),
    )


def issued(token: SharedToken) -> IssuedToken:
    """The agent's view of a token."""
    status: Literal["active", "deactivated", "requires_action"] = "active"
    if token.deactivated_reason is not None:
        status = "deactivated"
    elif token.action_for is not None:
        status = "requires_action"
    return IssuedToken(
        id=token.id,
        created=token.created,
        deactivated_at=token.deactivated_at,
        deactivated_reason=token.deactivated_reason,
        payment_method=token.payment_method,
        return_url=token.return_url,
        seller_details=shape.SellerDetails(accounts.profile_of(token.seller), token.external_id),
        setup_future_usage=token.setup_future_usage,
        shared_metadata=token.shared_metadata,
        status=status,
        usage_details=_usage(token),
        usage_limits=_limits(token),
        use_stripe_sdk=token.use_stripe_sdk,
    )


def _usage(token: SharedToken) -> shape.UsageDetails:
    return shape.UsageDetails(shape.AmountCaptured(token.currency, token.captured))


def _limits(token: SharedToken) -> shape.UsageLimits:
    return shape.UsageLimits(
        currency=token.currency, expires_at=token.expires_at, max_amount=token.max_amount
    )


def _shared(method: PaymentMethod) -> shape.SharedPaymentMethod:
    if not isinstance(method.card, Card):
        return shape.SharedPaymentMethod(billing_details=method.billing_details, type=method.type, link={})
    card = method.card
    shared = shape.SharedCard(
        brand=card.brand,
        checks=card.checks,
        country=card.country,
        display_brand=card.display_brand,
        exp_month=card.exp_month,
        exp_year=card.exp_year,
        fingerprint=card.fingerprint,
        funding=card.funding,
        last4=card.last4,
        networks=card.networks,
    )
    return shape.SharedPaymentMethod(billing_details=method.billing_details, type=method.type, card=shared)
