"""Key authorizations as clients write them into JSON-RPC requests."""

from __future__ import annotations

from typing import Any

from coinslot.methods.tempo.wire import CallScope, KeyAuthorization


def spelled(authorization: KeyAuthorization) -> dict[str, Any]:
    """An authorization as viem writes it into a request."""
    members: dict[str, Any] = {
        "chainId": hex(authorization.chain_id) if authorization.chain_id else "0x",
        "keyType": authorization.key_type,
        "keyId": authorization.key_address,
        "expiry": None if authorization.expiry is None else hex(authorization.expiry),
        "signature": spelled_signature(authorization.signature or b""),
    }
    if authorization.limits is not None:
        members["limits"] = [
            {
                "token": each.token,
                "limit": hex(each.limit),
                **({"period": hex(each.period)} if each.period else {}),
            }
            for each in authorization.limits
        ]
    if authorization.scopes is not None:
        members["allowedCalls"] = [spelled_scope(scope) for scope in authorization.scopes]
    if authorization.witness is not None:
        members["witness"] = "0x" + authorization.witness.hex()
    if authorization.is_admin:
        members["isAdmin"] = True
    if authorization.account is not None:
        members["account"] = authorization.account
    return members


def spelled_scope(scope: CallScope) -> dict[str, Any]:
    """A call scope, without what is empty."""
    rules = [
        {
            "selector": "0x" + rule.selector.hex(),
            **({"recipients": list(rule.recipients)} if rule.recipients else {}),
        }
        for rule in scope.rules
    ]
    return {"target": scope.target, **({"selectorRules": rules} if rules else {})}


def spelled_signature(signature: bytes) -> dict[str, Any]:
    """A signature by its parts."""
    if len(signature) == 65:
        r, s = (hex(int.from_bytes(half)) for half in (signature[:32], signature[32:64]))
        return {"type": "secp256k1", "r": r, "s": s, "yParity": hex(signature[64] - 27)}
    end = -1 if signature[0] == 1 else len(signature)
    points = signature[1:-1] if signature[0] == 1 else signature[-128:]
    parts = {
        name: "0x" + points[32 * place : 32 * place + 32].hex()
        for place, name in enumerate(("r", "s", "pubKeyX", "pubKeyY"))
    }
    if signature[0] == 1:
        return {"type": "p256", **parts, "preHash": bool(signature[end])}
    return {"type": "webAuthn", **parts, "webauthnData": "0x" + signature[1:-128].hex()}
