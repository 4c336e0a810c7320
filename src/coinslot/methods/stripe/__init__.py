"""Stripe: cards and Link, by shared payment tokens (draft-stripe-charge), and addresses for stablecoins.

    stripe.charge(secret_key="sk_…", network_id="profile_…")     the seller's half, for `Paywall(methods=[…])`
    stripe.deposits(secret_key="sk_…")                           whom `tempo.charge(recipient=…)` pays
    stripe.machine_payments(secret_key=…, network_id=…)          both of these, for `Paywall(methods=…)`
    stripe.webhooks(paywall, signing_secret="whsec_…")           an endpoint for Stripe's events
    stripe.account("sk_…", payment_method="pm_…")                the buyer's half, for `Wallet(methods=[…])`

Needs `pip install 'coinslot[stripe]'`. What is named here is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from coinslot.methods.stripe.client import StripeAccount, account
    from coinslot.methods.stripe.connect import Connect
    from coinslot.methods.stripe.deposit_addresses import Deposits, deposits
    from coinslot.methods.stripe.rails import machine_payments
    from coinslot.methods.stripe.server import StripeCharge, charge
    from coinslot.methods.stripe.sources import TokenTerms
    from coinslot.methods.stripe.webhook_endpoint import StripeWebhooks, WebhookAnswer, webhooks

__all__ = [
    "Connect",
    "Deposits",
    "StripeAccount",
    "StripeCharge",
    "StripeWebhooks",
    "TokenTerms",
    "WebhookAnswer",
    "account",
    "charge",
    "deposits",
    "machine_payments",
    "webhooks",
]

_HOMES: Final = {
    "Connect": "connect",
    "Deposits": "deposit_addresses",
    "StripeAccount": "client",
    "StripeCharge": "server",
    "StripeWebhooks": "webhook_endpoint",
    "TokenTerms": "sources",
    "WebhookAnswer": "webhook_endpoint",
    "account": "client",
    "charge": "server",
    "deposits": "deposit_addresses",
    "machine_payments": "rails",
    "webhooks": "webhook_endpoint",
}


if not TYPE_CHECKING:  # to a type checker, a module with `__getattr__` has every attribute

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value: object = getattr(import_module(f".{home}", __name__), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
