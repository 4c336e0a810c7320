"""The transactions that requests describe, in bytes."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from coinslot.methods.tempo.keys import AddressError, keccak256, parse_address
from coinslot.methods.tempo.wire import FEE_PAYER_PLACEHOLDER, Call, Transaction, TransactionError, rlp
from coinslot.methods.tempo.wire.rlp import Items
from coinslot.methods.tempo.wire.transaction import FEE_PAYER_TYPE
from coinslot.protocol import JSONObject, JSONValue
from coinslot.sandbox.tempo.authorizations import read_authorization
from coinslot.sandbox.tempo.jsonrpc import invalid_params
from coinslot.sandbox.tempo.requests import TempoRequest, quantity

_FEE_PAYER: Final = 11  # its place among the fields of the envelope
_UNSIGNED: Final = bytes(64) + b"\x1b"


def envelope(request: TempoRequest, chain_id: int) -> Transaction:
    """The unsigned transaction, on `chain_id` if the request names no chain.

    What the request leaves out is 0 or absent. With `feePayer: true` it awaits its fee payer. Raises
    `RPCError` for what no envelope can hold.
    """
    members = request.members
    if members.get("aaAuthorizationList"):
        invalid_params("the sandbox writes no envelopes with an aaAuthorizationList")
    try:
        return Transaction(
            chain_id=request.quantity("chainId") or chain_id,
            max_priority_fee_per_gas=request.quantity("maxPriorityFeePerGas") or 0,
            max_fee_per_gas=request.quantity("maxFeePerGas") or 0,
            gas_limit=request.quantity("gas") or 0,
            calls=tuple(map(call_of, request.calls)),
            access_list=_access_list(members.get("accessList")),
            nonce_key=request.quantity("nonceKey") or 0,
            nonce=request.quantity("nonce") or 0,
            valid_before=request.quantity("validBefore") or None,
            valid_after=request.quantity("validAfter") or None,
            fee_token=_address(members.get("feeToken")),
            fee_payer_signature=FEE_PAYER_PLACEHOLDER if members.get("feePayer") is True else None,
            key_authorization=read_authorization(members.get("keyAuthorization")),
        )
    except (TransactionError, AddressError, ValueError) as error:
        invalid_params(str(error))


def encode_filled(transaction: Transaction) -> bytes:
    """How nodes encode an unsigned transaction that they have filled: with a signature of zeros."""
    return replace(transaction, signature=_UNSIGNED).encode()


def fee_payer_hash(transaction: Transaction, sender: str) -> bytes:
    """What a fee payer signs of an unsigned transaction that `sender` is going to sign.

    `fee_token` has to be the fee payer's choice. Raises `AddressError`.
    """
    unsigned = replace(transaction, fee_payer_signature=FEE_PAYER_PLACEHOLDER, signature=None)
    fields = rlp.decode(unsigned.encode()[1:])
    assert isinstance(fields, tuple)
    signed = (*fields[:_FEE_PAYER], parse_address(sender), *fields[_FEE_PAYER + 1 :])
    return keccak256(bytes([FEE_PAYER_TYPE]) + rlp.encode(signed))


def call_of(call: JSONObject) -> Call:
    """A request's call as the envelope has it. Raises `RPCError`, `AddressError` or `ValueError`."""
    data = call["data"]
    assert isinstance(data, str)
    return Call(
        to=_address(call.get("to")),
        value=quantity(call.get("value"), "value") or 0,
        data=bytes.fromhex(data.removeprefix("0x")),
    )


def _access_list(value: JSONValue) -> Items:
    if value is None:
        return ()
    if not isinstance(value, list):
        invalid_params("an access list is an array")
    return tuple(_access(entry) for entry in value)


def _access(entry: JSONValue) -> Items:
    keys = entry.get("storageKeys") if isinstance(entry, dict) else None
    address = _address(entry.get("address")) if isinstance(entry, dict) else None
    if not isinstance(keys, list) or address is None:
        invalid_params("an access list's entry has an address and an array of storageKeys")
    return address, tuple(bytes.fromhex(str(key).removeprefix("0x")) for key in keys)


def _address(text: JSONValue) -> bytes | None:
    if text is None:
        return None
    if not isinstance(text, str):
        invalid_params("an address is a string")
    return parse_address(text)
