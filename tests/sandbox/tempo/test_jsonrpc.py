from __future__ import annotations

import json
from typing import Any

from hypothesis import given, strategies as st

from coinslot.protocol import JSONValue
from coinslot.sandbox.tempo.jsonrpc import MAX_BATCH, RPCError, respond

KNOWN_CODES = {-32700, -32600, -32602, -32603, 7}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)
request_like = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.sampled_from(["2.0", "1.0", None]),
        "id": json_values,
        "method": st.sampled_from(["echo", "refuse", "break"]) | json_values,
        "params": json_values,
    },
)


async def answer(method: str, params: list[JSONValue]) -> JSONValue:
    """A handler that echoes, refuses or breaks."""
    if method == "refuse":
        raise RPCError(7, "refused", data="0x01")
    if method == "break":
        raise ZeroDivisionError
    return params


async def ask(body: bytes) -> Any:
    said = await respond(body, answer)
    return None if said is None else json.loads(said)


async def test_a_call_is_answered_with_its_id() -> None:
    """A result carries the id of its request, whatever JSON number or string that is."""
    for identifier in (1, "a", 0, -5, 10**30, None):
        body = json.dumps({"jsonrpc": "2.0", "id": identifier, "method": "echo", "params": [1]}).encode()
        assert await ask(body) == {"jsonrpc": "2.0", "id": identifier, "result": [1]}


async def test_an_error_carries_code_message_and_data() -> None:
    """What a handler refuses with reaches the caller whole."""
    said = await ask(b'{"jsonrpc":"2.0","id":1,"method":"refuse"}')
    assert said == {"jsonrpc": "2.0", "id": 1, "error": {"code": 7, "message": "refused", "data": "0x01"}}


async def test_a_broken_handler_is_an_internal_error_without_its_details() -> None:
    """An exception inside becomes -32603 and says nothing of the inside."""
    said = await ask(b'{"jsonrpc":"2.0","id":1,"method":"break"}')
    assert said == {
        "jsonrpc": "2.0",
        "id": 1,
        "error": {"code": -32603, "message": "the sandbox failed; its log says how"},
    }


async def test_a_batch_is_answered_in_order_without_its_notifications() -> None:
    """Each request of a batch has its answer, in order; notifications and junk are told apart."""
    batch = [
        {"jsonrpc": "2.0", "id": 1, "method": "echo", "params": ["a"]},
        {"jsonrpc": "2.0", "method": "echo"},
        5,
        {"jsonrpc": "2.0", "id": 2, "method": "refuse"},
    ]
    said = await ask(json.dumps(batch).encode())
    assert isinstance(said, list)
    assert [(each["id"], each.get("error", {}).get("code")) for each in said] == [
        (1, None),
        (None, -32600),
        (2, 7),
    ]


async def test_notifications_alone_are_not_answered() -> None:
    """A body that asks for no answer gets none."""
    assert await ask(b'{"jsonrpc":"2.0","method":"echo"}') is None
    assert await ask(b'[{"jsonrpc":"2.0","method":"echo"}]') is None


async def test_empty_and_oversized_batches_are_invalid() -> None:
    """A batch of none is invalid (JSON-RPC 2.0 §6), and so is one of too many, as a whole."""
    one = b'{"jsonrpc":"2.0","id":1,"method":"echo"}'
    for body in (b"[]", b"[" + b",".join([one] * (MAX_BATCH + 1)) + b"]"):
        said = await ask(body)
        assert isinstance(said, dict)
        assert said["error"]["code"] == -32600


@given(st.binary(max_size=200))
async def test_any_bytes_are_answered(body: bytes) -> None:
    """Arbitrary bytes give a well-formed answer with a standard code, and never an exception."""
    said = await ask(body)
    for each in said if isinstance(said, list) else [said]:
        assert each is None or each["error"]["code"] in KNOWN_CODES


@given(st.one_of(request_like, json_values, st.lists(request_like, max_size=4)))
async def test_any_json_is_answered(content: object) -> None:
    """Arbitrary JSON, shaped like requests or not, gives well-formed answers only."""
    said = await ask(json.dumps(content).encode())
    for each in said if isinstance(said, list) else [said]:
        assert each is None or "result" in each or each["error"]["code"] in KNOWN_CODES
