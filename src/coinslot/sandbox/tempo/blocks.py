"""Simulating several transactions at once: `eth_simulateV1` and `tempo_simulateV1`.

The node's `eth_simulateV1` crashes on Tempo Transactions. So each is taken apart into its calls, with its fee
before them, and what those gave is put together again: one result for each transaction that was asked for.
"""

from __future__ import annotations

import asyncio
from typing import Final, TypeGuard

import msgspec

from coinslot.methods.tempo.keys import keccak256
from coinslot.protocol import JSONObject, JSONValue
from coinslot.sandbox.tempo.fees import Charge
from coinslot.sandbox.tempo.jsonrpc import INTERNAL_ERROR, RPCError, invalid_params
from coinslot.sandbox.tempo.node import Node
from coinslot.sandbox.tempo.preflight import Preflight
from coinslot.sandbox.tempo.requests import TempoRequest, quantity, read_request

_TIP20_PREFIX: Final = "0x20c000000000000000000000"
_TRANSFER_TOPIC: Final = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
_METADATA: Final = {
    name: "0x" + keccak256(f"{name}()".encode())[:4].hex() for name in ("name", "symbol", "currency")
}


class _Log(msgspec.Struct):
    address: str
    topics: list[str] = []


class _Call(msgspec.Struct):
    logs: list[_Log] = []


class _Block(msgspec.Struct):
    calls: list[_Call] = []


class _Planned(msgspec.Struct, frozen=True):
    """A transaction to simulate: how it was asked for, and what it is as plain calls."""

    request: TempoRequest | JSONObject
    charge: Charge | None = None

    def calls(self) -> list[JSONValue]:
        if not isinstance(self.request, TempoRequest):
            return [self.request]
        fee: list[JSONValue] = [] if self.charge is None else [self.charge.as_call()]
        return fee + self.request.plain_calls()


class BlockSimulator:
    """Answers the two simulations, and leaves payloads without Tempo Transactions to the node."""

    def __init__(self, node: Node, preflight: Preflight) -> None:
        self._node = node
        self._preflight = preflight

    async def simulate(self, params: list[JSONValue]) -> JSONValue:
        """Answer `eth_simulateV1(payload, block)`: the simulated blocks."""
        payload = params[0] if params else None
        blocks = payload.get("blockStateCalls") if isinstance(payload, dict) else None
        if not isinstance(payload, dict) or not isinstance(blocks, list):
            invalid_params("an object with an array of blockStateCalls is expected")
        transactions = [_read_block(block) for block in blocks]
        if not any(isinstance(each, TempoRequest) for block in transactions for each in block):
            return await self._node.call("eth_simulateV1", params)
        plans = [await self._plan(block, each) for block, each in zip(blocks, transactions, strict=True)]
        flat: list[JSONValue] = [
            {**block, "calls": [call for planned in plan for call in planned.calls()]}
            for block, plan in zip(blocks, plans, strict=True)
            if isinstance(block, dict)
        ]
        # Validation would look for a native balance, which Tempo does not have.
        payload = {**payload, "blockStateCalls": flat, "validation": False}
        simulated = await self._node.call("eth_simulateV1", [payload, *params[1:]])
        if not isinstance(simulated, list) or len(simulated) != len(plans):
            raise RPCError(INTERNAL_ERROR, "the node simulated another number of blocks")
        return [_fold(block, plan) for block, plan in zip(simulated, plans, strict=True)]

    async def tempo_simulate(self, params: list[JSONValue]) -> JSONValue:
        """Answer `tempo_simulateV1(payload, block)`: the blocks, and what the tokens in them are called."""
        blocks = await self.simulate(params)
        tokens = sorted(_tokens(params[0] if params else None) | _moved(blocks))
        described = await asyncio.gather(*(self._describe(token) for token in tokens))
        metadata: JSONObject = {
            token: description
            for token, description in zip(tokens, described, strict=True)
            if description is not None
        }
        return {"blocks": blocks, "tokenMetadata": metadata}

    async def _plan(self, block: JSONValue, requests: list[TempoRequest | JSONObject]) -> list[_Planned]:
        """How to simulate a block's transactions. Fees are checked on the latest state."""
        overrides = block.get("stateOverrides") if isinstance(block, dict) else None
        return [
            _Planned(each, await self._preflight.check(each, overrides=[overrides] if overrides else []))
            if isinstance(each, TempoRequest)
            else _Planned(each)
            for each in requests
        ]

    async def _describe(self, token: str) -> JSONObject | None:
        async def read(selector: str) -> str:
            returned = await self._node.call("eth_call", [{"to": token, "data": selector}, "latest"])
            return _abi_string(returned)

        try:
            texts = await asyncio.gather(*(read(selector) for selector in _METADATA.values()))
        except RPCError:
            return None  # As a node does: what is no token has no metadata.
        return dict(zip(_METADATA, texts, strict=True))


