"""Authorizing and revoking access keys, as an account's owner does: by a transaction to the keychain.

The sponsor pays the fees, so that the account's balances stay as they are.
"""

from __future__ import annotations

import secrets
from typing import Final

import httpx2
import msgspec

from coinslot.methods.tempo.keys import parse_address
from coinslot.methods.tempo.wire import FEE_PAYER_PLACEHOLDER, Call, SigningKey, Transaction, abi, keychain
from coinslot.protocol import JSONObject, JSONValue
from coinslot.sandbox.tempo.accounts import SPONSOR
from coinslot.sandbox.tempo.anvil import DevnetError

_TIMEOUT: Final = 30
_GAS: Final = 5_000_000
_MAX_FEE_PER_GAS: Final = 100 * 10**9

_REASONS: Final = {
    abi.selector(f"{name}()"): name
    for name in (
        *("ExpiryInPast", "InvalidSpendingLimit", "KeyAlreadyExists", "KeyAlreadyRevoked", "KeyNotFound"),
        *("UnauthorizedCaller", "ZeroPublicKey"),
    )
}
"""What the keychain says when it reverts."""


async def ask(url: str, method: str, *params: JSONValue) -> JSONValue:
    """The result of a method at the devnet's endpoint. Raises `DevnetError` with the message of its error."""
    request: JSONObject = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    async with httpx2.AsyncClient(verify=False, trust_env=False, timeout=_TIMEOUT) as http:
        response = await http.post(url, json=request)
    answer: JSONObject = msgspec.json.decode(response.content)
    error = answer.get("error")
    if isinstance(error, dict):
        raise DevnetError(_explain(error))
    return answer.get("result")


async def call_keychain(url: str, chain_id: int, root: SigningKey, data: bytes) -> None:
    """Have the account of `root` call the keychain. Raises `DevnetError`, with the chain's reason."""
    call = Call(to=parse_address(keychain.ADDRESS), value=0, data=data)
    # The node answers a transaction that fails with a receipt, and only a simulation with the reason.
    await ask(url, "eth_call", {"type": "0x76", "from": root.address, **_plain(call)}, "latest")
    sponsored = root.address != SPONSOR.address
    transaction = Transaction(
        chain_id=chain_id,
        max_priority_fee_per_gas=10**9,
        max_fee_per_gas=_MAX_FEE_PER_GAS,
        gas_limit=_GAS,
        calls=(call,),
        nonce_key=secrets.randbits(190) | 1,
        fee_payer_signature=FEE_PAYER_PLACEHOLDER if sponsored else None,
    ).sign(root)
    raw = transaction.encode_sponsored() if sponsored else transaction.encode()
    receipt = await ask(url, "eth_sendRawTransactionSync", "0x" + raw.hex())
    if not isinstance(receipt, dict) or receipt.get("status") != "0x1":
        raise DevnetError("the keychain refused, and does not say why")


def _plain(call: Call) -> JSONObject:
    return {"to": keychain.ADDRESS, "data": "0x" + call.data.hex()}


def _explain(error: JSONObject) -> str:
    data = error.get("data")
    reason = None
    if isinstance(data, str) and data.startswith("0x"):
        reason = _REASONS.get(bytes.fromhex(data[2:10]))
    return str(error.get("message")) if reason is None else f"the keychain refused: {reason}"
