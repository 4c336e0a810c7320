from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, strategies as st

from coinslot.errors import AmountError, ConfigurationError
from coinslot.methods.stripe.currencies import as_money, find_currency

CODES = ["usd", "gbp", "jpy", "kwd", "isk", "huf", "xaf", "sek"]


@pytest.mark.parametrize(
    ("code", "price", "minor"),
    [
        ("usd", "0.50", 50),
        ("USD", "10", 1000),
        ("gbp", "0.30", 30),
        ("jpy", "100", 100),
        ("krw", "50", 50),
        ("kwd", "5.12", 5120),
        ("isk", "5", 500),
        ("huf", "175", 17500),
        ("xaf", "1", 1),
    ],
)
def test_prices_are_counted_in_the_currencys_minor_unit(code: str, price: str, minor: int) -> None:
    """docs.stripe.com/currencies: hundredths, units where there are none, thousandths, and special cases."""
    assert find_currency(code).to_minor(price) == minor


@pytest.mark.parametrize(
    ("code", "price"),
    [("usd", "0.49"), ("usd", "0"), ("usd", "0.001"), ("gbp", "0.29"), ("jpy", "49"), ("huf", "174.99"),
     ("xaf", "0"), ("kwd", "0"), ("mxn", "9.99")],
)  # fmt: skip
def test_what_is_below_the_minimum_is_not_charged(code: str, price: str) -> None:
    """It is no mistake: another method may take it. That holds for prices finer than the currency, too."""
    assert find_currency(code).to_minor(price) is None


@pytest.mark.parametrize(
    ("code", "price"),
    [("usd", "0.505"), ("jpy", "100.5"), ("kwd", "5.124"), ("kwd", "5.1234"), ("isk", "5.50"), ("usd", "1e3"),
     ("usd", "-1"), ("usd", "")],
)  # fmt: skip
def test_what_has_no_exact_amount_is_a_mistake(code: str, price: str) -> None:
    """Nothing is rounded; thousandths end in 0, and whole currencies have no fractions."""
    with pytest.raises(AmountError):
        find_currency(code).to_minor(price)


@given(code=st.sampled_from(CODES), units=st.integers(1, 10**9))
def test_amounts_are_shown_as_they_are_written(code: str, units: int) -> None:
    """What is displayed for an amount is the price that makes it."""
    currency = find_currency(code)
    amount = max(units, currency.minimum) * currency.step
    number, symbol = currency.display(amount).split(" ")
    assert symbol == currency.symbol == code.upper()
    assert currency.to_minor(f"{Decimal(number):f}") == amount


@pytest.mark.parametrize("code", ["", "us", "dollars", "us1", "ugx", "UGX"])
def test_codes_that_cannot_be_charged(code: str) -> None:
    """What is no code, and the currency for whose amounts Stripe documents two units."""
    with pytest.raises(ConfigurationError, match="currency"):
        find_currency(code)


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
