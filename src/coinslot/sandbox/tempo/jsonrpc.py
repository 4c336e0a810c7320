"""JSON-RPC 2.0 over HTTP bodies: what comes in, what goes out, and the errors between.

A body is one request or a batch of them. Reading is total: any bytes give answers.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn, TypeAlias

from coinslot.errors import CoinslotError, MalformedJSON
from coinslot.protocol import JSONObject, JSONValue, strict_json

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
EXECUTION_REVERTED: Final = 3
CONFIRMATION_TIMEOUT: Final = 4
"""EIP-7966: the transaction was sent, and not confirmed in the time the caller gave."""
ALREADY_KNOWN: Final = -32000
TRANSACTION_REJECTED: Final = -32003
METHOD_NOT_SUPPORTED: Final = -32004

MAX_BODY: Final = 2 * 1024 * 1024
"""Bytes of one HTTP body; the node's own limit."""
MAX_BATCH: Final = 500
"""Requests in one batch."""

_CONCURRENCY: Final = 16

logger = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[str, list[JSONValue]], Awaitable[JSONValue]]
"""Answers one method with its parameters; raises `RPCError`."""


class RPCError(CoinslotError):
    """An error as JSON-RPC tells it: `code`, the message, and `data`, usually a revert's bytes in hex."""

    def __init__(self, code: int, message: str, data: JSONValue = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data

    def to_json(self) -> JSONObject:
        """The `error` member of a response."""
        error: JSONObject = {"code": self.code, "message": str(self)}
        if self.data is not None:
            error["data"] = self.data
        return error


async def respond(body: bytes, handler: Handler) -> bytes | None:
    """Answer a body. None means that there is nothing to say: it held notifications only."""
    try:
        content = strict_json(body, limit=MAX_BODY)
    except MalformedJSON as error:
        return _dump(_failure(None, RPCError(PARSE_ERROR, f"Parse error: {error}")))
    if not isinstance(content, list):
        answer = await _respond_to_one(content, handler)
        return None if answer is None else _dump(answer)
    if not 0 < len(content) <= MAX_BATCH:
        problem = f"Invalid request: a batch has from 1 to {MAX_BATCH} requests, not {len(content)}"
        return _dump(_failure(None, RPCError(INVALID_REQUEST, problem)))
    gate = asyncio.Semaphore(_CONCURRENCY)

    async def respond_in_turn(request: JSONValue) -> JSONObject | None:
        async with gate:
            return await _respond_to_one(request, handler)

    answers = await asyncio.gather(*(respond_in_turn(request) for request in content))
    said = [answer for answer in answers if answer is not None]
    return _dump(said) if said else None


async def _respond_to_one(request: JSONValue, handler: Handler) -> JSONObject | None:
    identifier = request.get("id") if isinstance(request, dict) else None
    if isinstance(identifier, list | dict | bool):
        identifier = None
    try:
        method, params = _read(request)
    except RPCError as error:
        return _failure(identifier, error)
    answer: JSONObject
    try:
        answer = {"jsonrpc": "2.0", "id": identifier, "result": await handler(method, params)}
    except RPCError as error:
        answer = _failure(identifier, error)
    except Exception:
        # The outermost edge: whatever a request does, its caller gets an answer and the others go on.
        logger.exception("a call of %s failed inside the sandbox", method)
        answer = _failure(identifier, RPCError(INTERNAL_ERROR, "the sandbox failed; its log says how"))
    # Without an id it was a notification, which is never answered (JSON-RPC 2.0 §4.1).
    return answer if isinstance(request, dict) and "id" in request else None


def _read(request: JSONValue) -> tuple[str, list[JSONValue]]:
    if not isinstance(request, dict):
        raise RPCError(INVALID_REQUEST, "Invalid request: not an object")
    if isinstance(request.get("id"), list | dict | bool):
        raise RPCError(INVALID_REQUEST, "Invalid request: the id is neither a string nor a number")
    if request.get("jsonrpc", "2.0") != "2.0":
        raise RPCError(INVALID_REQUEST, "Invalid request: jsonrpc is not 2.0")
    method, params = request.get("method"), request.get("params")
    if not isinstance(method, str):
        raise RPCError(INVALID_REQUEST, "Invalid request: no method")
    if not isinstance(params, list | None):
        invalid_params("an array is expected")
    return method, params or []


def invalid_params(problem: str) -> NoReturn:
    """Refuse the parameters of a call, saying why."""
    raise RPCError(INVALID_PARAMS, f"Invalid params: {problem}")


def _failure(identifier: JSONValue, error: RPCError) -> JSONObject:
    return {"jsonrpc": "2.0", "id": identifier, "error": error.to_json()}


def _dump(content: object) -> bytes:
    # Not msgspec: it has no integers beyond 64 bits, and a caller's id may be one.
    return json.dumps(content, separators=(",", ":")).encode()
