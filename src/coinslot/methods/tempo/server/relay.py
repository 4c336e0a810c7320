"""A relay: a service that checks and broadcasts payments in a node's place, such as Tempo's own API.

    POST …/v1/mpp/validate     {challenge, payload, source?} → {success: true}
    POST …/v1/mpp/broadcast    the same, under an idempotency key → {success: true, receipt: {reference, …}}
                               or, of either, {success: false, error: {code}}

What can be checked without it is checked first, so it hears only of credentials that look right. A broadcast
whose answer is lost is asked for again under the same key; where the transaction's hash is known, the chain
is asked first.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from typing import Final

import httpx2
import msgspec

from coinslot.errors import (
    ConfigurationError,
    MalformedJSON,
    PaymentError,
    PaymentExpired,
    PaymentInsufficient,
    PaymentUnavailable,
    VerificationFailed,
)
from coinslot.methods.tempo.node import Node, transaction_hash
from coinslot.methods.tempo.rpc import RpcError
from coinslot.methods.tempo.server.pull import describe, read_transaction
from coinslot.methods.tempo.server.push import check_in_time, check_receipt, unavailable
from coinslot.methods.tempo.server.verification import check_transaction, read_source
from coinslot.methods.tempo.wire import Transaction
from coinslot.methods.tempo.wire.terms import Terms
from coinslot.payments.method import Failed, NotSent, Proof, Recovery, Settled, Settlement, Unknown
from coinslot.protocol import Credential, JSONObject, canonical_json, strict_json

logger = logging.getLogger("coinslot.tempo")

RECOVERY: Final = b"relay"
"""Begins what is kept for asking again: it is followed by the request's body."""

_MAX_ANSWER: Final = 64 * 1024
_TIMEOUT: Final = 20.0

# What these codes say of a payment; of any other, nothing is certain.
_REFUSALS: Final = {
    "expired": "it has expired",
    "insufficient_funds": "the payer does not have what it takes",
    "invalid_payment": "it does not pay this challenge",
    "policy_denied": "it is not allowed",
    "screen_rejected": "it is not allowed",
    "simulation_failed": "it would fail",
    "unsupported": "it is of a kind that is not supported",
}


class Relay:
    """Where payments are relayed to, and by whom.

        tempo.charge("0x…", relay=tempo.Relay("tempo_sk_…"))

    `api_key` is the customer's; `url` is the service's, with a path in front if it has one. `pays_fees` says
    that it sponsors: challenges then promise it. Raises `ConfigurationError`.
    """

    def __init__(self, api_key: str, *, url: str = "https://api.tempo.xyz", pays_fees: bool = False) -> None:
        if not api_key or not api_key.isascii() or not api_key.isprintable():
            raise ConfigurationError("a relay's api_key is printable ASCII text")
        try:
            base = httpx2.URL(url)
        except httpx2.InvalidURL:
            base = httpx2.URL()
        if base.scheme not in ("http", "https") or not base.host:
            raise ConfigurationError("a relay's url has to be an http or https URL")
        self.url = base.copy_with(path=base.path.rstrip("/") + "/v1/mpp/")
        self.api_key = api_key
        self.pays_fees = pays_fees

    def __repr__(self) -> str:
        return f"Relay({self.url.host!r})"


