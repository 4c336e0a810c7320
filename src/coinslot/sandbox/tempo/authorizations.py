"""Key authorizations as JSON-RPC requests carry them.

They come in two spellings: that of the node, which viem's clients use; and viem's own objects, which mppx's
server hands to a fee payer service as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NoReturn

from coinslot.methods.tempo.keys import AddressError
from coinslot.methods.tempo.wire import (
    CallScope,
    KeyAuthorization,
    KeyAuthorizationError,
    SelectorRule,
    TokenLimit,
)
from coinslot.methods.tempo.wire.p256 import P256_TYPE
from coinslot.methods.tempo.wire.webauthn import WEBAUTHN_TYPE
from coinslot.protocol import JSONObject, JSONValue
from coinslot.sandbox.tempo.jsonrpc import invalid_params
from coinslot.sandbox.tempo.requests import quantity

_POINT: Final = ("r", "s", "pubKeyX", "pubKeyY")


def read_authorization(value: JSONValue) -> KeyAuthorization | None:
    """The key authorization in a request's `keyAuthorization`; None if there is none. Raises `RPCError`."""
    if value is None:
        return None
    try:
        members = _respelled(_object(value))
        limits, scopes = members.get("limits"), members.get("allowedCalls")
        return KeyAuthorization(
            chain_id=_number(members, "chainId"),
            key_type=_text(members, "keyType"),
            key_address=_text(members, "keyId"),
            expiry=_number(members, "expiry") or None,
            limits=None if limits is None else tuple(map(_read_limit, _array(limits))),
            scopes=None if scopes is None else tuple(map(_read_scope, _array(scopes))),
            witness=_bytes(members, "witness") if members.get("witness") is not None else None,
            is_admin=members.get("isAdmin") is True,
            account=_text(members, "account") if members.get("account") is not None else None,
            signature=_read_signature(_object(members.get("signature"))),
        )
    except (AddressError, KeyAuthorizationError, ValueError) as error:
        invalid_params(f"keyAuthorization: {error}")


def read_secp256k1(members: JSONObject) -> bytes:
    """r ‖ s ‖ v of a signature with `r`, `s`, and `yParity` or `v`. Raises `RPCError`."""
    r, s = (_number(members, name) for name in ("r", "s"))
    parity = members.get("yParity", members.get("v"))
    v = quantity(parity, "yParity")
    if v not in (0, 1, 27, 28) or max(r, s) >> 256:
        invalid_params("a signature has r, s, and yParity")
    return r.to_bytes(32) + s.to_bytes(32) + bytes([27 + v % 27])


def _respelled(members: JSONObject) -> JSONObject:
    """The node's spelling of an authorization, if it is in viem's own."""
    signature = members.get("signature")
    if not isinstance(signature, dict) or not isinstance(signature.get("signature"), dict):
        return members
    inner, point = _object(signature["signature"]), signature.get("publicKey", {})
    own: JSONObject = {
        **members,
        "keyId": members.get("address"),
        "keyType": members.get("type"),
        "signature": {
            **inner,
            "type": signature.get("type"),
            "pubKeyX": _object(point).get("x"),
            "pubKeyY": _object(point).get("y"),
            "preHash": signature.get("prehash"),
            "webauthnData": _login(signature.get("metadata")),
        },
    }
    scopes = members.get("scopes")
    if scopes is not None:
        own["allowedCalls"] = _grouped(map(_object, _array(scopes)))
    return own


def _login(metadata: JSONValue) -> JSONValue:
    """What a passkey signed, of whose two parts viem keeps one in hex and one as text."""
    if metadata is None:
        return None
    parts = _object(metadata)
    return "0x" + (_bytes(parts, "authenticatorData") + _text(parts, "clientDataJSON").encode()).hex()


def _grouped(scopes: Iterable[JSONObject]) -> list[JSONValue]:
    """viem's list of functions, of which each names its contract, by contract."""
    targets: dict[str, list[JSONValue]] = {}
    for scope in scopes:
        rules = targets.setdefault(_text(scope, "address"), [])
        if scope.get("selector") is not None:
            rules.append({"selector": scope["selector"], "recipients": scope.get("recipients")})
    return [{"target": target, "selectorRules": rules} for target, rules in targets.items()]


def _read_signature(members: JSONObject) -> bytes:
    kind = members.get("type", "secp256k1")
    if kind == "secp256k1":
        return read_secp256k1(members)
    point = b"".join(_number(members, name).to_bytes(32) for name in _POINT)
    if kind == "p256":
        return bytes([P256_TYPE]) + point + bytes([members.get("preHash") is True])
    if kind == "webAuthn":
        return bytes([WEBAUTHN_TYPE]) + _bytes(members, "webauthnData") + point
    return _refuse("the signature's type")


def _read_limit(value: JSONValue) -> TokenLimit:
    members = _object(value)
    return TokenLimit(_text(members, "token"), _number(members, "limit"), _number(members, "period"))


def _read_scope(value: JSONValue) -> CallScope:
    members = _object(value)
    rules = tuple(map(_read_rule, _array(members.get("selectorRules") or [])))
    return CallScope(_text(members, "target"), rules)


def _read_rule(value: JSONValue) -> SelectorRule:
    members = _object(value)
    recipients = _array(members.get("recipients") or [])
    return SelectorRule(_bytes(members, "selector"), tuple(map(str, recipients)))


def _object(value: JSONValue) -> JSONObject:
    return value if isinstance(value, dict) else _refuse("an object")


def _array(value: JSONValue) -> list[JSONValue]:
    return value if isinstance(value, list) else _refuse("an array")


def _text(members: JSONObject, name: str) -> str:
    value = members.get(name)
    return value if isinstance(value, str) else _refuse(name)


def _bytes(members: JSONObject, name: str) -> bytes:
    return bytes.fromhex(_text(members, name).removeprefix("0x"))


def _number(members: JSONObject, name: str) -> int:
    """A quantity; absent, or empty as clients write zero, it is 0."""
    value = members.get(name)
    number = 0 if value == "0x" else quantity(value, name) or 0
    return number if number >= 0 else _refuse(name)


def _refuse(what: str) -> NoReturn:
    invalid_params(f"keyAuthorization: {what} is missing, or is something else")
