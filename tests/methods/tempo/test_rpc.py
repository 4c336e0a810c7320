from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import threading
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from coinslot.errors import ConfigurationError
from coinslot.methods.tempo import rpc as rpc_module
from coinslot.methods.tempo.rpc import Rpc, RpcRefused, RpcTimeout, RpcUnanswered, RpcUnreachable
from coinslot.protocol import JSONObject
from faulty_node import FaultyNode, answers, drops, first, forwards_and, hangs, refuses, says


def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


async def test_results_come_from_the_node(node: FaultyNode) -> None:
    """A read gives what the node answered."""
    rpc = Rpc(node.url)
    assert await rpc.read("eth_chainId") == "0xa5bf"
    assert await rpc.read("eth_getTransactionReceipt", "0x" + "00" * 32) is None
    await rpc.aclose()


async def test_a_refusal_carries_code_reason_and_data(node: FaultyNode) -> None:
    """What the node says no with is there to be understood by a program."""
    rpc = Rpc(node.url)
    call: JSONObject = {"to": "0x20c000000000000000000000b9537d11c60e8b50", "data": "0x70a08231" + "00" * 32}
    with pytest.raises(RpcRefused) as refusal:
        await rpc.read("eth_call", call, "latest")
    assert refusal.value.code == 3
    assert "reverted" in refusal.value.reason
    assert refusal.value.data.hex() == "1c72fad4"
    with pytest.raises(RpcRefused, match=r"eth_nothing: .* \(-32601\)"):
        await rpc.read("eth_nothing")
    await rpc.aclose()


@pytest.mark.parametrize("data", [None, 7, {"a": 1}, "text", "0xzz"], ids=str)
async def test_data_that_is_not_hex_is_left_out(lonely_node: FaultyNode, data: Any) -> None:
    """Only bytes come out of a refusal's data, whatever the node puts there."""
    lonely_node.always = refuses(-32000, "no", data)
    rpc = Rpc(lonely_node.url)
    with pytest.raises(RpcRefused) as refusal:
        await rpc.read("eth_call")
    assert refusal.value.data == b""
    await rpc.aclose()


async def test_what_cannot_be_connected_to_is_unreachable() -> None:
    """A refused connection means that certainly nothing was sent, in a read and in a send."""
    rpc = Rpc(closed_port())
    with pytest.raises(RpcUnreachable):
        await rpc.read("eth_chainId")
    with pytest.raises(RpcUnreachable):
        await rpc.send("eth_sendRawTransaction", "0x00", seconds=5)
    await rpc.aclose()


@pytest.mark.parametrize("fault", [drops, forwards_and(drops), says(b"", 503), says(b"", 429), says(b"{}")])
async def test_a_read_survives_two_failures(node: FaultyNode, fault: Any) -> None:
    """What changes nothing is tried three times."""
    node.behaviours["eth_chainId"] = first(fault, times=2)
    rpc = Rpc(node.url)
    assert await rpc.read("eth_chainId") == "0xa5bf"
    assert node.methods == ["eth_chainId"] * 3
    await rpc.aclose()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (drops, RpcUnanswered),
        (says(b"<html>", 502), RpcUnanswered),
        (says(b"", 200), RpcUnanswered),
        (says(b"too many requests", 429), RpcUnreachable),
        (says(b"", 401), RpcUnreachable),
        (refuses(-32000, "no"), RpcRefused),
    ],
)
async def test_a_send_is_tried_once(lonely_node: FaultyNode, fault: Any, error: type[Exception]) -> None:
    """A send that fails is not repeated, and the error says whether it may have got there."""
    lonely_node.always = fault
    rpc = Rpc(lonely_node.url)
    with pytest.raises(error) as raised:
        await rpc.send("eth_sendRawTransaction", "0x00", seconds=5)
    assert type(raised.value) is error
    assert lonely_node.sent == ["eth_sendRawTransaction"]
    await rpc.aclose()


async def test_silence_ends_in_a_timeout(lonely_node: FaultyNode) -> None:
    """A node that never answers is given up on, in a read and in a send, without another attempt."""
    lonely_node.always = hangs
    rpc = Rpc(lonely_node.url, timeout=0.2)
    with pytest.raises(RpcTimeout, match=r"within 0\.2 s"):
        await rpc.read("eth_chainId")
    with pytest.raises(RpcTimeout, match=r"within 0\.1 s"):
        await rpc.send("eth_sendRawTransaction", "0x00", seconds=0.1)
    assert lonely_node.methods == ["eth_chainId", "eth_sendRawTransaction"]
    await rpc.aclose()


