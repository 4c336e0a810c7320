"""Amounts of the books: base units, and the decimal amount where the currency's decimals are known.

Each method's own module says what its currencies are. Of any other currency only the base units are shown.
"""

from __future__ import annotations

from functools import lru_cache

from msgspec import Struct

from coinslot.cli.output import CommandError, Exit
from coinslot.errors import AmountError, ConfigurationError
from coinslot.intents import format_amount, to_base_units
from coinslot.methods.stripe.currencies import find_currency
from coinslot.methods.tempo.networks import DECIMALS, NETWORKS

_SHORTENED = 16
"""Characters from which on the name of a currency is shortened for people."""


class Unit(Struct, frozen=True, kw_only=True):
    """A currency as a method counts it. `symbol` and `decimals` are None where they are not known."""

    currency: str
    symbol: str | None = None
    decimals: int | None = None

    @property
    def name(self) -> str:
        """What people call it."""
        is_short = len(self.currency) < _SHORTENED
        return self.symbol or (self.currency if is_short else f"{self.currency[:6]}…{self.currency[-4:]}")

    def amount(self, base_units: int) -> str | None:
        """The exact decimal amount, as short as it can be; None if the decimals are not known."""
        return None if self.decimals is None else format_amount(base_units, self.decimals)

    def shown(self, base_units: int) -> str:
        """For people: the amount with two decimals at least, where it has them."""
        amount = self.amount(base_units)
        if amount is None:
            return f"{base_units} base units"
        whole, _, fraction = amount.partition(".")
        least = min(2, self.decimals or 0)
        return f"{whole}.{fraction.ljust(least, '0')}" if least else amount

    def display(self, base_units: int) -> str:
        """The same with its unit: `0.01 pathUSD`, `5.00 USD`, `10000 base units of 0x1234…abcd`."""
        return f"{self.shown(base_units)} {self.name if self.decimals is not None else f'of {self.name}'}"

    def read(self, amount: str) -> int:
        """Base units for an amount that was typed. Raises `CommandError`."""
        if self.decimals is None:
            raise CommandError(
                f"the decimals of {self.name} are not known here: say it in --base-units", Exit.USAGE
            )
        try:
            return to_base_units(amount, self.decimals)
        except AmountError as error:
            raise CommandError(f"--amount {amount!r} will not do: {error}", Exit.USAGE) from None


@lru_cache(maxsize=1024)
def unit_of(method: str, currency: str) -> Unit:
    """What `currency` is to the method of that name."""
    if method == "tempo":
        for network in NETWORKS:
            if (token := network.token(currency)) is not None:
                return Unit(currency=currency, symbol=token.symbol, decimals=DECIMALS)
    if method == "stripe":
        try:
            found = find_currency(currency)
        except ConfigurationError:
            return Unit(currency=currency)
        return Unit(currency=currency, symbol=found.symbol, decimals=found.decimals)
    return Unit(currency=currency)
