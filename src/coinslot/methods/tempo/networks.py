"""The Tempo networks: their chain ids, public nodes, and the stablecoins that payments are made in."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from coinslot.errors import ConfigurationError

DEFAULT_CHAIN_ID: Final = 42431
"""The chain of a challenge that names none (draft-tempo-charge §Method Details)."""


DECIMALS: Final = 6
"""The decimals of every TIP-20 token (draft-tempo-charge §Terminology)."""


class Token(Struct, frozen=True):
    """A TIP-20 token: its name for people, and its EIP-55 address."""

    symbol: str
    address: str


class Network(Struct, frozen=True, kw_only=True):
    """A Tempo network. `currency` is what is asked for by default; `tokens` are those known by name."""

    name: str
    chain_id: int
    rpc_url: str
    currency: Token
    tokens: tuple[Token, ...]

    def token(self, address: str) -> Token | None:
        """The token at `address`, written in any case, if it is a known one."""
        wanted = address.lower()
        return next((token for token in self.tokens if token.address.lower() == wanted), None)


PATH_USD: Final = Token("pathUSD", "0x20C0000000000000000000000000000000000000")
"""The stablecoin that every Tempo chain has; the stablecoin DEX trades the others against it."""

_USDC_E: Final = Token("USDC.e", "0x20C000000000000000000000b9537d11c60E8b50")

MAINNET: Final = Network(
    name="mainnet",
    chain_id=4217,
    rpc_url="https://rpc.tempo.xyz",
    currency=_USDC_E,
    tokens=(_USDC_E, PATH_USD),
)

TESTNET: Final = Network(
    name="testnet",
    chain_id=42431,
    rpc_url="https://rpc.moderato.tempo.xyz",
    currency=PATH_USD,
    tokens=(
        PATH_USD,
        Token("AlphaUSD", "0x20C0000000000000000000000000000000000001"),
        Token("BetaUSD", "0x20C0000000000000000000000000000000000002"),
        Token("ThetaUSD", "0x20C0000000000000000000000000000000000003"),
    ),
)

NETWORKS: Final = (MAINNET, TESTNET)


def find_network(name: str) -> Network:
    """The network called `name`. Raises `ConfigurationError` for any other than `mainnet` and `testnet`."""
    for network in NETWORKS:
        if network.name == name:
            return network
    known = " and ".join(repr(network.name) for network in NETWORKS)
    raise ConfigurationError(f"there is no Tempo network called {name!r}: {known} are known")


def network_of(chain_id: int) -> Network | None:
    """The network whose chain has this id, if it is a known one."""
    return next((network for network in NETWORKS if network.chain_id == chain_id), None)


def token_name(chain_id: int, address: str) -> str:
    """What people call the token at `address`: its symbol if it is known, else the address, shortened."""
    network = network_of(chain_id)
    token = network.token(address) if network is not None else None
    return token.symbol if token is not None else f"{address[:6]}…{address[-4:]}"
