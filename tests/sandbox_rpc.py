"""The sandbox as its tests use it: a JSON-RPC client, and payments as today's clients sign them."""

from __future__ import annotations

import secrets
import time
from typing import Any

import httpx2

from coinslot.methods.tempo.keys import parse_address
from coinslot.methods.tempo.wire import EXPIRING_NONCE_KEY, Call, Transaction, balance_of, transfer

PATH_USD = "0x20c0000000000000000000000000000000000000"
GWEI = 10**9


class RPC:
    """A client of one JSON-RPC endpoint. Calling it gives a result; `error` gives the error to expect."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx2.Client(verify=False, trust_env=False, timeout=30)

    def __call__(self, method: str, *params: object) -> Any:
        answer = self._ask(method, params)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def error(self, method: str, *params: object) -> dict[str, Any]:
        answer = self._ask(method, params)
        assert "result" not in answer, answer["result"]
        error: dict[str, Any] = answer["error"]
        return error

    def post(self, body: bytes, content_type: str = "application/json") -> httpx2.Response:
        return self.http.post(self.url, content=body, headers={"content-type": content_type})

    def balance(self, address: str, token: str = PATH_USD) -> int:
        return int(self("eth_call", {"to": token, "data": "0x" + balance_of(address).hex()}, "latest"), 16)

    def close(self) -> None:
        self.http.close()

    def send(self, body: object) -> Any:
        return self.http.post(self.url, json=body).json()

    def _ask(self, method: str, params: tuple[object, ...]) -> dict[str, Any]:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        answer: dict[str, Any] = self.send(request)
        return answer


def pay(to: str, amount: int = 1, *, token: str = PATH_USD) -> Call:
    """A transfer."""
    return Call(to=parse_address(token), value=0, data=transfer(to, amount))


def payment(*calls: Call, valid_for: int | None = 25, **members: Any) -> Transaction:
    """An unsigned payment as today's clients write it: expiring nonce lane, random nonce."""
    fields: dict[str, Any] = {
        "chain_id": 42431,
        "max_priority_fee_per_gas": GWEI,
        "max_fee_per_gas": 50 * GWEI,
        "gas_limit": 500_000,
        "calls": calls,
        "nonce_key": EXPIRING_NONCE_KEY,
        "nonce": secrets.randbits(48),
        "valid_before": None if valid_for is None else int(time.time()) + valid_for,
        "fee_token": parse_address(PATH_USD),
    }
    return Transaction(**{**fields, **members})


def raw(transaction: Transaction) -> str:
    """How it is broadcast."""
    return "0x" + transaction.encode().hex()


def request(*calls: Call, sender: str, **members: object) -> dict[str, object]:
    """A transaction request as viem writes it."""
    return {
        "type": "0x76",
        "from": sender,
        "calls": [{"to": _hex(call.to), "value": "0x", "data": _hex(call.data)} for call in calls],
        **members,
    }


def _hex(data: bytes | None) -> str | None:
    return None if data is None else "0x" + data.hex()
