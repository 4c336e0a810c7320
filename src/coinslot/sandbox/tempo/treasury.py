"""What the sandbox itself does on its chain: transactions of the faucet's account."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Final

from coinslot.methods.tempo.wire import Call, Transaction
from coinslot.sandbox.tempo.accounts import FAUCET
from coinslot.sandbox.tempo.jsonrpc import INTERNAL_ERROR, RPCError
from coinslot.sandbox.tempo.node import Node

_MAX_FEE_PER_GAS: Final = 100 * 10**9


async def spend(node: Node, chain_id: int, calls: Iterable[Call], *, gas: int) -> str:
    """Make `calls` in one transaction, and wait until it is mined: its hash.

    Raises `RPCError`: the node's, or one that says that the calls failed.
    """
    transaction = Transaction(
        chain_id=chain_id,
        max_priority_fee_per_gas=10**9,
        max_fee_per_gas=_MAX_FEE_PER_GAS,
        gas_limit=gas,
        calls=tuple(calls),
        # A nonce lane of its own: such transactions neither wait for each other nor count up.
        nonce_key=secrets.randbits(190) | 1,
    ).sign(FAUCET)
    receipt = await node.call("eth_sendRawTransactionSync", ["0x" + transaction.encode().hex()])
    if not isinstance(receipt, dict) or receipt.get("status") != "0x1":
        raise RPCError(INTERNAL_ERROR, "the sandbox's own transaction was reverted")
    return str(receipt["transactionHash"])
