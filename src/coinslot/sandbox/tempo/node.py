"""The node behind the front: JSON-RPC calls to anvil."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Final, cast

import httpx2
import msgspec

from coinslot.protocol import JSONValue
from coinslot.sandbox.tempo.jsonrpc import INTERNAL_ERROR, RPCError

_TIMEOUT: Final = 60.0
_CONNECTIONS: Final = 512
"""Each transaction that waits for its receipt holds one."""

_ATTEMPTS: Final = 10
_OUT_OF_RANGE: Final = re.compile(r"BlockOutOfRangeError: block height is \d+ but requested was (\d+)")


class _Error(msgspec.Struct):
    code: int = INTERNAL_ERROR
    message: str = "the node gave no reason"
    data: object = None


class _Answer(msgspec.Struct):
    result: object = None
    error: _Error | None = None


_decoder = msgspec.json.Decoder(_Answer)


class Node:
    """Calls to the node at `url`. `why_stopped` says why it no longer answers, if it is known.

    Use it as an asynchronous context manager, or call `aclose`.
    """

    def __init__(self, url: str, *, why_stopped: Callable[[], str | None] = lambda: None) -> None:
        self._url = url
        self._why_stopped = why_stopped
        limits = httpx2.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=64)
        # On the loopback interface there are neither proxies nor TLS, whose context takes a while to build.
        self._http = httpx2.AsyncClient(timeout=_TIMEOUT, limits=limits, trust_env=False, verify=False)

    async def call(self, method: str, params: list[JSONValue]) -> JSONValue:
        """The result of `method`. Raises `RPCError`: the node's own, or -32603 if it did not answer."""
        for _ in range(_ATTEMPTS - 1):
            try:
                return await self._call(method, params)
            except RPCError as error:
                if not _was_overtaken(error, params):
                    raise
        return await self._call(method, params)

    async def _call(self, method: str, params: list[JSONValue]) -> JSONValue:
        # Not msgspec: it has no integers beyond 64 bits.
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        try:
            response = await self._http.post(
                self._url, content=body, headers={"content-type": "application/json"}
            )
            answer = _decoder.decode(response.content)
        except httpx2.HTTPError as error:
            raise await self._silence(error) from error
        except (msgspec.DecodeError, RecursionError) as error:
            raise RPCError(INTERNAL_ERROR, f"the node's answer to {method} is not JSON-RPC") from error
        if answer.error is not None:
            raise RPCError(answer.error.code, answer.error.message, cast(JSONValue, answer.error.data))
        return cast(JSONValue, answer.result)

    async def now(self) -> int:
        """The latest block's time; not the clock's, which tests may have moved the chain away from."""
        block = await self.call("eth_getBlockByNumber", ["latest", False])
        timestamp = block.get("timestamp") if isinstance(block, dict) else None
        if not isinstance(timestamp, str):
            raise RPCError(INTERNAL_ERROR, "the node has no latest block")
        return int(timestamp, 16)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _silence(self, error: httpx2.HTTPError) -> RPCError:
        # The connection breaks a moment before the process is known to be gone.
        for _ in range(10):
            if (reason := self._why_stopped()) is not None:
                return RPCError(INTERNAL_ERROR, f"the sandbox's node has stopped: {reason}")
            await asyncio.sleep(0.02)
        return RPCError(INTERNAL_ERROR, f"the sandbox's node did not answer ({type(error).__name__})")


def _was_overtaken(error: RPCError, params: list[JSONValue]) -> bool:
    """Whether a block was mined between the node's looking up which is the latest and its reading that.

    It keeps the latest state only (`--prune-history`). A caller who named the older block gets the error.
    """
    found = _OUT_OF_RANGE.match(str(error))
    return found is not None and hex(int(found[1])) not in params
