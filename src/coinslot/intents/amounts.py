"""Amounts of money, exactly.

An amount is a decimal string in a currency's own unit where people write it (`"0.01"`), and an `int` of
base units everywhere else: the smallest part there is of the currency, of which a unit has 10 to the power
of its decimals. Nothing is ever rounded: what does not fit is an `AmountError`.
"""

from __future__ import annotations

import re
from decimal import Decimal

from coinslot.errors import AmountError

MAX_BASE_UNITS = 2**256 - 1
"""The largest amount: chains count in 256 bits."""

MAX_DECIMALS = 255
"""The most decimals a currency can have: tokens say it in 8 bits."""

# Longer than any amount that fits, point and leading zeros included, and short enough to be read in no time.
_MAX_LENGTH = 400

_decimal = re.compile(r"([0-9]++)(?:\.([0-9]++))?")
_integer = re.compile(r"0|[1-9][0-9]{0,77}")


def to_base_units(amount: str, decimals: int) -> int:
    """`amount`, a decimal string in the currency's unit, in base units of a currency with so many `decimals`.

    Raises `AmountError` for anything but ASCII digits around at most one point, for more digits after the
    point than `decimals`, and for more than `MAX_BASE_UNITS`.

    >>> to_base_units("0.01", 6)
    10000
    """
    _check_decimals(decimals)
    match = _decimal.fullmatch(amount) if len(amount) <= _MAX_LENGTH else None
    if match is None:
        raise AmountError('an amount is a decimal number such as "0.01", without sign, exponent or spaces')
    whole, fraction = match[1], match[2] or ""
    if len(fraction) > decimals:
        raise AmountError(f"{amount} has more decimals than the {decimals} of its currency")
    units = int(whole + fraction.ljust(decimals, "0"))
    if units > MAX_BASE_UNITS:
        raise AmountError("an amount of more than 256 bits")
    return units


def from_base_units(units: int, decimals: int) -> Decimal:
    """`units` base units in the currency's unit, exactly, whatever the decimal context. Raises `AmountError`.

    >>> from_base_units(10000, 6)
    Decimal('0.010000')
    """
    _check_units(units)
    _check_decimals(decimals)
    # The constructor does not round, as arithmetic would.
    return Decimal(f"{units}E-{decimals}")


def format_amount(units: int, decimals: int) -> str:
    """`units` base units as the shortest decimal string in the currency's unit. Raises `AmountError`.

    >>> format_amount(10000, 6), format_amount(2000000, 6)
    ('0.01', '2')
    """
    _check_units(units)
    _check_decimals(decimals)
    digits = str(units).rjust(decimals + 1, "0")
    point = len(digits) - decimals
    fraction = digits[point:].rstrip("0")
    return f"{digits[:point]}.{fraction}" if fraction else digits[:point]


def parse_base_units(text: str) -> int:
    """The base units in `text`, an integer as requests carry it (draft-payment-intent-charge §Shared Fields).

    Raises `AmountError` unless it is canonical, ASCII digits without leading zeros, and at most
    `MAX_BASE_UNITS`.
    """
    units = int(text) if _integer.fullmatch(text) else None
    if units is None or units > MAX_BASE_UNITS:
        raise AmountError("an amount in base units is an integer of at most 256 bits, without leading zeros")
    return units


def _check_units(units: int) -> None:
    if not 0 <= units <= MAX_BASE_UNITS:
        raise AmountError("an amount is not negative and at most 256 bits")


def _check_decimals(decimals: int) -> None:
    if not 0 <= decimals <= MAX_DECIMALS:
        raise AmountError(f"a currency has 0 to {MAX_DECIMALS} decimals")
