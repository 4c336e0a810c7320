"""The API's objects, member by member as Stripe writes them (API version 2026-10-14.preview).

A Struct's fields are the members of the object's JSON, in Stripe's words. Money is in minor units of the
currency, times are Unix seconds. What the sandbox knows beside them is in `shapes.private`.
"""

from __future__ import annotations

from coinslot.sandbox.stripe.shapes.accounts import Account, Balance, BusinessProfile, Customer
from coinslot.sandbox.stripe.shapes.base import Lasting, Resource
from coinslot.sandbox.stripe.shapes.charge import BalanceTransaction, Charge, Refund
from coinslot.sandbox.stripe.shapes.crypto import DepositAddress
from coinslot.sandbox.stripe.shapes.dispute import Dispute
from coinslot.sandbox.stripe.shapes.event import Event, WebhookEndpoint
from coinslot.sandbox.stripe.shapes.payment_intent import PaymentIntent
from coinslot.sandbox.stripe.shapes.payment_method import PaymentMethod
from coinslot.sandbox.stripe.shapes.shared_payment import GrantedToken, IssuedToken

__all__ = [
    "Account",
    "Balance",
    "BalanceTransaction",
    "BusinessProfile",
    "Charge",
    "Customer",
    "DepositAddress",
    "Dispute",
    "Event",
    "GrantedToken",
    "IssuedToken",
    "Lasting",
    "PaymentIntent",
    "PaymentMethod",
    "Refund",
    "Resource",
    "WebhookEndpoint",
]
