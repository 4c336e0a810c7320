"""Stripe's amounts, for people."""

from __future__ import annotations

from decimal import Decimal

from coinslot.errors import ConfigurationError
from coinslot.methods.stripe.currencies import find_currency


def as_money(amount: int, currency: str) -> str:
    """`500, "usd"` as `5.00 USD`. Of a currency whose minor unit is not known, the minor units."""
    try:
        decimals = find_currency(currency).decimals
    except ConfigurationError:
        return f"{amount} minor units of {currency.upper()}"
    return f"{Decimal(amount).scaleb(-decimals):f} {currency.upper()}"
