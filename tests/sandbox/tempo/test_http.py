from __future__ import annotations

import json
import socket

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from coinslot.errors import ConfigurationError
from coinslot.sandbox.hosting import listen
from coinslot.sandbox.tempo.jsonrpc import MAX_BODY
from sandbox_rpc import RPC


def test_only_post_is_allowed(rpc: RPC) -> None:
    """Other methods are told what to do."""
    answer = rpc.http.get(rpc.url)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_page_elsewhere_cannot_call(rpc: RPC, content_type: str) -> None:
    """Types that a browser sends across origins without asking are refused."""
    assert rpc.post(b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}', content_type).status_code == 415


def test_a_media_type_may_have_parameters(rpc: RPC) -> None:
    """A charset does not make it another type."""
    body = b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}'
    assert rpc.post(body, "Application/JSON; charset=utf-8").json()["result"] == "0xa5bf"


def test_a_body_has_a_limit(rpc: RPC) -> None:
    """A body of too many bytes is refused before it is read to its end."""
    assert rpc.post(b" " * (MAX_BODY + 1)).status_code == 413


def test_a_large_body_below_the_limit_is_read(rpc: RPC) -> None:
    """Padding below the limit changes nothing."""
    body = b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}' + b" " * (MAX_BODY - 100)
    assert rpc.post(body).json()["result"] == "0xa5bf"


def test_batches_are_answered(rpc: RPC) -> None:
    """A hundred calls in one body come back in order."""
    calls = [{"jsonrpc": "2.0", "id": index, "method": "eth_chainId"} for index in range(100)]
    answers = rpc.post(json.dumps(calls).encode()).json()
    assert [answer["id"] for answer in answers] == list(range(100))


def test_a_notification_has_no_body(rpc: RPC) -> None:
    """What asks for no answer gets 204."""
    assert rpc.post(b'{"jsonrpc":"2.0","method":"eth_chainId"}').status_code == 204


def test_a_caller_that_leaves_harms_nobody(rpc: RPC) -> None:
    """A connection that breaks off in the middle of a body leaves the server as it was."""
    host, port = rpc.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as half:
        half.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
        )
    assert rpc("eth_chainId") == "0xa5bf"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=300) | st.text(max_size=100).map(lambda text: json.dumps([{"method": text}]).encode())
)
def test_any_body_is_answered(rpc: RPC, body: bytes) -> None:
    """Arbitrary bodies are answered with a status below 500."""
    assert rpc.post(body).status_code < 500


def test_a_taken_port_is_told_in_a_sentence() -> None:
    """A port that somebody else has is an error that says so, and what to do."""
    with listen(0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            ConfigurationError, match=rf"127\.0\.0\.1:{port} \(Address already in use\); choose"
        ):
            listen(port)
    with pytest.raises(ConfigurationError, match="no such port"):
        listen(70_000)
