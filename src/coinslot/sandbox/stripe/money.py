"""Amounts: what is too small to be charged, and what Stripe keeps of it. All in minor units."""

from __future__ import annotations

from typing import Final, Literal

from coinslot.sandbox.stripe.errors import invalid

MAX_AMOUNT: Final = 99_999_999

UNITS_PER_CENT: Final = 10_000
"""Base units of a stablecoin with six decimals in one US cent."""

CRYPTO_CURRENCY: Final = "usd"
STABLECOIN: Final[Literal["usdc"]] = "usdc"
"""What every token that is taken counts as."""

_WITHOUT_CENTS: Final = frozenset({"jpy", "krw"})

# docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
_MINIMUMS: Final = {
    "aed": 200, "ars": 50, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "cop": 50, "czk": 1500,
    "dkk": 250, "eur": 50, "gbp": 30, "hkd": 400, "huf": 17500, "idr": 50, "ils": 50, "inr": 50, "jpy": 50,
    "krw": 50, "mxn": 1000, "myr": 200, "nok": 300, "nzd": 50, "php": 50, "pln": 200, "ron": 200, "rub": 50,
    "sek": 300, "sgd": 50, "thb": 1000, "usd": 50, "zar": 50,
}  # fmt: skip

_CARD_FEE: Final = (290, 30)
_CRYPTO_FEE: Final = (150, 0)


def check_amount(amount: int, currency: str, *, crypto: bool) -> None:
    """Raise `ApiError` for an amount that cannot be charged, or a currency that there is none of."""
    if currency not in _MINIMUMS:
        raise invalid(
            f"Invalid currency: {currency[:40]}. Stripe currently supports these currencies: "
            f"{', '.join(sorted(_MINIMUMS))}",
            param="currency",
        )
    if crypto and currency != CRYPTO_CURRENCY:
        raise invalid(
            f"The payment method type 'crypto' only supports the following currencies: {CRYPTO_CURRENCY}.",
            param="currency",
        )
    if amount > MAX_AMOUNT:
        message = f"Amount must be no more than {display(MAX_AMOUNT, currency)}"
        raise invalid(message, param="amount", code="amount_too_large")
    if amount < 1:
        raise invalid(
            "This value must be greater than or equal to 1.", param="amount", code="parameter_invalid_integer"
        )
    minimum = 1 if crypto else _MINIMUMS[currency]
    if amount < minimum:
        message = f"Amount must be at least {display(minimum, currency)}"
        raise invalid(message, param="amount", code="amount_too_small")


def fee(amount: int, *, crypto: bool) -> int:
    """What Stripe keeps: 2.9 % and 30 cents of a card payment, 1.5 % of a deposit; half a cent goes up."""
    basis_points, fixed = _CRYPTO_FEE if crypto else _CARD_FEE
    return min(amount, (amount * basis_points + 5_000) // 10_000 + fixed)


def display(amount: int, currency: str) -> str:
    """Such as `$0.50 usd`, or `50 jpy`."""
    if currency in _WITHOUT_CENTS:
        return f"{amount} {currency}"
    sign = "$" if currency == "usd" else ""
    return f"{sign}{amount // 100}.{amount % 100:02} {currency}"
