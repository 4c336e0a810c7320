"""The words of calldata and return data."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from coinslot.errors import AmountError
from coinslot.methods.tempo.keys import AddressError, checksum_address
from coinslot.methods.tempo.wire import abi
from tempo_strategies import addresses, amounts


@given(addresses, amounts)
def test_words_round_trip(address: bytes, amount: int) -> None:
    """Addresses and numbers become words, and are read from them."""
    word = abi.address_word(checksum_address(address))
    assert (len(word), abi.read_address(word)) == (32, checksum_address(address))
    assert abi.read_number(abi.amount_word(amount), 256) == amount


@given(st.binary(min_size=32, max_size=32))
def test_an_address_is_padded_with_zeros(word: bytes) -> None:
    """A word is an address only if it is the word of that address."""
    address = abi.read_address(word)
    assert (address is None) == any(word[:12])
    assert address is None or abi.address_word(address) == word


@pytest.mark.parametrize(("amount", "bits"), [(-1, 256), (2**256, 256), (2**128, 128)])
def test_amounts_that_do_not_fit_are_refused(amount: int, bits: int) -> None:
    """An amount has no sign, and at most its bits."""
    with pytest.raises(AmountError, match=str(bits)):
        abi.amount_word(amount, bits)
    assert abi.amount_word(2**bits - 1, bits)[-bits // 8 :] == b"\xff" * (bits // 8)


def test_what_is_no_address_is_refused() -> None:
    """Text of another form has no word."""
    with pytest.raises(AddressError):
        abi.address_word("0x")


def test_dynamic_values_stand_at_the_end() -> None:
    """The specification's own example: f(uint256,uint32[],bytes10,bytes) without its last argument."""
    numbers = abi.array([abi.number_word(0x456), abi.number_word(0x789)])
    words = [
        abi.number_word(0x123),
        numbers,
        b"1234567890".ljust(32, b"\x00"),
    ]
    assert abi.sequence(words).hex() == (
        "0000000000000000000000000000000000000000000000000000000000000123"
        "0000000000000000000000000000000000000000000000000000000000000060"
        "3132333435363738393000000000000000000000000000000000000000000000"
        "0000000000000000000000000000000000000000000000000000000000000002"
        "0000000000000000000000000000000000000000000000000000000000000456"
        "0000000000000000000000000000000000000000000000000000000000000789"
    )


def test_errors_are_of_both_kinds() -> None:
    """What a contract should not have returned is a value that is wrong."""
    with pytest.raises(ValueError, match="31 bytes where 32 belong"):
        abi.read_words(bytes(31), 1)
    with pytest.raises(abi.ABIError, match="more than 8 bits"):
        abi.read_number(abi.number_word(256), 8)
