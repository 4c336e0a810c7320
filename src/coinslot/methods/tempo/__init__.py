"""Tempo: stablecoin payments on the Tempo blockchain (draft-tempo-charge).

    tempo.charge(recipient="0x…", network="testnet")     the seller's half, for `Paywall(methods=[…])`
    tempo.account("0x…", network="testnet")              the buyer's half, for `Wallet(methods=[…])`

Needs `pip install 'coinslot[tempo]'`. What is named here is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from coinslot.methods.tempo.client import TempoAccount, account, fund
    from coinslot.methods.tempo.keys import PrivateKey
    from coinslot.methods.tempo.networks import MAINNET, TESTNET, Network, Token
    from coinslot.methods.tempo.server import TempoCharge, charge

__all__ = [
    "MAINNET",
    "TESTNET",
    "Network",
    "PrivateKey",
    "TempoAccount",
    "TempoCharge",
    "Token",
    "account",
    "charge",
    "fund",
]

_HOMES: Final = {
    "MAINNET": "networks",
    "TESTNET": "networks",
    "Network": "networks",
    "PrivateKey": "keys",
    "TempoAccount": "client",
    "TempoCharge": "server",
    "Token": "networks",
    "account": "client",
    "charge": "server",
    "fund": "client",
}


if not TYPE_CHECKING:  # to a type checker, a module with `__getattr__` has every attribute

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value: object = getattr(import_module(f".{home}", __name__), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
