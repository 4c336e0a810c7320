from __future__ import annotations

import doctest
from decimal import Context, Decimal, localcontext
from time import perf_counter

import pytest
from hypothesis import example, given, strategies as st

from coinslot.errors import AmountError
from coinslot.intents import (
    MAX_BASE_UNITS,
    amounts,
    format_amount,
    from_base_units,
    parse_base_units,
    to_base_units,
)
from strategies import hostile_text

units = st.integers(0, MAX_BASE_UNITS)
decimals = st.integers(0, 30)


def test_examples() -> None:
    """The examples in the docstrings do what they say."""
    results = doctest.testmod(amounts)
    assert results.attempted
    assert not results.failed


class TestToBaseUnits:
    @pytest.mark.parametrize(
        ("amount", "decimals", "expected"),
        [
            ("0.01", 6, 10_000),
            ("1", 6, 1_000_000),
            ("1.5", 1, 15),
            ("0", 6, 0),
            ("0.000001", 6, 1),
            ("007.10", 2, 710),
            ("12345678901234567890.123456789012345678", 18, 12345678901234567890123456789012345678),
            ("5", 0, 5),
            (str(MAX_BASE_UNITS), 0, MAX_BASE_UNITS),
        ],
    )
    def test_exact(self, amount: str, decimals: int, expected: int) -> None:
        """An amount is so many base units, to the last digit."""
        assert to_base_units(amount, decimals) == expected

    @pytest.mark.parametrize(
        "amount",
        [
            "", " ", "1 ", " 1", "1\n", "-1", "+1", "-0", "1e6", "1E-2", "1_000", "1,000", "1.", ".5", ".",
            "1.2.3", "0x10", "١", "１", "1.٥", "²", "NaN", "Infinity", "$1", "1/2", "\udc00", "1" * 500,
            "0." + "0" * 500,
        ],
    )  # fmt: skip
    def test_refused(self, amount: str) -> None:
        """Signs, exponents, separators, white space and digits that are not ASCII are no amount."""
        with pytest.raises(AmountError):
            to_base_units(amount, 255)

    @pytest.mark.parametrize(
        ("amount", "decimals"), [("0.0000001", 6), ("1.5", 0), ("1.005", 2), ("1.000", 2)]
    )
    def test_never_rounds(self, amount: str, decimals: int) -> None:
        """More decimals than the currency has are refused, whatever they are."""
        with pytest.raises(AmountError, match="decimals"):
            to_base_units(amount, decimals)

    def test_too_large(self) -> None:
        """An amount of more than 256 bits is refused."""
        with pytest.raises(AmountError):
            to_base_units(str(MAX_BASE_UNITS + 1), 0)
        with pytest.raises(AmountError):
            to_base_units("1", 78)

    @pytest.mark.parametrize("decimals", [-1, 256])
    def test_decimals(self, decimals: int) -> None:
        """Currencies have 0 to 255 decimals."""
        for convert in (lambda: to_base_units("1", decimals), lambda: from_base_units(1, decimals)):
            with pytest.raises(AmountError):
                convert()
        with pytest.raises(AmountError):
            format_amount(1, decimals)

    @given(hostile_text | st.text("0123456789.", max_size=90), decimals)
    def test_total(self, amount: str, decimals: int) -> None:
        """Any text is refused or is exactly what decimal arithmetic says."""
        try:
            converted = to_base_units(amount, decimals)
        except AmountError:
            return
        with localcontext(Context(prec=500)):
            assert Decimal(amount) * 10**decimals == converted

    def test_linear(self) -> None:
        """A million digits are refused at once."""
        started = perf_counter()
        for text in ("9" * 1_000_000, "0." + "0" * 1_000_000):
            with pytest.raises(AmountError):
                to_base_units(text, 18)
            with pytest.raises(AmountError):
                parse_base_units(text)
        assert perf_counter() - started < 0.05


class TestFromBaseUnits:
    @given(units, decimals)
    @example(MAX_BASE_UNITS, 18)
    def test_round_trip(self, units: int, decimals: int) -> None:
        """Base units come back from their amount, as a number and as text."""
        assert to_base_units(format_amount(units, decimals), decimals) == units
        assert to_base_units(f"{from_base_units(units, decimals):f}", decimals) == units

    @given(units, decimals)
    def test_formats_agree(self, units: int, decimals: int) -> None:
        """The text is the number, at its shortest."""
        text = format_amount(units, decimals)
        assert Decimal(text) == from_base_units(units, decimals)
        assert not ("." in text and text.endswith(("0", ".")))
        assert text == "0" or text.startswith("0.") or not text.startswith("0")

    def test_ignores_the_context(self) -> None:
        """A caller's decimal context does not round an amount."""
        with localcontext(Context(prec=3)):
            assert str(from_base_units(123_456_789, 6)) == "123.456789"

    @pytest.mark.parametrize("units", [-1, MAX_BASE_UNITS + 1])
    def test_refused(self, units: int) -> None:
        """An amount is not negative and fits 256 bits."""
        with pytest.raises(AmountError):
            from_base_units(units, 6)
        with pytest.raises(AmountError):
            format_amount(units, 6)


class TestParseBaseUnits:
    @given(units)
    def test_round_trip(self, units: int) -> None:
        """Every amount is read from its digits."""
        assert parse_base_units(str(units)) == units

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "00",
            "01",
            "-1",
            "+1",
            "1.0",
            "1e6",
            "1_0",
            " 1",
            "1\n",
            "0x1",
            "١",
            "１",
            str(2**256),
            "1" * 6000,
        ],
    )
    def test_refused(self, text: str) -> None:
        """Other spellings of a number, and more than 256 bits, are refused."""
        with pytest.raises(AmountError):
            parse_base_units(text)

    @given(hostile_text)
    def test_total(self, text: str) -> None:
        """Any text is refused or is the number it spells."""
        try:
            value = parse_base_units(text)
        except AmountError:
            return
        assert str(value) == text
