"""Running a Tempo Transaction without sending it: `eth_call`, `eth_estimateGas`, `eth_fillTransaction`.

The node reads Tempo's fields in all three, but of a batch in `calls` it runs nothing. So

    one call    is handed to it as `to` and `data`, in a request that keeps the other fields
    several     the first likewise, for what the node has to say about nonce and validity; and all of them, in
                a row and without Tempo's fields, through `eth_simulateV1`

Fees are left out: the node would look for a native balance, which Tempo does not have. So a simulation does
not find that the fee cannot be paid. Sending does.
"""

from __future__ import annotations

import asyncio
from typing import Final

from coinslot.methods.tempo.keys import AddressError, keccak256, parse_address
from coinslot.methods.tempo.wire import Call, Transaction, TransactionError
from coinslot.protocol import JSONObject, JSONValue
from coinslot.sandbox.tempo.jsonrpc import EXECUTION_REVERTED, INTERNAL_ERROR, RPCError, invalid_params
from coinslot.sandbox.tempo.node import Node
from coinslot.sandbox.tempo.requests import TempoRequest, quantity, read_request

# The node estimates for a secp256k1 signature by the account's own key.
_MARGIN: Final = 10_000
_OTHER_SIGNATURE: Final = 100_000
_KEY_AUTHORIZATION: Final = 1_500_000

# What an unsigned transaction ends with in the node's answers.
_NO_SIGNATURE: Final = bytes(64) + b"\x1b"


class Simulator:
    """Answers the three methods for Tempo Transactions, and leaves other transactions to the node."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def call(self, params: list[JSONValue]) -> JSONValue:
        """Answer `eth_call(request, block, …)`: what the last call returned."""
        request = read_request(params[0]) if params else None
        if request is None:
            return await self._node.call("eth_call", params)
        returned = await self._node.call("eth_call", [request.first_call(), *params[1:]])
        if len(request.calls) == 1:
            return returned
        return (await self._run(request, params[1:]))[-1].get("returnData")

    async def estimate_gas(self, params: list[JSONValue]) -> JSONValue:
        """Answer `eth_estimateGas(request, block, …)`."""
        request = read_request(params[0]) if params else None
        if request is None:
            return await self._node.call("eth_estimateGas", params)
        return hex(await self._estimate(request, params[1:]))

    async def fill(self, params: list[JSONValue]) -> JSONValue:
        """Answer `eth_fillTransaction(request)`: the transaction, ready to sign, as `tx` and as `raw`."""
        request = read_request(params[0]) if params else None
        if request is None:
            return await self._node.call("eth_fillTransaction", params)
        filled, gas = await asyncio.gather(
            self._node.call("eth_fillTransaction", [request.first_call()]),
            self._estimate(request, []),
        )
        tx = filled.get("tx") if isinstance(filled, dict) else None
        if not isinstance(tx, dict):
            raise RPCError(INTERNAL_ERROR, "the node filled no transaction")
        # The node forgets these.
        kept = ("feeToken", "maxFeePerGas", "maxPriorityFeePerGas", "validAfter", "validBefore")
        tx |= {name: request.members[name] for name in kept if request.members.get(name) is not None}
        tx["gas"] = request.members.get("gas") or hex(gas)
        tx["calls"] = [_shown(call) for call in request.calls]
        raw = _encode(tx, request)
        tx["hash"] = "0x" + keccak256(raw).hex()
        return {"raw": "0x" + raw.hex(), "tx": tx}

    async def _estimate(self, request: TempoRequest, rest: list[JSONValue]) -> int:
        """Gas for the whole batch: what the first takes in Tempo's form, and the others beside it."""
        gas = quantity(
            await self._node.call("eth_estimateGas", [request.first_call(), *rest]), "the node's estimate"
        )
        if gas is None:
            raise RPCError(INTERNAL_ERROR, "the node estimated nothing")
        if len(request.calls) > 1:
            used = [
                quantity(result.get("gasUsed"), "gasUsed") or 0 for result in await self._run(request, rest)
            ]
            gas += sum(used[1:])
        gas += _MARGIN
        if request.members.get("keyId") or request.members.get("keyType") not in (None, "secp256k1"):
            gas += _OTHER_SIGNATURE
        if request.members.get("keyAuthorization"):
            gas += _KEY_AUTHORIZATION
        return gas

    async def _run(self, request: TempoRequest, rest: list[JSONValue]) -> list[JSONObject]:
        """Each call's result. Of an atomic batch any failure is the answer: an `RPCError` with its data."""
        block: JSONObject = {"calls": request.plain_calls()}
        for name, overrides in zip(("stateOverrides", "blockOverrides"), rest[1:], strict=False):
            block[name] = overrides
        payload: JSONObject = {"blockStateCalls": [block], "validation": False}
        blocks = await self._node.call("eth_simulateV1", [payload, rest[0] if rest else "latest"])
        results = _results(blocks)
        for result in results:
            if result.get("status") != "0x1":
                raise RPCError(EXECUTION_REVERTED, "execution reverted", data=result.get("returnData"))
        return results


def _results(blocks: JSONValue) -> list[JSONObject]:
    """The results of the calls in the first simulated block. Raises `RPCError` if there are none."""
    block = blocks[0] if isinstance(blocks, list) and blocks else None
    results = block.get("calls") if isinstance(block, dict) else None
    if not isinstance(results, list) or not results:
        raise RPCError(INTERNAL_ERROR, "the node simulated nothing")
    return [result for result in results if isinstance(result, dict)]


def _shown(call: JSONObject) -> JSONObject:
    return {
        "to": call.get("to"),
        "value": call.get("value", "0x0"),
        "input": call["data"],
        "data": call["data"],
    }


def _encode(tx: JSONObject, request: TempoRequest) -> bytes:
    """The filled transaction's envelope, with an empty signature."""
    sponsored = request.members.get("feePayer") is True
    try:
        return Transaction(
            chain_id=quantity(tx.get("chainId"), "chainId") or 0,
            max_priority_fee_per_gas=quantity(tx.get("maxPriorityFeePerGas"), "maxPriorityFeePerGas") or 0,
            max_fee_per_gas=quantity(tx.get("maxFeePerGas"), "maxFeePerGas") or 0,
            gas_limit=quantity(tx.get("gas"), "gas") or 0,
            calls=tuple(_encodable(call) for call in request.calls),
            nonce_key=quantity(tx.get("nonceKey"), "nonceKey") or 0,
            nonce=quantity(tx.get("nonce"), "nonce") or 0,
            valid_before=quantity(tx.get("validBefore"), "validBefore") or None,
            valid_after=quantity(tx.get("validAfter"), "validAfter") or None,
            fee_token=_address(tx.get("feeToken")),
            fee_payer_signature=b"\x00" if sponsored else None,
            signature=_NO_SIGNATURE,
        ).encode()
    except (TransactionError, AddressError, ValueError) as error:
        invalid_params(str(error))


def _encodable(call: JSONObject) -> Call:
    data = call["data"]
    assert isinstance(data, str)
    return Call(
        to=_address(call.get("to")),
        value=quantity(call.get("value"), "value") or 0,
        data=bytes.fromhex(data.removeprefix("0x")),
    )


def _address(text: JSONValue) -> bytes | None:
    if text is None:
        return None
    if not isinstance(text, str):
        invalid_params("an address is a string")
    return parse_address(text)
