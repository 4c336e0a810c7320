"""What a Tempo node says of transfers."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from coinslot.methods.tempo.keys import keccak256
from coinslot.methods.tempo.rpc import Rpc, RpcRefused, RpcUnanswered
from coinslot.methods.tempo.wire import Transfer, transfers_in_logs
from coinslot.protocol import JSONObject, JSONValue
from coinslot.sandbox.stripe.deposits import SeenTransfer

NETWORK: Final = "tempo"

_SENDING: Final = 10.0  # seconds
_TRANSFER: Final = "0x" + keccak256(b"Transfer(address,address,uint256)").hex()


class Evidence(Struct, frozen=True):
    """What became of a transaction: whether the chain has it, whether it succeeded, what it moved."""

    found: bool
    succeeded: bool = False
    transfers: list[Transfer] = []


class Chain:
    """The node at `url`."""

    def __init__(self, url: str) -> None:
        self._rpc = Rpc(url)

    async def chain_id(self) -> int:
        """Which chain it is. Raises `RpcError`."""
        return _number(await self._rpc.read("eth_chainId"))

    async def height(self) -> int:
        """The latest block's number. Raises `RpcError`."""
        return _number(await self._rpc.read("eth_blockNumber"))

    async def transfers(self, first: int, last: int) -> list[SeenTransfer]:
        """Every transfer in the blocks, in order. Raises `RpcError`."""
        logs = await self._rpc.read(
            "eth_getLogs", {"fromBlock": hex(first), "toBlock": hex(last), "topics": [_TRANSFER]}
        )
        # One log at a time: a transfer with a memo is logged twice, and only the plain one was asked for.
        return [
            _seen(log, transfer)
            for log in (logs if isinstance(logs, list) else [])
            for transfer in transfers_in_logs([log])
        ]

    async def evidence(self, transaction_hash: str) -> Evidence:
        """What became of a transaction. Raises `RpcError`."""
        receipt = await self._rpc.read("eth_getTransactionReceipt", transaction_hash)
        if not isinstance(receipt, dict):
            return Evidence(found=False)
        return Evidence(True, receipt.get("status") == "0x1", transfers_in_logs(receipt.get("logs")))

    async def pay_out(self, raw: str, transaction_hash: str, treasury: str) -> bool:
        """Have a signed transfer on the chain, filling its sender's account first if need be.

        Whether it is there. Sending it again does no harm. Raises `RpcError` if the node cannot be asked.
        """
        if (await self.evidence(transaction_hash)).succeeded:
            return True
        try:
            await self._rpc.send("eth_sendRawTransactionSync", raw, seconds=_SENDING)
        except RpcRefused:
            await self._rpc.send("tempo_fundAddress", treasury, seconds=_SENDING)
        return (await self.evidence(transaction_hash)).succeeded

    async def aclose(self) -> None:
        """Close the connections."""
        await self._rpc.aclose()


def _seen(log: JSONValue, transfer: Transfer) -> SeenTransfer:
    members: JSONObject = log if isinstance(log, dict) else {}
    return SeenTransfer(
        network=NETWORK,
        transaction_hash=str(members.get("transactionHash")),
        place=str(members.get("logIndex")),
        token=transfer.token,
        sender=transfer.sender or "",
        recipient=transfer.recipient,
        amount=transfer.amount,
    )


def _number(value: JSONValue) -> int:
    if not isinstance(value, str):
        raise RpcUnanswered("the node's answer is not a number")
    return int(value, 16)