def _read_block(block: JSONValue) -> list[TempoRequest | JSONObject]:
    calls = block.get("calls", []) if isinstance(block, dict) else None
    if not isinstance(calls, list):
        invalid_params("a block's calls are an array")
    requests: list[TempoRequest | JSONObject] = []
    for call in calls:
        if not isinstance(call, dict):
            invalid_params("a call is an object")
        requests.append(read_request(call) or call)
    return requests


def _fold(block: JSONValue, plan: list[_Planned]) -> JSONValue:
    """The block with one result for each request."""
    results = block.get("calls") if isinstance(block, dict) else None
    if not isinstance(block, dict) or not isinstance(results, list):
        raise RPCError(INTERNAL_ERROR, "the node simulated a block without results")
    now = quantity(block.get("timestamp"), "timestamp") or 0
    folded: list[JSONValue] = []
    for planned in plan:
        size = len(planned.calls())
        own, results = results[:size], results[size:]
        if isinstance(planned.request, TempoRequest):
            _check_window(planned.request, now)
            folded.append(_combine([result for result in own if isinstance(result, dict)], planned.charge))
        else:
            folded += own
    return {**block, "calls": folded}


def _combine(results: list[JSONObject], charge: Charge | None) -> JSONObject:
    """A batch's result: the first failure, with nothing logged, or the last call's with all that was.

    The fee's own transfer does not count: a chain moves that one without a call.
    """
    if charge is not None and results[0].get("status") == "0x1":
        results = results[1:]
    gas = sum(quantity(result.get("gasUsed"), "gasUsed") or 0 for result in results)
    failed = next((result for result in results if result.get("status") != "0x1"), None)
    if failed is not None:
        return {**failed, "gasUsed": hex(gas), "logs": []}
    logs: list[JSONValue] = []
    for result in results:
        own = result.get("logs")
        logs += own if isinstance(own, list) else []
    return {**results[-1], "gasUsed": hex(gas), "logs": logs}


def _check_window(request: TempoRequest, now: int) -> None:
    before, after = request.quantity("validBefore"), request.quantity("validAfter")
    if before is not None and now >= before:
        raise _invalid(f"transaction expired: current block timestamp {now} >= validBefore {before}")
    if after is not None and now < after:
        raise _invalid(f"transaction not valid yet: current block timestamp {now} < validAfter {after}")


def _invalid(reason: str) -> RPCError:
    """The error that the node has for it in `eth_call`."""
    return RPCError(INTERNAL_ERROR, f"tempo transaction error: {reason}")


def _tokens(payload: JSONValue) -> set[str]:
    """The tokens that a payload's calls address, or would pay fees in."""
    blocks = payload.get("blockStateCalls") if isinstance(payload, dict) else None
    requests = [each for block in blocks for each in _read_block(block)] if isinstance(blocks, list) else []
    addresses: list[JSONValue] = []
    for request in requests:
        members = request.members if isinstance(request, TempoRequest) else request
        calls = request.calls if isinstance(request, TempoRequest) else (request,)
        addresses += [members.get("feeToken"), *(call.get("to") for call in calls)]
    return {address.lower() for address in addresses if _is_token(address)}


def _moved(blocks: JSONValue) -> set[str]:
    """The tokens whose transfers were logged."""
    simulated = msgspec.convert(blocks, list[_Block])
    logs = [log for block in simulated for call in block.calls for log in call.logs]
    return {
        log.address.lower() for log in logs if _is_token(log.address) and log.topics[:1] == [_TRANSFER_TOPIC]
    }


def _is_token(address: JSONValue) -> TypeGuard[str]:
    return isinstance(address, str) and address.lower().startswith(_TIP20_PREFIX)


def _abi_string(returned: JSONValue) -> str:
    """A string as Solidity's ABI returns it: offset, length, bytes. Raises `RPCError` if it is none."""
    try:
        data = bytes.fromhex(str(returned).removeprefix("0x"))
        return data[64 : 64 + int.from_bytes(data[32:64])].decode()
    except ValueError as error:
        raise RPCError(INTERNAL_ERROR, "not a string") from error
