"""The addresses that a seller configures, checked when they are given."""

from __future__ import annotations

from typing import Final

from coinslot.errors import ConfigurationError
from coinslot.methods.tempo.keys import AddressError, checksum_address

_TIP20_PREFIX: Final = "0x20c000000000000000000000"


def payable_address(name: str, text: str) -> str:
    """An address that can be paid, EIP-55. Raises `ConfigurationError`, which begins with `name`."""
    address = _address(name, text)
    if int(address, 16) == 0 or is_token(address):
        raise ConfigurationError(f"{name}: {address} cannot be paid: it is the zero address, or a token's")
    return address


def token_address(name: str, text: str) -> str:
    """The address of a TIP-20 token, EIP-55. Raises `ConfigurationError`, which begins with `name`."""
    address = _address(name, text)
    if not is_token(address):
        raise ConfigurationError(f"{name}: {address} is not the address of a TIP-20 token")
    return address


def is_token(address: str) -> bool:
    """Whether an address is one that only TIP-20 tokens have."""
    return address.lower().startswith(_TIP20_PREFIX)


def _address(name: str, text: str) -> str:
    try:
        return checksum_address(text)
    except AddressError as error:
        raise ConfigurationError(f"{name}: {error}") from error
