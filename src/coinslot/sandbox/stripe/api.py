"""One request to the API, from its bytes to its answer's.

    admit     who asks, for which endpoint; the idempotency key is claimed       one transaction
    evidence  what the chain says of the transaction that is named, if one is    no transaction
    execute   the endpoint, its events, and the answer that the key keeps        one transaction

Between the two, a concurrent request with the same key is told that it is in use.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct

from coinslot.methods.tempo.rpc import RpcError
from coinslot.protocol import JSONObject
from coinslot.sandbox.stripe import accounts, endpoints, faults, idempotency
from coinslot.sandbox.stripe.calls import Call, Endpoint
from coinslot.sandbox.stripe.chain import NETWORK, Chain, Evidence
from coinslot.sandbox.stripe.errors import ApiError, server_error
from coinslot.sandbox.stripe.faults import FaultSettings
from coinslot.sandbox.stripe.form import Form
from coinslot.sandbox.stripe.identifiers import new_id
from coinslot.sandbox.stripe.limits import RateLimit
from coinslot.sandbox.stripe.networks import is_transaction
from coinslot.sandbox.stripe.shapes.event import EventRequest
from coinslot.sandbox.stripe.state import State
from coinslot.sandbox.stripe.store import Store
from coinslot.sandbox.stripe.versions import read_version

logger = logging.getLogger("coinslot.sandbox.stripe")

_WITH_KEYS: Final = ("POST", "DELETE")


class Asked(Struct, frozen=True, kw_only=True):
    """A request as it came. `headers` have lower-case names."""

    method: str
    path: str
    headers: dict[str, str]
    form: Form

    @property
    def key(self) -> str | None:
        """The idempotency key, where one counts."""
        return self.headers.get("idempotency-key") if self.method in _WITH_KEYS else None


class Answer(Struct, kw_only=True):
    """What goes back. A `dropped` one does not: the connection breaks instead."""

    status: int
    body: bytes
    headers: dict[str, str]
    dropped: bool = False


class _Admitted(Struct, frozen=True, kw_only=True):
    account: str
    version: str
    endpoint: Endpoint
    ids: tuple[str, ...]
    fault: FaultSettings | None
    stored: idempotency.Stored | None


class Api:
    """The API over a state. `changed` is called after each request that may have left something to do."""

    def __init__(
        self, store: Store, limit: RateLimit, chain: Chain | None, changed: Callable[[], None]
    ) -> None:
        self._store = store
        self._limit = limit
        self._chain = chain
        self._changed = changed

    async def answer(self, asked: Asked) -> Answer:
        """Do what is asked. Never raises."""
        request_id = new_id("req", length=14)
        try:
            answer = await self._answer(asked, request_id)
        except ApiError as error:
            answer = _refusal(error)
        except Exception:
            logger.exception("%s %s failed", asked.method, asked.path)
            answer = _refusal(server_error())
        if asked.method in _WITH_KEYS:
            self._changed()
        answer.headers = {**_headers(asked, request_id), **answer.headers}
        return answer

    async def _answer(self, asked: Asked, request_id: str) -> Answer:
        admitted = await self._store.run(lambda state: self._admit(state, asked, request_id))
        fault = admitted.fault
        if fault is not None and fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
        if admitted.stored is not None:
            answer = _replay(admitted.stored)
        elif fault is not None and fault.kind == "drop" and fault.when == "before":
            await self._release(admitted, asked)
            answer = _refusal(server_error())
        else:
            answer = await self._execute(asked, request_id, admitted)
        answer.headers["Stripe-Version"] = admitted.version
        answer.dropped = fault is not None and fault.kind == "drop"
        return answer

    def _admit(self, state: State, asked: Asked, request_id: str) -> _Admitted:
        account = accounts.authenticate(
            state, asked.headers.get("authorization"), asked.headers.get("stripe-account")
        )
        if not self._limit.admits(account):
            raise faults.limited()
        version = read_version(asked.headers.get("stripe-version"))
        endpoint, ids = endpoints.find(asked.method, asked.path, version)
        fault = faults.strike(state, asked.method, asked.path)
        stored = None
        if asked.key is not None and not (fault is not None and fault.kind == "rate_limit"):
            print_ = idempotency.fingerprint(asked.method, asked.path, asked.form)
            stored = idempotency.claim(state, account, asked.key, asked.path, print_, request_id)
        return _Admitted(
            account=account, version=version, endpoint=endpoint, ids=ids, fault=fault, stored=stored
        )

    async def _execute(self, asked: Asked, request_id: str, admitted: _Admitted) -> Answer:
        fault = admitted.fault
        if fault is not None and fault.kind == "rate_limit":
            raise faults.limited(fault.code)
        try:
            evidence = await self._evidence(asked.form)
            return await self._store.run(lambda state: _run(state, asked, request_id, admitted, evidence))
        except BaseException:
            await self._release(admitted, asked)
            raise

    async def _release(self, admitted: _Admitted, asked: Asked) -> None:
        key = asked.key
        if key is not None:
            await self._store.run(lambda state: idempotency.release(state, admitted.account, key))

    async def _evidence(self, form: Form) -> Evidence | None:
        """What the chain says of the transaction that the parameters want verified."""
        options: object = form.get("payment_method_options")
        for name in ("crypto", "transaction_verification_options"):
            options = options.get(name) if isinstance(options, dict) else None
        if self._chain is None or not isinstance(options, dict) or options.get("network") != NETWORK:
            return None
        hash_ = options.get("transaction_hash")
        if not isinstance(hash_, str) or not is_transaction(NETWORK, hash_):
            return None
        try:
            return await self._chain.evidence(hash_)
        except RpcError:
            logger.warning("the chain did not say what became of a transaction", exc_info=True)
            return None


def _run(
    state: State, asked: Asked, request_id: str, admitted: _Admitted, evidence: Evidence | None
) -> Answer:
    """The endpoint's answer, which is stored for the key in the same transaction."""
    state.request = EventRequest(id=request_id, idempotency_key=asked.key)
    state.version = admitted.version
    call = Call(
        account=admitted.account,
        version=admitted.version,
        path=asked.path,
        ids=admitted.ids,
        evidence=evidence,
    )
    try:
        answer = _success(_with_fault(state, call, asked.form, admitted))
    except ApiError as error:
        if not error.executed:
            raise
        answer = _refusal(error)
    if asked.key is not None:
        idempotency.store(state, admitted.account, asked.key, answer.status, answer.body)
    return answer


