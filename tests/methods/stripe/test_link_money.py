"""Amounts in minor units, as people read them."""

from __future__ import annotations

import pytest

from coinslot.methods.stripe.link_money import as_money


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (500, "usd", "5.00 USD"),
        (5, "usd", "0.05 USD"),
        (-150, "eur", "-1.50 EUR"),
        (0, "usd", "0.00 USD"),
        (500, "jpy", "500 JPY"),
        (1234, "KWD", "1.234 KWD"),
        (500, "ugx", "500 minor units of UGX"),
        (10**20, "usd", "1000000000000000000.00 USD"),
    ],
)
def test_minor_units_are_the_currencys_own(amount: int, currency: str, shown: str) -> None:
    """Hundredths, thousandths or none, exact whatever the size; where it is not certain, none is guessed."""
    assert as_money(amount, currency) == shown
