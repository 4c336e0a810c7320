"""The networks that deposits are made on: their tokens, and addresses on them."""

from __future__ import annotations

import re
import secrets
from typing import Final

from msgspec import Struct

from coinslot.methods.tempo.keys import PrivateKey
from coinslot.sandbox.stripe.money import STABLECOIN
from coinslot.sandbox.stripe.shapes.crypto import Network, SupportedToken

NETWORKS: Final[tuple[Network, ...]] = ("base", "solana", "tempo")

# docs.stripe.com/payments/deposit-mode-stablecoin-payments; pathUSD is what Tempo's testnet has.
_TOKENS: Final[dict[str, str]] = {
    "base": "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913",
    "solana": "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
    "tempo": "0x20c0000000000000000000000000000000000000",
}
TEMPO_MAINNET: Final = 4217
MAINNET_USDC: Final = "0x20c000000000000000000000b9537d11c60e8b50"

_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_HEX_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_HASH: Final = re.compile(r"0x[0-9a-fA-F]{64}")
_SOLANA_ADDRESS: Final = re.compile(rf"[{_BASE58}]{{32,44}}")
_SOLANA_SIGNATURE: Final = re.compile(rf"[{_BASE58}]{{64,88}}")


class Wallet(Struct, frozen=True):
    """An address, and the key to it. Nobody has the key to one on Solana, where nothing is emulated."""

    address: str
    private_key: str

    def __repr__(self) -> str:
        return f"Wallet({self.address!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        # msgspec's own would show the key wherever rich prints a traceback.
        return [("address", self.address)]


def new_wallet(network: str) -> Wallet:
    """A new address on a network."""
    if network == "solana":
        return Wallet(_base58(secrets.token_bytes(32)), "")
    key = PrivateKey.generate()
    return Wallet(key.address, key.to_hex())


def token_of(network: str, configured: dict[str, str]) -> str:
    """The contract of the token that deposits are made in; `configured` ones go first."""
    return configured.get(network, _TOKENS[network])


def supported_tokens(network: str, configured: dict[str, str]) -> list[SupportedToken]:
    """The same, as the API lists it."""
    return [SupportedToken(token_of(network, configured), STABLECOIN)]


def is_address(network: str, text: str) -> bool:
    """Whether `text` can be an address on the network."""
    return bool((_SOLANA_ADDRESS if network == "solana" else _HEX_ADDRESS).fullmatch(text))


def is_transaction(network: str, text: str) -> bool:
    """Whether `text` can name a transaction on the network."""
    return bool((_SOLANA_SIGNATURE if network == "solana" else _HASH).fullmatch(text))


def key_of(network: str, address: str) -> str:
    """What an address is known by: hexadecimal ones are the same in any case."""
    return f"{network}:{address if network == 'solana' else address.lower()}"


def _base58(data: bytes) -> str:
    number, text = int.from_bytes(data), ""
    while number:
        number, digit = divmod(number, len(_BASE58))
        text = _BASE58[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text
