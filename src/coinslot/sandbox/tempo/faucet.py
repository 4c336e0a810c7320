"""`tempo_fundAddress`: a million of every token for whoever asks."""

from __future__ import annotations

import secrets
from typing import Final

from coinslot.methods.tempo.keys import AddressError, parse_address
from coinslot.methods.tempo.wire import Call, Transaction, transfer
from coinslot.protocol import JSONValue
from coinslot.sandbox.tempo.accounts import FAUCET
from coinslot.sandbox.tempo.jsonrpc import INTERNAL_ERROR, RPCError, invalid_params
from coinslot.sandbox.tempo.node import Node

GENESIS_TOKENS: Final = tuple(f"0x20c000000000000000000000000000000000000{index}" for index in range(4))
"""pathUSD, AlphaUSD, BetaUSD and ThetaUSD."""

GRANT: Final = 10**12
"""Base units of each token in one grant: a million, at six decimals."""

_GAS_PER_TOKEN: Final = 700_000
_MAX_FEE_PER_GAS: Final = 100 * 10**9


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
        raw = self._grant(address).encode()
        receipt = await self._node.call("eth_sendRawTransactionSync", ["0x" + raw.hex()])
        if not isinstance(receipt, dict) or receipt.get("status") != "0x1":
            raise RPCError(INTERNAL_ERROR, "the faucet's transfer was reverted")
        return [receipt["transactionHash"]]

    def _grant(self, address: str) -> Transaction:
        calls = tuple(
            Call(to=parse_address(token), value=0, data=transfer(address, GRANT)) for token in self._tokens
        )
        return Transaction(
            chain_id=self._chain_id,
            max_priority_fee_per_gas=10**9,
            max_fee_per_gas=_MAX_FEE_PER_GAS,
            gas_limit=_GAS_PER_TOKEN * len(calls),
            calls=calls,
            # A nonce lane of its own: grants neither wait for each other nor count up.
            nonce_key=secrets.randbits(190) | 1,
        ).sign(FAUCET)
