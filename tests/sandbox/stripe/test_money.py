"""Amounts: minimums, currencies and fees, in minor units."""

from __future__ import annotations

import pytest

from coinslot.sandbox.stripe.errors import ApiError
from coinslot.sandbox.stripe.money import check_amount, display, fee


@pytest.mark.parametrize(
    ("amount", "currency", "crypto"),
    [
        (50, "usd", False),
        (30, "gbp", False),
        (50, "jpy", False),
        (1, "usd", True),
        (99_999_999, "usd", False),
    ],
)
def test_the_smallest_and_the_largest_are_taken(amount: int, currency: str, crypto: bool) -> None:
    """A card takes half a dollar, or the like of it, and a deposit takes a cent."""
    check_amount(amount, currency, crypto=crypto)


@pytest.mark.parametrize(
    ("amount", "currency", "crypto", "code"),
    [
        (49, "usd", False, "amount_too_small"),
        (29, "gbp", False, "amount_too_small"),
        (0, "usd", True, "parameter_invalid_integer"),
        (100_000_000, "usd", False, "amount_too_large"),
        (100, "eur", True, None),
        (100, "xyz", False, None),
    ],
)
def test_others_are_not(amount: int, currency: str, crypto: bool, code: str | None) -> None:
    """Too little, too much, and currencies that cannot be had."""
    with pytest.raises(ApiError) as refused:
        check_amount(amount, currency, crypto=crypto)
    assert refused.value.body.get("code") == code


def test_fees_are_rounded_by_half_a_cent() -> None:
    """2.9 % and 30 cents of a card payment, 1.5 % of a deposit, never more than there is."""
    assert (fee(1000, crypto=False), fee(1017, crypto=False), fee(10, crypto=False)) == (59, 59, 10)
    assert (fee(1, crypto=True), fee(100, crypto=True), fee(99, crypto=True)) == (0, 2, 1)


def test_amounts_are_shown_with_their_currency() -> None:
    """Currencies without cents have none."""
    assert (display(5, "usd"), display(1250, "eur"), display(50, "jpy")) == (
        "$0.05 usd",
        "12.50 eur",
        "50 jpy",
    )
