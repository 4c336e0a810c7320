"""JSON-RPC 2.0 over HTTP, to one node, with an answer to the question that money asks: was it sent?

    RpcError
    ├── RpcUnreachable     the request certainly did not get to the node
    ├── RpcUnanswered      it may have, and no usable answer came back
    │   ├── RpcTooLong     but one that is of no use for its length
    │   └── RpcTimeout     nor anything else within the time there was
    └── RpcRefused         the node answered with an error: `code`, `reason`, `data`

What only reads is tried again after a failure that a moment may mend. What sends is tried once: only the
caller knows how to find out what became of it. No error quotes what was sent, and what a node says is quoted
trimmed and without long words, since nodes like to quote transactions.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from ipaddress import ip_address
from typing import Final, TypeAlias

import msgspec

from coinslot.errors import CoinslotError, ConfigurationError, MalformedJSON
from coinslot.protocol import JSONObject, JSONValue, strict_json

try:
    import httpx2
except ImportError as error:
    raise ImportError("Tempo needs httpx2, which is not installed: pip install 'coinslot[tempo]'") from error

MAX_ANSWER: Final = 4 * 1024 * 1024
"""Bytes of an answer that are read. A full block of a busy chain has a few hundred thousand."""

METHOD_NOT_FOUND: Final = -32601

RpcCall: TypeAlias = tuple[str, list[JSONValue]]
"""A method and its parameters."""

_CONNECT_TIMEOUT: Final = 3.0
_PAUSES: Final = (0.1, 0.4)  # seconds before the second and the third attempt to read

# A proxy that answers with one of these has not passed the request on.
_NOT_PASSED_ON: Final = frozenset({401, 403, 404, 405, 413, 429})

_LONG_WORD: Final = re.compile(r"[0-9a-fA-F]{65,}|[\w+/=-]{67,}")  # a hash has 64 digits, and perhaps `0x`
_REASON_LIMIT: Final = 200


class RpcError(CoinslotError):
    """A call to a node that brought no result."""


class RpcUnreachable(RpcError):
    """The request certainly did not get to the node."""


class RpcUnanswered(RpcError):
    """The request may have got to the node, and no usable answer came back."""


class RpcTooLong(RpcUnanswered):
    """The answer is longer than one that is of any use."""


class RpcTimeout(RpcUnanswered):
    """No answer within the time there was."""


class RpcRefused(RpcError):
    """The node answered with an error: `reason` is its message, trimmed, and `data` its data, if hex."""

    def __init__(self, method: str, code: int, message: str, data: bytes = b"") -> None:
        self.code = code
        self.reason = _presentable(message)
        self.data = data
        super().__init__(f"{method}: {self.reason} ({code})")


class _BatchRefused(Exception):
    """The node answered a batch with something that is no batch of answers."""


class Rpc:
    """A connection pool to one node. Each event loop that uses it gets connections of its own."""

    def __init__(self, url: str, *, timeout: float = 10.0, headers: Mapping[str, str] | None = None) -> None:
        """`url` is http or https; `timeout` is the most seconds that a read takes, with all its attempts.

        `headers` go with every request. Raises `ConfigurationError` if `url` is no such URL.
        """
        self._url = _parse(url)
        self.host = self._url.host
        self._timeout = timeout
        self._headers = dict(headers or {})
        self._ids = itertools.count(1)
        self._takes_batches = True
        # Those that send wait for blocks. They have connections of their own, so that reading does not wait.
        self._clients: dict[tuple[asyncio.AbstractEventLoop, bool], httpx2.AsyncClient] = {}

    def __repr__(self) -> str:
        # Providers put their customer's key into the URL, so only the host is shown, here and in errors.
        return f"Rpc({self.host!r})"

    async def read(self, method: str, *params: JSONValue, limit: int | None = None) -> JSONValue:
        """The result of a method that changes nothing, of at most `limit` bytes. Raises `RpcError`."""
        (result,) = await self._read([(method, list(params))], limit)
        if isinstance(result, RpcRefused):
            raise result
        return result

    async def read_all(self, *calls: RpcCall) -> list[JSONValue | RpcRefused]:
        """The results of several such methods, in one request if the node takes batches.

        Where the node refuses one, the `RpcRefused` stands in its place. Raises any other `RpcError`.
        """
        if self._takes_batches:
            try:
                return await self._read(list(calls))
            except _BatchRefused:
                self._takes_batches = False
        results = await asyncio.gather(*(self._read([call]) for call in calls))
        return [result for (result,) in results]

    async def send(self, method: str, *params: JSONValue, seconds: float) -> JSONValue:
        """The result of a method that changes something: one attempt, of at most so many seconds.

        Raises `RpcError`, and `RpcUnreachable` only if the node cannot have got it.
        """
        async with self._deadline(seconds):
            (result,) = await self._attempt([(method, list(params))], sends=True)
        if isinstance(result, RpcRefused):
            raise result
        return result

    async def aclose(self) -> None:
        """Close the connections of every event loop that still runs."""
        here = asyncio.get_running_loop()
        clients, self._clients = self._clients, {}
        for (loop, _), client in clients.items():
            if loop is here:
                await client.aclose()
            elif loop.is_running():
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(client.aclose(), loop))

    async def _read(self, calls: list[RpcCall], limit: int | None = None) -> list[JSONValue | RpcRefused]:
        async with self._deadline(self._timeout):
            for pause in _PAUSES:
                try:
                    return await self._attempt(calls, limit)
                except RpcTooLong:
                    raise
                except (RpcUnreachable, RpcUnanswered):
                    await asyncio.sleep(pause)
            return await self._attempt(calls, limit)

    async def _attempt(
        self, calls: list[RpcCall], limit: int | None = None, *, sends: bool = False
    ) -> list[JSONValue | RpcRefused]:
        requests: list[JSONObject] = [
            {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
            for method, params in calls
        ]
        content = msgspec.json.encode(requests if len(requests) > 1 else requests[0])
        status, body = await self._post(content, limit or MAX_ANSWER, sends=sends)
        try:
            return _results(requests, strict_json(body, limit=MAX_ANSWER))
        except MalformedJSON as error:
            if 200 <= status < 300:
                raise RpcUnanswered(f"the node at {self.host} gave an answer that is not JSON-RPC") from error
        trouble = f"the node at {self.host} answered with HTTP status {status}"
        raise (RpcUnreachable if status in _NOT_PASSED_ON else RpcUnanswered)(trouble)

    async def _post(self, content: bytes, limit: int, *, sends: bool) -> tuple[int, bytes]:
        """One HTTP exchange: the status and the body. The caller sets the time limit."""
        body = bytearray()
        try:
            async with self._request(content, sends=sends) as response:
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > limit:
                        raise RpcTooLong(f"the node at {self.host} answers with more than {limit} bytes")
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise RpcUnreachable(f"the node at {self.host} cannot be reached") from error
        except httpx2.HTTPError as error:
            raise RpcUnanswered(f"the connection to the node at {self.host} broke") from error
        return response.status_code, bytes(body)

    def _request(self, content: bytes, *, sends: bool) -> AbstractAsyncContextManager[httpx2.Response]:
        # httpx2 logs the URLs of its requests; what is secret in this one goes beside it.
        origin = self._url.copy_with(userinfo=b"", raw_path=b"/")
        auth = httpx2.BasicAuth(self._url.username, self._url.password) if self._url.userinfo else None
        return self._client(sends=sends).stream(
            "POST", origin, content=content, auth=auth, extensions={"target": self._url.raw_path}
        )

    def _client(self, *, sends: bool) -> httpx2.AsyncClient:
        key = asyncio.get_running_loop(), sends
        client = self._clients.get(key)
        if client is None:
            # A loop that has ended took its connections with it.
            for ended in [known for known in list(self._clients) if known[0].is_closed()]:
                self._clients.pop(ended, None)
            client = self._clients[key] = httpx2.AsyncClient(
                headers={
                    **self._headers,
                    "content-type": "application/json",
                    "accept-encoding": "identity",
                },
                timeout=httpx2.Timeout(None, connect=_CONNECT_TIMEOUT, pool=_CONNECT_TIMEOUT),
                # Proxies are for what is elsewhere.
                trust_env=not _is_loopback(self.host),
            )
        return client

    @asynccontextmanager
    async def _deadline(self, seconds: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            raise RpcTimeout(f"the node at {self.host} did not answer within {seconds:g} s") from error


def _parse(url: str) -> httpx2.URL:
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        parsed = httpx2.URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigurationError("rpc_url has to be the http or https URL of a Tempo node")
    return parsed


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _results(requests: list[JSONObject], body: JSONValue) -> list[JSONValue | RpcRefused]:
    """What the node answered to each request. Raises `MalformedJSON` if it is no answer to them."""
    if len(requests) == 1:
        return [_result(requests[0], body)]
    if isinstance(body, dict):
        raise _BatchRefused
    if not isinstance(body, list):
        raise MalformedJSON("neither an answer nor a batch of them")
    answers = {answer.get("id"): answer for answer in body if isinstance(answer, dict) and _has_id(answer)}
    return [_result(request, answers.get(request["id"])) for request in requests]


def _has_id(answer: JSONObject) -> bool:
    number = answer.get("id")
    return isinstance(number, int) and not isinstance(number, bool)


def _result(request: JSONObject, answer: JSONValue) -> JSONValue | RpcRefused:
    if not isinstance(answer, dict):
        raise MalformedJSON("no answer to a request")
    error = answer.get("error")
    # A node that could not read the request answers without its id.
    if answer.get("id") != request["id"] and not (error is not None and answer.get("id") is None):
        raise MalformedJSON("the answer to another request")
    if error is None:
        if "result" not in answer:
            raise MalformedJSON("neither a result nor an error")
        return answer["result"]
    if not isinstance(error, dict):
        raise MalformedJSON("an error that is not an object")
    code, message = error.get("code"), error.get("message")
    if not isinstance(code, int) or not isinstance(message, str):
        raise MalformedJSON("an error without a code and a message")
    return RpcRefused(str(request["method"]), code, message, _hex(error.get("data")))


def _hex(data: JSONValue) -> bytes:
    if not isinstance(data, str) or not data.startswith("0x"):
        return b""
    try:
        return bytes.fromhex(data[2:])
    except ValueError:
        return b""


def _presentable(message: str) -> str:
    """What of a node's message may be shown: one line, no long words, not much of it."""
    line = " ".join("".join(char if char.isprintable() else " " for char in message).split())
    return _LONG_WORD.sub("…", line)[:_REASON_LIMIT]
