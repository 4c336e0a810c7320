"""Tempo: stablecoin payments on the Tempo blockchain (draft-tempo-charge).

    tempo.charge(recipient="0x…", network="testnet")     the seller's half, for `Paywall(methods=[…])`
    tempo.account("0x…", network="testnet")              the buyer's half, for `Wallet(methods=[…])`

Needs `pip install 'coinslot[tempo]'`. What is named here is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from coinslot.methods.tempo.client.account import TempoAccount
    from coinslot.methods.tempo.client.accounts import account, fund
    from coinslot.methods.tempo.client.delegation import authorize, limit
    from coinslot.methods.tempo.keys import PrivateKey
    from coinslot.methods.tempo.networks import MAINNET, TESTNET, Network, Token
    from coinslot.methods.tempo.server.charge import TempoCharge, charge
    from coinslot.methods.tempo.server.fee_policy import FeePayerPolicy
    from coinslot.methods.tempo.server.relay import Relay
    from coinslot.methods.tempo.server.splits import Split
    from coinslot.methods.tempo.server.sponsor import FeePayer, HostedFeePayer
    from coinslot.methods.tempo.wire.key_authorization import (
        CallScope,
        KeyAuthorization,
        SelectorRule,
        TokenLimit,
    )
    from coinslot.methods.tempo.wire.p256 import P256Key
    from coinslot.methods.tempo.wire.signatures import AccessKey, SigningKey

__all__ = [
    "MAINNET",
    "TESTNET",
    "AccessKey",
    "CallScope",
    "FeePayer",
    "FeePayerPolicy",
    "HostedFeePayer",
    "KeyAuthorization",
    "Network",
    "P256Key",
    "PrivateKey",
    "Relay",
    "SelectorRule",
    "SigningKey",
    "Split",
    "TempoAccount",
    "TempoCharge",
    "Token",
    "TokenLimit",
    "account",
    "authorize",
    "charge",
    "fund",
    "limit",
]

_HOMES: Final = {
    "MAINNET": "networks",
    "TESTNET": "networks",
    "AccessKey": "wire.signatures",
    "CallScope": "wire.key_authorization",
    "FeePayer": "server.sponsor",
    "FeePayerPolicy": "server.fee_policy",
    "HostedFeePayer": "server.sponsor",
    "KeyAuthorization": "wire.key_authorization",
    "Network": "networks",
    "P256Key": "wire.p256",
    "PrivateKey": "keys",
    "Relay": "server.relay",
    "SelectorRule": "wire.key_authorization",
    "SigningKey": "wire.signatures",
    "Split": "server.splits",
    "TempoAccount": "client.account",
    "TempoCharge": "server.charge",
    "Token": "networks",
    "TokenLimit": "wire.key_authorization",
    "account": "client.accounts",
    "authorize": "client.delegation",
    "charge": "server.charge",
    "fund": "client.accounts",
    "limit": "client.delegation",
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