async def test_answers_are_bounded(lonely_node: FaultyNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node cannot fill this process's memory."""
    monkeypatch.setattr(rpc_module, "MAX_ANSWER", 1000)
    lonely_node.always = answers("x" * 2000)
    rpc = Rpc(lonely_node.url)
    with pytest.raises(RpcUnanswered, match="more than 1000 bytes"):
        await rpc.send("eth_sendRawTransaction", "0x00", seconds=5)
    await rpc.aclose()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff",
        b"null",
        b"[]",
        b"{}",
        b"[" * 100,
        b'{"id":1}',
        b'{"id":2,"result":"0x1"}',
        b'{"id":"1","result":"0x1"}',
        b'{"result":"0x1"}',
        b'{"id":1,"result":1,"result":2}',
        b'{"id":1,"result":NaN}',
        b'{"id":1,"error":"no"}',
        b'{"id":1,"error":{"code":"x","message":"no"}}',
        b'{"id":1,"error":{"code":1}}',
    ],
)
async def test_nonsense_is_no_answer(lonely_node: FaultyNode, body: bytes) -> None:
    """What is not JSON-RPC, or answers something else, is the same as silence."""
    lonely_node.always = says(body)
    rpc = Rpc(lonely_node.url)
    with pytest.raises(RpcUnanswered):
        await rpc.send("eth_sendRawTransaction", "0x00", seconds=5)
    await rpc.aclose()


async def test_an_error_in_the_body_counts_whatever_the_status(lonely_node: FaultyNode) -> None:
    """Some nodes give their errors a status of their own, and some forget the id."""
    lonely_node.always = says(b'{"id":null,"error":{"code":-32700,"message":"Parse error"}}', 400)
    rpc = Rpc(lonely_node.url)
    with pytest.raises(RpcRefused, match="Parse error"):
        await rpc.send("eth_sendRawTransaction", "0x00", seconds=5)
    await rpc.aclose()


async def test_several_reads_are_one_request(node: FaultyNode) -> None:
    """A batch is one HTTP exchange, and a refusal in it stands where its result would."""
    rpc = Rpc(node.url)
    chain, refusal, price = await rpc.read_all(("eth_chainId", []), ("eth_nothing", []), ("eth_gasPrice", []))
    assert chain == "0xa5bf"
    assert isinstance(refusal, RpcRefused)
    assert int(str(price), 16) > 0
    assert node.exchanges == 1
    await rpc.aclose()


async def test_batches_are_matched_by_id(lonely_node: FaultyNode) -> None:
    """The answers of a batch may come in any order (JSON-RPC 2.0 §6)."""
    lonely_node.always = says(json.dumps([{"id": 2, "result": "b"}, "?", {"id": 1, "result": "a"}]).encode())
    rpc = Rpc(lonely_node.url)
    assert await rpc.read_all(("a", []), ("b", [])) == ["a", "b"]
    await rpc.aclose()


@pytest.mark.parametrize("body", [b'[{"id":1,"result":"a"}]', b'"?"', b"[null,null]"])
async def test_a_batch_with_an_answer_missing_is_no_answer(lonely_node: FaultyNode, body: bytes) -> None:
    """No result is put in the place of another."""
    lonely_node.always = says(body)
    rpc = Rpc(lonely_node.url)
    with pytest.raises(RpcUnanswered):
        await rpc.read_all(("a", []), ("b", []))
    await rpc.aclose()


async def test_a_node_without_batches_is_asked_one_by_one(lonely_node: FaultyNode) -> None:
    """A batch that is refused as a whole is taken apart, and no other is tried."""
    lonely_node.takes_batches = False
    lonely_node.behaviours = {"a": answers("A"), "b": answers("B")}
    rpc = Rpc(lonely_node.url)
    assert await rpc.read_all(("a", []), ("b", [])) == ["A", "B"]
    assert lonely_node.exchanges == 3
    assert await rpc.read_all(("a", []), ("b", [])) == ["A", "B"]
    assert lonely_node.exchanges == 5
    await rpc.aclose()


@settings(deadline=None)
@given(st.text())
def test_what_a_node_says_is_quoted_as_one_short_line(message: str) -> None:
    """No message of a node breaks the log's lines or fills it."""
    reason = RpcRefused("eth_call", 1, message).reason
    assert len(reason) <= 200
    assert reason == "" or reason.isprintable()