class Relayed:
    """Takes transactions and hashes, and leaves them to a relay. `node` is asked only what became of one."""

    def __init__(self, relay: Relay, node: Node, *, clock: Callable[[], float]) -> None:
        self._relay = relay
        self._node = node
        self._clock = clock
        self._clients: dict[asyncio.AbstractEventLoop, httpx2.AsyncClient] = {}

    async def verify(self, credential: Credential, terms: Terms) -> Proof:
        """Check it here, then have the relay check it.

        Raises a refusal, `NotApplied` if it refuses money that came for this very challenge, too late or not
        as asked, or `PaymentUnavailable` if the relay does not answer.
        """
        is_pushed, source = credential.payload["type"] == "hash", None
        if not is_pushed:
            transaction = read_transaction(credential, terms)
            signer = check_transaction(
                transaction, credential.challenge, credential.source, terms, self._clock()
            )
            reference = transaction_hash(transaction)
            payer: str | None = signer.account
        else:
            reference, payer = str(credential.payload["hash"]), None
            if credential.source is not None:
                source = read_source(credential.source, terms.chain_id)
        body = _body(credential)
        answer = await self._post("validate", body)
        if answer is None:
            raise PaymentUnavailable("The payment cannot be checked right now. Send it again.")
        if answer.get("success") is not True:
            if is_pushed and _code(answer) in _REFUSALS:
                await self._check_money(credential, source, terms)
            raise _refusal(answer)
        return Proof(
            key=f"tempo:{terms.chain_id}:{reference}",
            reference=reference,
            amount=terms.amount,
            currency=terms.currency,
            recipient=terms.recipient,
            payer=payer,
            recovery=Recovery(RECOVERY + body),
        )

    async def settle(self, proof: Proof) -> Settlement:
        """Have the relay broadcast it, or find that it has."""
        body = proof.recovery.data.removeprefix(RECOVERY)
        answer = await self._post("broadcast", body, key=_idempotency_key(body, proof))
        if answer is None:
            return Unknown(reason=f"the relay gave no answer to the broadcast of {proof.reference}")
        receipt = answer.get("receipt")
        if answer.get("success") is True and isinstance(receipt, dict):
            reference = receipt.get("reference")
            if isinstance(reference, str) and receipt.get("method") == "tempo":
                return Settled(reference=reference.lower(), payer=proof.payer)
        code = _code(answer)
        if code == "already_used" and isinstance(found := await self.look_up(proof), Settled | Failed):
            return found
        if code not in _REFUSALS:
            return Unknown(reason=f"the relay answered the broadcast of {proof.reference} with {code}")
        found = await self.look_up(proof)
        if isinstance(found, NotSent):
            # It refuses, and the payer's transaction could still get onto the chain some other way.
            return NotSent(reason=f"the relay refuses {proof.reference}: {code}")
        return found

    async def look_up(self, proof: Proof) -> Settlement:
        """What the chain says, if the hash is known; else the relay has to be asked again."""
        transaction = _final_transaction(proof)
        try:
            await self._node.check_chain()
            if transaction is None:
                # What was pushed is known by its hash; what the relay pays the fee of gets another.
                receipt = await self._node.receipt(proof.reference)
                if receipt is not None and receipt.succeeded:
                    return Settled(reference=proof.reference, payer=proof.payer)
                return NotSent(reason=f"only the relay knows what became of {proof.reference}")
            found = await self._node.find(proof.reference, transaction.valid_before or 0)
        except RpcError as error:
            return Unknown(reason=f"{proof.reference} could not be looked up: {error}")
        return describe(found, transaction, proof)

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    async def _check_money(self, credential: Credential, source: str | None, terms: Terms) -> None:
        """Of a push payment that the relay refuses, the money may have come all the same.

        Raises `NotApplied` if the chain says so, and that it is late or not what was asked.
        """
        try:
            await self._node.check_chain()
            receipt = await self._node.receipt(str(credential.payload["hash"]))
        except RpcError as error:
            raise unavailable(error) from error
        if receipt is None or not receipt.succeeded:
            return
        payer = source or receipt.sender
        made = [one for one in receipt.transfers if one.sender == payer]
        try:
            proof = check_receipt(receipt, made, credential.challenge, terms)
        except (PaymentInsufficient, VerificationFailed):
            return
        expires = credential.challenge.expires_at()
        if expires is not None:
            await check_in_time(self._node, receipt, expires, proof)

    async def _post(self, what: str, body: bytes, *, key: str | None = None) -> JSONObject | None:
        """What the relay answers, or None if there is no telling."""
        headers = {"tempo-api-key": self._relay.api_key, **({"idempotency-key": key} if key else {})}
        try:
            async with self._client().stream(
                "POST", self._relay.url.join(what), content=body, headers=headers
            ) as response:
                answer = bytearray()
                async for chunk in response.aiter_bytes():
                    answer += chunk
                    if len(answer) > _MAX_ANSWER:
                        break
            parsed = strict_json(bytes(answer), limit=_MAX_ANSWER)
        except (httpx2.HTTPError, MalformedJSON) as error:
            logger.warning("the relay at %s: %s", self._relay.url.host, type(error).__name__)
            return None
        return parsed if isinstance(parsed, dict) else None

    def _client(self) -> httpx2.AsyncClient:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            for ended in [loop for loop in self._clients if loop.is_closed()]:
                del self._clients[ended]
            headers = {"content-type": "application/json", "accept": "application/json"}
            client = self._clients[loop] = httpx2.AsyncClient(headers=headers, timeout=_TIMEOUT)
        return client


def _body(credential: Credential) -> bytes:
    """The request: the challenge with its `request` as an object, and what was presented for it."""
    challenge = credential.challenge
    members: JSONObject = {
        name: value for name, value in msgspec.to_builtins(challenge).items() if value is not None
    }
    members["request"] = challenge.decode_request()
    body: JSONObject = {"challenge": members, "payload": credential.payload}
    if credential.source is not None:
        body["source"] = credential.source
    return canonical_json(body)


def _idempotency_key(body: bytes, proof: Proof) -> str:
    if _final_transaction(proof) is not None:
        return f"mpp_{proof.reference}"
    return f"mpp_0x{hashlib.sha256(body).hexdigest()}"


def _final_transaction(proof: Proof) -> Transaction | None:
    """The transaction as it gets onto the chain: in pull, and unless somebody signs for its fee."""
    body = strict_json(proof.recovery.data.removeprefix(RECOVERY), limit=1 << 20)
    payload = body["payload"] if isinstance(body, dict) else None
    signed = payload.get("signature") if isinstance(payload, dict) else None
    if not isinstance(signed, str) or not signed.startswith("0x76"):
        return None
    transaction = Transaction.decode(bytes.fromhex(signed[2:]))
    return None if transaction.fee_payer_signature is not None else transaction


def _refusal(answer: JSONObject) -> PaymentError:
    code = _code(answer)
    if code == "expired":
        return PaymentExpired("The payment has expired.")
    if code in _REFUSALS:
        return VerificationFailed(f"The payment was not accepted: {_REFUSALS[code]}.")
    if code == "already_used":
        return VerificationFailed("The payment has been used already.")
    return PaymentUnavailable(
        "The payment cannot be checked right now. Send it again.", log=f"the relay answered {code}"
    )


def _code(answer: JSONObject) -> str:
    error = answer.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    is_code = isinstance(code, str) and len(code) < 40 and code.replace("_", "").isalpha()
    return str(code) if is_code else "nothing known"
