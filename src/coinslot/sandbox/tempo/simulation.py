"""Running a Tempo Transaction without sending it: `eth_call`, `eth_estimateGas`, `eth_fillTransaction`.

The node reads Tempo's fields in all three, but of a batch in `calls` it runs nothing. So

    one call    is handed to it as `to` and `data`, in a request that keeps the other fields
    several     the first likewise, for what the node has to say about nonce and validity; and all of them, in
                a row and without Tempo's fields, through `eth_simulateV1`
    a fee       goes before the calls in that row, as the transfer that it is
"""

from __future__ import annotations

import asyncio
from typing import Final

from coinslot.methods.tempo.keys import keccak256
from coinslot.protocol import JSONObject, JSONValue
from coinslot.sandbox.tempo.envelopes import encode_filled, envelope
from coinslot.sandbox.tempo.fees import Charge
from coinslot.sandbox.tempo.jsonrpc import EXECUTION_REVERTED, INTERNAL_ERROR, RPCError
from coinslot.sandbox.tempo.node import Node
from coinslot.sandbox.tempo.preflight import Preflight
from coinslot.sandbox.tempo.requests import TempoRequest, quantity, read_request
from coinslot.sandbox.tempo.sponsoring import FeePayerService

# The node estimates for a secp256k1 signature by the account's own key.
_MARGIN: Final = 10_000
_OTHER_SIGNATURE: Final = 100_000

# Of what was asked for, the node forgets these.
_FORGOTTEN: Final = (
    *("feeToken", "keyAuthorization", "maxFeePerGas", "maxPriorityFeePerGas"),
    *("validAfter", "validBefore"),
)


class Simulator:
    """Answers the three methods for Tempo Transactions, and leaves other transactions to the node."""

    def __init__(self, node: Node, chain_id: int, preflight: Preflight, service: FeePayerService) -> None:
        self._node = node
        self._chain_id = chain_id
        self._preflight = preflight
        self._service = service

    async def call(self, params: list[JSONValue]) -> JSONValue:
        """Answer `eth_call(request, block, …)`: what the last call returned."""
        request = read_request(params[0]) if params else None
        if request is None:
            return await self._node.call("eth_call", params)
        returned = await self._node.call("eth_call", [request.first_call(), *params[1:]])
        if len(request.calls) > 1:
            returned = (await self._run(request, params[1:]))[-1].get("returnData")
        # Only then the fee: that the price is missing says more than that the fee is.
        charge = await self._preflight.check(request, overrides=params[2:])
        if charge is not None:
            returned = (await self._run(request, params[1:], charge))[-1].get("returnData")
        return returned

    async def estimate_gas(self, params: list[JSONValue]) -> JSONValue:
        """Answer `eth_estimateGas(request, block, …)`."""
        request = read_request(params[0]) if params else None
        if request is None:
            return await self._node.call("eth_estimateGas", params)
        gas = await self._estimate(request, params[1:])
        await self._preflight.check(request, gas=gas, overrides=params[2:])
        return hex(gas)

    async def fill(self, params: list[JSONValue]) -> JSONValue:
        """Answer `eth_fillTransaction(request)`: the transaction, ready to sign, as `tx` and as `raw`.

        If it lacks nothing but a fee payer, the sandbox's own signs for it.
        """
        request = read_request(params[0]) if params else None
        if request is None:
            return await self._node.call("eth_fillTransaction", params)
        if self._service.is_asked(request):
            sponsored = self._service.fill(request)
            await self._estimate(request, [])  # Nobody pays for what fails.
            return sponsored
        filled, gas = await asyncio.gather(
            self._node.call("eth_fillTransaction", [request.first_call()]),
            self._estimate(request, []),
        )
        tx = filled.get("tx") if isinstance(filled, dict) else None
        if not isinstance(tx, dict):
            raise RPCError(INTERNAL_ERROR, "the node filled no transaction")
        tx |= {name: request.members[name] for name in _FORGOTTEN if request.members.get(name) is not None}
        tx["gas"] = request.members.get("gas") or hex(gas)
        tx["calls"] = request.shown_calls()
        complete = TempoRequest({**tx, "feePayer": request.members.get("feePayer")}, request.calls)
        raw = encode_filled(envelope(complete, self._chain_id))
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
        return gas + await self._preflight.authorizing_gas(request)

    async def _run(
        self, request: TempoRequest, rest: list[JSONValue], charge: Charge | None = None
    ) -> list[JSONObject]:
        """Each call's result, with the fee gone. Of an atomic batch any failure is an `RPCError`."""
        fee: list[JSONValue] = [] if charge is None else [charge.as_call()]
        block: JSONObject = {"calls": [*fee, *request.plain_calls()]}
        for name, overrides in zip(("stateOverrides", "blockOverrides"), rest[1:], strict=False):
            block[name] = overrides
        payload: JSONObject = {"blockStateCalls": [block], "validation": False}
        blocks = await self._node.call("eth_simulateV1", [payload, rest[0] if rest else "latest"])
        results = _results(blocks)
        for result in results:
            if result.get("status") != "0x1":
                raise RPCError(EXECUTION_REVERTED, "execution reverted", data=result.get("returnData"))
        return results[len(fee) :]


def _results(blocks: JSONValue) -> list[JSONObject]:
    """The results of the calls in the first simulated block. Raises `RPCError` if there are none."""
    block = blocks[0] if isinstance(blocks, list) and blocks else None
    results = block.get("calls") if isinstance(block, dict) else None
    if not isinstance(results, list) or not results:
        raise RPCError(INTERNAL_ERROR, "the node simulated nothing")
    return [result for result in results if isinstance(result, dict)]