@settings(deadline=None)
@given(st.text(), st.binary(min_size=33, max_size=600), st.booleans(), st.text())
def test_transactions_are_not_quoted(before: str, transaction: bytes, prefixed: bool, after: str) -> None:
    """A transaction that a node quotes in its message is cut out of it."""
    quoted = ("0x" if prefixed else "") + transaction.hex()
    error = RpcRefused("eth_sendRawTransaction", -32000, before + quoted + after)
    assert re.search("[0-9a-f]{65}", str(error)) is None
    assert re.search("[0-9a-f]{65}", repr(error)) is None


def test_a_hash_in_a_message_is_kept() -> None:
    """Operators need to see which transaction it was about."""
    transaction_hash = "0x" + "ab" * 32
    assert transaction_hash in str(RpcRefused("m", 1, f"no such transaction {transaction_hash}."))


async def test_the_url_is_kept_to_itself(lonely_node: FaultyNode, caplog: pytest.LogCaptureFixture) -> None:
    """A provider's key in the path, or a password, shows in no repr, message or log, and does get there."""
    caplog.set_level(logging.DEBUG)
    lonely_node.always = says(b"", 500)
    url = lonely_node.url.replace("//", "//user:hunter2@") + "/v2/hunter2?k=hunter2"
    rpc = Rpc(url)
    assert repr(rpc) == "Rpc('127.0.0.1')"
    with pytest.raises(RpcUnanswered) as raised:
        await rpc.send("eth_chainId", seconds=5)
    assert "hunter2" not in str(raised.value) + str(raised.value.__cause__)
    await lonely_node.stop()
    with pytest.raises(RpcUnreachable) as unreachable:
        await rpc.send("eth_chainId", seconds=5)
    assert "hunter2" not in str(unreachable.value) + str(unreachable.value.__cause__)
    assert "hunter2" not in caplog.text
    assert "Basic" not in caplog.text
    basic = "basic " + b64encode(b"user:hunter2").decode().lower()
    assert all(line in lonely_node.heads[0] for line in ("post /v2/hunter2?k=hunter2 http/1.1", basic))
    await rpc.aclose()


@pytest.mark.parametrize("url", ["", "localhost:8545", "ws://localhost", "http://", "file:///etc/passwd"])
def test_other_urls_are_refused_at_start_up(url: str) -> None:
    """What is no URL of an HTTP node is found when it is configured."""
    with pytest.raises(ConfigurationError, match="rpc_url"):
        Rpc(url)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_loopback_needs_no_proxy(host: str, node: FaultyNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy for the world is not asked for a node on this machine."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, closed_port())
    rpc = Rpc(node.url.replace("127.0.0.1", host))
    assert await rpc.read("eth_chainId") == "0xa5bf"
    await rpc.aclose()


async def test_other_hosts_are_asked_through_the_proxy(
    lonely_node: FaultyNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the way out is a proxy, a node elsewhere is reached through it, with its whole URL."""
    monkeypatch.setenv("HTTP_PROXY", lonely_node.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    lonely_node.always = answers("0xa5bf")
    rpc = Rpc("http://node.example/v2/key")
    assert await rpc.read("eth_chainId") == "0xa5bf"
    assert lonely_node.heads[0].startswith("post http://node.example/v2/key http/1.1")
    await rpc.aclose()


async def test_every_event_loop_has_connections_of_its_own(node: FaultyNode) -> None:
    """One object serves a wallet's own thread and the caller's loop, and closes what either still runs."""
    rpc = Rpc(node.url)
    other = asyncio.new_event_loop()
    thread = threading.Thread(target=other.run_forever)
    thread.start()
    there = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(rpc.read("eth_chainId"), other))
    assert await rpc.read("eth_chainId") == "0xa5bf"
    assert await there == "0xa5bf"
    await rpc.aclose()
    other.call_soon_threadsafe(other.stop)
    await asyncio.to_thread(thread.join)
    other.close()
    assert await rpc.read("eth_chainId") == "0xa5bf"
    await rpc.aclose()


async def test_a_broken_connection_is_made_anew(node: FaultyNode) -> None:
    """A node that was away is found again."""
    rpc = Rpc(node.url)
    assert await rpc.read("eth_chainId") == "0xa5bf"
    await node.stop()
    with pytest.raises(RpcUnreachable):
        await rpc.read("eth_chainId")
    await node.start()
    assert await rpc.read("eth_chainId") == "0xa5bf"
    await rpc.aclose()
