"""The sandbox's own JSON-RPC methods, in front of the node's.

Each closes a gap between anvil's Tempo and Tempo (`docs/sandbox-tempo.md`). All others are the node's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from coinslot.protocol import JSONValue
from coinslot.sandbox.tempo.access_keys import AccessKeys
from coinslot.sandbox.tempo.blocks import BlockSimulator
from coinslot.sandbox.tempo.broadcast import Broadcaster
from coinslot.sandbox.tempo.expiring import ExpiringNonces
from coinslot.sandbox.tempo.faucet import Faucet
from coinslot.sandbox.tempo.fees import Fees
from coinslot.sandbox.tempo.jsonrpc import METHOD_NOT_SUPPORTED, RPCError
from coinslot.sandbox.tempo.node import Node
from coinslot.sandbox.tempo.preflight import Preflight
from coinslot.sandbox.tempo.receipts import attribute_fee, attribute_fees
from coinslot.sandbox.tempo.simulation import Simulator
from coinslot.sandbox.tempo.sponsoring import FeePayerService

_Method: TypeAlias = Callable[[list[JSONValue]], Awaitable[JSONValue]]

FATAL: Final = frozenset(
    {
        "debug_getRawTransaction",
        "eth_getRawTransactionByBlockHashAndIndex",
        "eth_getRawTransactionByBlockNumberAndIndex",
        "eth_getRawTransactionByHash",
    }
)
"""Methods on which the node crashes when they meet a Tempo Transaction."""

_WITHOUT_EXPIRING_NONCES: Final = ("Genesis", "T0")

_REWINDS: Final = frozenset(
    {"anvil_reorg", "anvil_reset", "anvil_revert", "anvil_rollback", "evm_revert", "hardhat_reset"}
)


class Front:
    """Answers JSON-RPC calls: `call` is a `jsonrpc.Handler`."""

    def __init__(self, node: Node, chain_id: int, hardfork: str, faucet: Faucet) -> None:
        self._node = node
        self._nonces = ExpiringNonces(node, chain_id) if hardfork in _WITHOUT_EXPIRING_NONCES else None
        service = FeePayerService(chain_id)
        keys = AccessKeys(node, chain_id, hardfork)
        preflight = Preflight(node, Fees(node, chain_id), keys)
        broadcaster = Broadcaster(node, self._nonces, keys, service)
        simulator = Simulator(node, chain_id, preflight, service)
        blocks = BlockSimulator(node, preflight)
        self._methods: dict[str, _Method] = {
            "eth_call": simulator.call,
            "eth_estimateGas": simulator.estimate_gas,
            "eth_fillTransaction": simulator.fill,
            "eth_getBlockReceipts": self._block_receipts,
            "eth_getTransactionReceipt": self._receipt,
            "eth_sendRawTransaction": broadcaster.send,
            "eth_sendRawTransactionSync": broadcaster.send_sync,
            "eth_signRawTransaction": service.sign_raw,
            "eth_simulateV1": blocks.simulate,
            "tempo_fundAddress": faucet.fund,
            "tempo_simulateV1": blocks.tempo_simulate,
        }

    async def call(self, method: str, params: list[JSONValue]) -> JSONValue:
        """The result of `method`. Raises `RPCError`."""
        if method in FATAL:
            raise RPCError(
                METHOD_NOT_SUPPORTED,
                f"{method} is not supported: the sandbox's node crashes on Tempo Transactions there",
            )
        own = self._methods.get(method)
        if own is not None:
            return await own(params)
        result = await self._node.call(method, params)
        if method in _REWINDS and self._nonces is not None:
            self._nonces.forget_all()
        return result

    async def _receipt(self, params: list[JSONValue]) -> JSONValue:
        return attribute_fee(await self._node.call("eth_getTransactionReceipt", params))

    async def _block_receipts(self, params: list[JSONValue]) -> JSONValue:
        return attribute_fees(await self._node.call("eth_getBlockReceipts", params))
