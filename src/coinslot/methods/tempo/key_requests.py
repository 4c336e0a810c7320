"""Keys, and what authorizes them, as the node's RPC requests name them: the gas depends on them."""

from __future__ import annotations

from coinslot.methods.tempo.keys import SIGNATURE_LENGTH
from coinslot.methods.tempo.wire.key_authorization import CallScope, KeyAuthorization
from coinslot.methods.tempo.wire.p256 import P256_TYPE
from coinslot.methods.tempo.wire.signatures import AccessKey, SigningKey
from coinslot.protocol import JSONObject, JSONValue


def key_type(key: SigningKey) -> str:
    """The kind of key that signs, of an access key its own. A key that does not say is a secp256k1 key."""
    signing = key.key if isinstance(key, AccessKey) else key
    return str(getattr(signing, "key_type", "secp256k1"))


def signing_members(key: SigningKey, authorization: KeyAuthorization | None = None) -> JSONObject:
    """The members by which a request says how its transaction is going to be signed.

    `authorization` is the key authorization, signed, that the transaction takes along.
    """
    members: JSONObject = {"keyType": key_type(key)}
    if isinstance(key, AccessKey):
        members["keyId"] = key.key_address
    if authorization is not None:
        members["keyAuthorization"] = authorization_object(authorization)
    return members


def authorization_object(authorization: KeyAuthorization) -> JSONObject:
    """A signed key authorization as a request has it."""
    members: JSONObject = {
        "chainId": hex(authorization.chain_id),
        "keyType": authorization.key_type,
        "keyId": authorization.key_address,
        "expiry": None if authorization.expiry is None else hex(authorization.expiry),
        "signature": _signature_object(authorization.signature or b""),
    }
    if authorization.limits is not None:
        members["limits"] = [
            {"token": limit.token, "limit": hex(limit.limit), "period": hex(limit.period)}
            for limit in authorization.limits
        ]
    if authorization.scopes is not None:
        members["allowedCalls"] = [_scope_object(scope) for scope in authorization.scopes]
    if authorization.witness is not None:
        members["witness"] = "0x" + authorization.witness.hex()
    if authorization.is_admin:
        members["isAdmin"] = True
    if authorization.account is not None:
        members["account"] = authorization.account
    return members


def _scope_object(scope: CallScope) -> JSONObject:
    rules: list[JSONValue] = [
        {"selector": "0x" + rule.selector.hex(), "recipients": list(rule.recipients)} for rule in scope.rules
    ]
    return {"target": scope.target, "selectorRules": rules}


def _signature_object(signature: bytes) -> JSONObject:
    """A key's own signature: 65 bytes, or a type and the rest."""
    if len(signature) == SIGNATURE_LENGTH:
        parity = hex(signature[64] - 27)
        return {"type": "secp256k1", **_words(signature, "r", "s"), "yParity": parity, "v": parity}
    if signature[:1] == bytes([P256_TYPE]):
        words = _words(signature[1:], "r", "s", "pubKeyX", "pubKeyY")
        return {"type": "p256", **words, "preHash": bool(signature[-1])}
    words = _words(signature[-4 * 32 :], "r", "s", "pubKeyX", "pubKeyY")
    return {"type": "webAuthn", **words, "webauthnData": "0x" + signature[1 : -4 * 32].hex()}


def _words(data: bytes, *names: str) -> JSONObject:
    return {name: "0x" + data[32 * at : 32 * at + 32].hex() for at, name in enumerate(names)}
