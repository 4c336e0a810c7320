"""Stripe: cards and Link, by shared payment tokens (draft-stripe-charge).

    stripe.charge(secret_key="sk_…", network_id="profile_…")     the seller's half, for `Paywall(methods=[…])`
    stripe.account("sk_…", payment_method="pm_…")                the buyer's half, for `Wallet(methods=[…])`

Needs `pip install 'coinslot[stripe]'`. What is named here is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from coinslot.methods.stripe.client import StripeAccount, account
    from coinslot.methods.stripe.connect import Connect
    from coinslot.methods.stripe.server import StripeCharge, charge
    from coinslot.methods.stripe.sources import TokenTerms

__all__ = ["Connect", "StripeAccount", "StripeCharge", "TokenTerms", "account", "charge"]

_HOMES: Final = {
    "Connect": "connect",
    "StripeAccount": "client",
    "StripeCharge": "server",
    "TokenTerms": "sources",
    "account": "client",
    "charge": "server",
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
