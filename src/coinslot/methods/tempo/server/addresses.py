"""The addresses that a seller configures, checked when they are given."""

from __future__ import annotations

from coinslot.errors import ConfigurationError
from coinslot.methods.tempo.keys import AddressError, checksum_address
from coinslot.methods.tempo.wire.tip20 import is_token


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


def _address(name: str, text: str) -> str:
    try:
        return checksum_address(text)
    except AddressError as error:
        raise ConfigurationError(f"{name}: {error}") from error
