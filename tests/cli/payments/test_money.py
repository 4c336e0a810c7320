"""Amounts of the books, in the units that the methods' own modules know."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from coinslot.cli.output import CommandError
from coinslot.cli.payments.money import unit_of
from coinslot.intents.amounts import MAX_BASE_UNITS

PATH_USD = "0x20c0000000000000000000000000000000000000"


@pytest.mark.parametrize(
    ("method", "currency", "units", "shown"),
    [
        ("tempo", PATH_USD, 10_000, "0.01 pathUSD"),
        ("tempo", PATH_USD.upper().replace("0X", "0x"), 5_000_000, "5.00 pathUSD"),
        ("tempo", "0x" + "ab" * 20, 10_000, "10000 base units of 0xabab…abab"),
        ("stripe", "usd", 500, "5.00 USD"),
        ("stripe", "jpy", 500, "500 JPY"),
        ("stripe", "ugx", 500, "500 base units of ugx"),
        ("scrip", "usd", 500, "500 base units of usd"),
    ],
)
def test_an_amount_is_shown_in_its_currencys_unit(method: str, currency: str, units: int, shown: str) -> None:
    """The decimal amount where the decimals are known, and base units where they are not."""
    assert unit_of(method, currency).display(units) == shown


@given(st.integers(min_value=0, max_value=MAX_BASE_UNITS), st.sampled_from(["usd", "jpy", "kwd"]))
def test_amounts_are_exact(units: int, currency: str) -> None:
    """What is shown, typed in again, is the same number of base units, however large."""
    unit = unit_of("stripe", currency)
    amount = unit.amount(units)
    assert amount is not None
    assert unit.read(amount) == units
    assert unit.read(unit.shown(units)) == units


def test_an_amount_that_cannot_be_read_says_why() -> None:
    """Too many decimals, no number, and a currency without known decimals are each refused."""
    with pytest.raises(CommandError, match="more decimals than the 2"):
        unit_of("stripe", "usd").read("0.001")
    with pytest.raises(CommandError, match="--amount '-1' will not do"):
        unit_of("stripe", "usd").read("-1")
    with pytest.raises(CommandError, match="say it in --base-units"):
        unit_of("scrip", "usd").read("1")