def _with_fault(state: State, call: Call, form: Form, admitted: _Admitted) -> JSONObject:
    fault = admitted.fault if admitted.fault is not None and admitted.fault.kind == "error" else None
    if fault is not None and fault.when == "before":
        raise faults.broken(fault.status)
    with state.attempt():
        body = admitted.endpoint.run(state, call, form)
    if fault is not None:
        raise faults.broken(fault.status)
    return body


def _success(body: JSONObject) -> Answer:
    return Answer(status=200, body=_encode(body), headers={})


def _refusal(error: ApiError) -> Answer:
    return Answer(status=error.status, body=_encode(error.answer()), headers=dict(error.headers))


def _replay(stored: idempotency.Stored) -> Answer:
    headers = {"Idempotent-Replayed": "true", "Original-Request": stored.request_id}
    return Answer(status=stored.status, body=stored.body, headers=headers)


def _headers(asked: Asked, request_id: str) -> dict[str, str]:
    headers = {"Request-Id": request_id, "Content-Type": "application/json", "Cache-Control": "no-store"}
    key, connected = asked.key, asked.headers.get("stripe-account")
    if key is not None:
        headers["Idempotency-Key"] = key
        headers["Original-Request"] = request_id
    if connected is not None:
        headers["Stripe-Account"] = connected
    return headers


def _encode(body: JSONObject) -> bytes:
    """As Stripe writes JSON: to be read."""
    return msgspec.json.format(msgspec.json.encode(body), indent=2) + b"\n"
