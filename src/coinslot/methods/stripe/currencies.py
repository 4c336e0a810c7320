"""Stripe's currencies: what an amount's minor unit is, and the least that can be charged.

Sources: docs.stripe.com/currencies, sections on zero-decimal and three-decimal currencies, on special cases,
and on minimum amounts.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from coinslot.errors import AmountError, ConfigurationError
from coinslot.intents import format_amount, from_base_units, to_base_units

_CODE: Final = re.compile(r"[a-z]{3}")

_WITHOUT_DECIMALS: Final = frozenset(
    ("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf")
)

# Thousandths, of which the last digit has to be 0.
_WITH_THREE_DECIMALS: Final = frozenset(("bhd", "jod", "kwd", "omr", "tnd"))

# Written in hundredths, which have to be 00.
_WHOLE_IN_HUNDREDTHS: Final = frozenset(("isk",))

# The list of zero-decimal currencies has it, and the special cases say that 5 of them are written as 500. An
# amount that may be off by a factor of a hundred is not charged.
_CONTRADICTORY: Final = frozenset(("ugx",))

_MINIMUMS: Final = {
    **dict.fromkeys(
        (
            "ars", "aud", "brl", "cad", "chf", "cop", "eur", "idr", "ils", "inr", "jpy", "krw", "nzd", "php",
            "rub", "sgd", "usd", "zar",
        ),
        50,
    ),
    "gbp": 30, "bgn": 100, "aed": 200, "myr": 200, "pln": 200, "ron": 200, "dkk": 250, "nok": 300, "sek": 300,
    "hkd": 400, "mxn": 1000, "thb": 1000, "czk": 1500, "huf": 17500,
}  # fmt: skip

_FINEST: Final = 18  # decimals in which a price is compared with a minimum, so that none is too fine for that


class Currency(Struct, frozen=True, kw_only=True):
    """A currency as Stripe counts it.

    A unit has 10 to the power of `decimals` minor units. Amounts are multiples of `step` minor units, and at
    least `minimum` of them.
    """

    code: str
    decimals: int
    minimum: int
    step: int = 1

    @property
    def symbol(self) -> str:
        """What people call it: `USD`."""
        return self.code.upper()

    def to_minor(self, price: str) -> int | None:
        """`price`, a decimal string in the currency's unit, in minor units; None if it is below the minimum.

        Raises `AmountError` for what is no amount, or has no exact number of minor units.
        """
        if to_base_units(price, _FINEST) < self.minimum * 10 ** (_FINEST - self.decimals):
            return None
        amount = to_base_units(price, self.decimals)
        if amount % self.step:
            least = format_amount(self.step, self.decimals)
            raise AmountError(f"{price} {self.symbol} cannot be charged: Stripe takes multiples of {least}")
        return amount

    def display(self, amount: int) -> str:
        """`amount` minor units, for people: `1.50 USD`."""
        return f"{from_base_units(amount, self.decimals)} {self.symbol}"


def find_currency(code: str) -> Currency:
    """The currency with this ISO 4217 code, in any case.

    Raises `ConfigurationError` for what is no code, and for one whose amounts Stripe documents twice.
    """
    code = code.lower()
    if not _CODE.fullmatch(code):
        raise ConfigurationError("currency: a three-letter ISO code such as 'usd'")
    if code in _CONTRADICTORY:
        raise ConfigurationError(
            f"currency: Stripe's documentation has two units for {code} amounts, so they are not charged"
        )
    decimals, step = 2, 1
    if code in _WITHOUT_DECIMALS:
        decimals = 0
    elif code in _WITH_THREE_DECIMALS:
        decimals, step = 3, 10
    elif code in _WHOLE_IN_HUNDREDTHS:
        step = 100
    return Currency(code=code, decimals=decimals, minimum=_MINIMUMS.get(code, 1), step=step)


def as_money(amount: int, code: str) -> str:
    """`amount` minor units for people, less than 0 also; just so, if the minor unit is not known."""
    try:
        return "-" * (amount < 0) + find_currency(code).display(abs(amount))
    except ConfigurationError:
        return f"{amount} minor units of {code.upper()}"
