"""`tempo_fundAddress`: a million of every token for whoever asks."""

from __future__ import annotations

from typing import Final

from coinslot.methods.tempo.keys import AddressError, parse_address
from coinslot.methods.tempo.wire import Call, transfer
from coinslot.protocol import JSONValue
from coinslot.sandbox.tempo.jsonrpc import invalid_params
from coinslot.sandbox.tempo.node import Node
from coinslot.sandbox.tempo.treasury import spend

GENESIS_TOKENS: Final = tuple(f"0x20c000000000000000000000000000000000000{index}" for index in range(4))
"""pathUSD, AlphaUSD, BetaUSD and ThetaUSD."""

GRANT: Final = 10**12
"""Base units of each token in one grant: a million, at six decimals."""

_GAS_PER_TOKEN: Final = 700_000


class Faucet:
    """Pays `GRANT` of each of `tokens` to an address."""

    def __init__(self, node: Node, chain_id: int, tokens: tuple[str, ...] = GENESIS_TOKENS) -> None:
        self._node = node
        self._chain_id = chain_id
        self._tokens = tokens

    async def fund(self, params: list[JSONValue]) -> JSONValue:
        """Answer `tempo_fundAddress(address)`: the hashes of the transactions, which are mined by then.

        One transaction makes all transfers, so the list has one hash; Tempo's faucet sends one a token.
        """
        address = params[0] if params else None
        if not isinstance(address, str):
            invalid_params("an address is expected")
        try:
            parse_address(address)
        except AddressError as error:
            invalid_params(str(error))
        transfers = [Call(parse_address(token), 0, transfer(address, GRANT)) for token in self._tokens]
        return [await spend(self._node, self._chain_id, transfers, gas=_GAS_PER_TOKEN * len(transfers))]
