"""Transaction requests as Tempo's clients write them, and as the node can read them."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from coinslot.methods.tempo.keys import AddressError, checksum_address
from coinslot.protocol import JSONObject, JSONValue
from coinslot.sandbox.tempo.jsonrpc import invalid_params

MAX_CALLS: Final = 256
"""Calls in one transaction."""

_BYTES: Final = re.compile(r"0x(?:[0-9a-fA-F]{2})*")
_QUANTITY: Final = re.compile(r"0x[0-9a-fA-F]{1,64}")

_TEMPO_TYPE: Final = 0x76
_TEMPO_FIELDS: Final = frozenset(
    {
        "aaAuthorizationList",
        "calls",
        "feePayer",
        "feePayerSignature",
        "feeToken",
        "keyAuthorization",
        "keyData",
        "keyId",
        "keyType",
        "nonceKey",
        "validAfter",
        "validBefore",
    }
)
_CALL_FIELDS: Final = frozenset({"calls", "data", "input", "to", "value"})
_FEE_FIELDS: Final = frozenset(
    {"feePayer", "feePayerSignature", "feeToken", "gasPrice", "maxFeePerGas", "maxPriorityFeePerGas"}
)


class TempoRequest(Struct, frozen=True):
    """A request for a Tempo Transaction: its members as they came, and the calls that it makes, in order.

    A call has `to` and `data` (both hex; without `to` it creates a contract), and `value` if there is one.
    """

    members: JSONObject
    calls: tuple[JSONObject, ...]

    @property
    def sender(self) -> str | None:
        """The address in `from`, if there is one."""
        return address(self.members.get("from"))

    def first_call(self) -> JSONObject:
        """The request with its first call alone, as `to` and `data`: the form that the node reads.

        Without what concerns the fee, which the node would charge to the sender whoever pays it.
        """
        kept = {
            name: member
            for name, member in self.members.items()
            if name not in _CALL_FIELDS | _FEE_FIELDS and member is not None
        }
        return {**kept, "type": hex(_TEMPO_TYPE), **self.calls[0]}

    def plain_calls(self) -> list[JSONValue]:
        """The calls as requests of their own, without anything of Tempo's."""
        sender = self.members.get("from")
        return [call if sender is None else {"from": sender, **call} for call in self.calls]

    def shown_calls(self) -> list[JSONValue]:
        """The calls as nodes show them in transactions."""
        return [
            {
                "to": call.get("to"),
                "value": call.get("value", "0x0"),
                "input": call["data"],
                "data": call["data"],
            }
            for call in self.calls
        ]

    def quantity(self, name: str) -> int | None:
        """The number in a member, or None if it is absent. Raises `RPCError` if it is no number."""
        return quantity(self.members.get(name), name)


def read_request(request: JSONValue) -> TempoRequest | None:
    """The Tempo Transaction that is asked for; None for any other type.

    A node appends the request's own `to` and `data` to its `calls`. Raises `RPCError`.
    """
    if not isinstance(request, dict) or not _is_tempo(request):
        return None
    batch = request.get("calls") or []
    if not isinstance(batch, list) or len(batch) >= MAX_CALLS:
        invalid_params(f"calls is an array of fewer than {MAX_CALLS}")
    calls = [_read_call(call) for call in batch]
    if any(request.get(name) not in (None, "0x") for name in ("to", "data", "input")):
        calls.append(_read_call(request))
    if not calls:
        invalid_params("a Tempo Transaction has at least one call")
    return TempoRequest(request, tuple(calls))


def quantity(text: JSONValue, name: str) -> int | None:
    """A JSON-RPC quantity, in hex after 0x or a plain number. None if absent; `RPCError` if it is neither."""
    if text is None or (isinstance(text, int) and not isinstance(text, bool) and 0 <= text < 1 << 256):
        return text
    if not isinstance(text, str) or not _QUANTITY.fullmatch(text):
        invalid_params(f"{name} is not a quantity")
    return int(text, 16)


def address(text: JSONValue) -> str | None:
    """The EIP-55 address that a member is, or None if it is none."""
    try:
        return checksum_address(text) if isinstance(text, str) else None
    except AddressError:
        return None


def raw_transaction(params: list[JSONValue]) -> bytes:
    """The first parameter as the bytes that it spells. Raises `RPCError`."""
    text = params[0] if params else None
    if not isinstance(text, str) or not _BYTES.fullmatch(text):
        invalid_params("a raw transaction is expected, in hexadecimal digits after 0x")
    return bytes.fromhex(text[2:])


def _is_tempo(request: JSONObject) -> bool:
    kind = request.get("type")
    if kind is not None:
        return quantity(kind, "type") == _TEMPO_TYPE
    return any(request.get(name) is not None for name in _TEMPO_FIELDS)


def _read_call(call: JSONValue) -> JSONObject:
    if not isinstance(call, dict):
        invalid_params("a call is an object")
    data = call.get("data") or call.get("input") or "0x"
    if not isinstance(data, str):
        invalid_params("a call's data is a string")
    read: JSONObject = {"data": data}
    if call.get("to") is not None:
        read["to"] = call["to"]
    # Clients write no value as "0x", which the node does not take.
    if call.get("value") not in (None, "0x") and quantity(call["value"], "value"):
        read["value"] = call["value"]
    return read
