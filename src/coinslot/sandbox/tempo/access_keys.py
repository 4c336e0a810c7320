"""Access keys: what the chain finds wrong with them, said at once.

The node takes a transaction whose key may not sign for the account, and then neither mines it nor says why.
In a simulation it does not look at keys at all. The words here are the chain's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from coinslot.methods.tempo.keys import SignatureError
from coinslot.methods.tempo.wire import (
    Call,
    KeyAuthorization,
    KeyAuthorizationError,
    Signer,
    Transaction,
    abi,
    decode_call,
    keychain,
)
from coinslot.methods.tempo.wire.keychain import KeyInfo
from coinslot.methods.tempo.wire.signatures import KEYCHAIN_TYPE
from coinslot.protocol import JSONValue
from coinslot.sandbox.tempo.anvil import HARDFORKS
from coinslot.sandbox.tempo.authorizations import read_authorization
from coinslot.sandbox.tempo.envelopes import call_of
from coinslot.sandbox.tempo.fees import Charge
from coinslot.sandbox.tempo.jsonrpc import (
    EXECUTION_REVERTED,
    INTERNAL_ERROR,
    TRANSACTION_REJECTED,
    RPCError,
    invalid_params,
)
from coinslot.sandbox.tempo.node import Node
from coinslot.sandbox.tempo.requests import TempoRequest, address, quantity

_LEGACY_TYPE: Final = 0x03
_APPROVE: Final = abi.selector("approve(address,uint256)")
_ALLOWANCE: Final = abi.selector("allowance(address,address)")
_LIMIT_EXCEEDED: Final = "0x" + abi.selector("SpendingLimitExceeded()").hex()


class AccessKeys:
    """Checks the access keys of transactions and requests on a chain of `hardfork`."""

    def __init__(self, node: Node, chain_id: int, hardfork: str) -> None:
        self._node = node
        self._chain_id = chain_id
        self._hardfork = hardfork

    async def check_transaction(self, transaction: Transaction, now: int) -> None:
        """Refuse a transaction whose key may not sign for its account, or that authorizes one wrongly.

        `now` is the latest block's time. Raises `RPCError`.
        """
        self._check_version(transaction.signature)
        try:
            signer = transaction.signer()
        except SignatureError:
            return  # The node refuses it, and says why.
        reason = await self._fault(signer, transaction.key_authorization, now)
        if reason is not None:
            raise _rejected(reason)

    async def check_request(self, request: TempoRequest, charge: Charge | None, now: int) -> None:
        """Refuse to simulate for a key (`keyId`) that may not sign, or may not spend so much.

        A key that `keyAuthorization` authorizes may. Raises `RPCError`.
        """
        account, key = request.sender, address(request.members.get("keyId"))
        if account is None:
            return
        authorization = read_authorization(request.members.get("keyAuthorization"))
        key_type = request.members.get("keyType")
        signer = Signer(account, access_key=key, key_type="secp256k1" if key_type is None else str(key_type))
        reason = await self._fault(signer, authorization, now)
        if reason is not None:
            raise RPCError(INTERNAL_ERROR, f"tempo transaction error: {reason}")
        if key is None:
            return
        spent = await self._spending(request, account)
        if charge is not None and charge.payer == account:
            spent[charge.token.lower()] += charge.amount
        limits = await self._limits(account, key, authorization, spent)
        if any(amount > limits[token] for token, amount in spent.items() if token in limits):
            raise RPCError(EXECUTION_REVERTED, "execution reverted", data=_LIMIT_EXCEEDED)

    async def authorizing_gas(self, request: TempoRequest) -> int:
        """What gas it takes to authorize the key of a request's `keyAuthorization`, and not less.

        Raises `RPCError`, also if the chain would refuse to.
        """
        authorization = read_authorization(request.members.get("keyAuthorization"))
        if authorization is None or request.sender is None:
            return 0
        await self.check_request(request, None, await self._node.now())
        try:
            data = keychain.authorize_key(authorization, legacy=not self._has("T3"))
        except KeyAuthorizationError as error:
            invalid_params(str(error))
        call: JSONValue = {"from": request.sender, "to": keychain.ADDRESS, "data": "0x" + data.hex()}
        return quantity(await self._node.call("eth_estimateGas", [call]), "the node's estimate") or 0

    async def _fault(self, signer: Signer, authorization: KeyAuthorization | None, now: int) -> str | None:
        """What the chain finds wrong with who signed, and with the key that is authorized along."""
        if authorization is None:
            if signer.access_key is None:
                return None
            return _unfit(await self._key(signer.account, signer.access_key), signer.key_type, now)
        try:
            granted_by = authorization.signed_by()
        except SignatureError:
            return "failed to recover signer from KeyAuthorization signature"
        return self._misfit(authorization, signer, granted_by, now) or _known(
            await self._key(signer.account, authorization.key_address)
        )

    async def _limits(
        self, account: str, key: str, authorization: KeyAuthorization | None, tokens: Iterable[str]
    ) -> dict[str, int]:
        """What the key may still spend of each token; nothing is said about what has no limit."""
        if authorization is not None:
            granted = authorization.limits
            known = {limit.token.lower(): limit.limit for limit in granted or ()}
            return {} if granted is None else {token: known.get(token, 0) for token in tokens}
        if not (await self._key(account, key)).enforces_limits:
            return {}
        limits = {}
        for token in tokens:
            asked = keychain.get_remaining_limit(account, key, token, legacy=not self._has("T3"))
            limits[token] = keychain.read_limit(await self._read(keychain.ADDRESS, asked))
        return limits

    async def _spending(self, request: TempoRequest, account: str) -> Counter[str]:
        """Base units that the calls transfer, and that approvals are raised by, for each token."""
        spent: Counter[str] = Counter()
        for call in map(call_of, request.calls):
            moved = decode_call(call)
            if moved is not None:
                spent[moved.token.lower()] += moved.amount
            elif call.to is not None and call.data[:4] == _APPROVE and len(call.data) == 4 + 2 * abi.WORD:
                spent["0x" + call.to.hex()] += await self._raise(call, account)
        return spent

    async def _raise(self, approval: Call, account: str) -> int:
        assert approval.to is not None
        spender, amount = abi.read_words(approval.data[4:], 2)
        asked = _ALLOWANCE + abi.address_word(account) + spender
        allowed = int.from_bytes(await self._read("0x" + approval.to.hex(), asked))
        return max(int.from_bytes(amount) - allowed, 0)

    async def _key(self, account: str, key: str) -> KeyInfo:
        return keychain.read_key(await self._read(keychain.ADDRESS, keychain.get_key(account, key)))

    async def _read(self, to: str, data: bytes) -> bytes:
        asked: JSONValue = {"to": to, "data": "0x" + data.hex()}
        return bytes.fromhex(str(await self._node.call("eth_call", [asked, "latest"]))[2:])

    def _check_version(self, signature: bytes | None) -> None:
        kind = signature[0] if signature and len(signature) > 65 else None
        if kind == KEYCHAIN_TYPE and not self._has("T1C"):
            raise _rejected(
                "V2 keychain signature (type 0x04) is not valid before T1C activation; "
                f"this sandbox runs {self._hardfork}, and access keys need one with hardfork T4"
            )
        if kind == _LEGACY_TYPE and self._has("T1C"):
            raise _rejected("legacy V1 keychain signature is no longer accepted, use V2 (type 0x04)")

    def _misfit(
        self, authorization: KeyAuthorization, signer: Signer, granted_by: str, now: int
    ) -> str | None:
        """What is wrong with an authorization, as far as it can be told from itself."""
        chain_id, expiry = authorization.chain_id, authorization.expiry
        if signer.access_key not in (None, authorization.key_address):
            return "access keys cannot authorize other keys, only the root key can authorize new keys"
        if granted_by != signer.account:
            return (
                f"KeyAuthorization must be signed by root account {signer.account}, "
                f"but was signed by {granted_by}"
            )
        if chain_id != self._chain_id and (chain_id or self._has("T1C")):
            return f"KeyAuthorization chain_id mismatch: expected {self._chain_id}, got {chain_id}"
        if expiry is not None and expiry <= now:
            return f"access key expiry {expiry} is in the past (current timestamp: {now})"
        if signer.access_key is not None and authorization.key_type != signer.key_type:
            return (
                "keychain validation failed: "
                "key authorization key_type does not match the keychain signature type"
            )
        return None

    def _has(self, hardfork: str) -> bool:
        return HARDFORKS.index(self._hardfork) >= HARDFORKS.index(hardfork)


def _rejected(reason: str) -> RPCError:
    return RPCError(TRANSACTION_REJECTED, f"tempo transaction error: {reason}")


def _known(info: KeyInfo) -> str | None:
    """Why a key cannot be authorized: it was before."""
    if info.is_revoked:
        return _keychain("precompile error", "KeyAlreadyRevoked")
    return _keychain("precompile error", "KeyAlreadyExists") if info.expiry else None


def _unfit(info: KeyInfo, key_type: str, now: int) -> str | None:
    """Why a key cannot sign now."""
    if info.is_revoked:
        return _keychain("validation failed", "KeyAlreadyRevoked")
    if info.expiry == 0:
        return _keychain("validation failed", "KeyNotFound")
    if info.expiry <= now:
        return _keychain("validation failed", "KeyExpired")
    if info.key_type != key_type:
        return _keychain("validation failed", "SignatureTypeMismatch")
    return None


def _keychain(what: str, error: str) -> str:
    return f"keychain {what}: AccountKeychainError({error}({error}))"
