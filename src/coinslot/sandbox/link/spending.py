"""The life of a spend request.

    created → pending_approval → approved → canceled
                    ↓   ↘ requires_action ↗
         denied, expired, failed, canceled

A token is drawn when the user approves, or has met the bank's challenge, and revoked when what it is for is
cancelled. What is too old is expired before anything else is looked at, so no timer has to survive a restart.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from sqlite3 import Connection
from typing import Final

import msgspec

from coinslot.sandbox.link.database import Clock, Database
from coinslot.sandbox.link.refusals import Refusal
from coinslot.sandbox.link.requests import ACTIVE, CHALLENGE, UPDATE, Action, SpendRequest, Status
from coinslot.sandbox.link.terms import Creation, Terms, Update, change, check
from coinslot.sandbox.link.tokens import NotIssued, TokenSource, Unreachable

DECISION_WINDOW: Final = 600
"""Seconds that a user has for approving."""

LIFETIME: Final = 12 * 3600
"""Seconds from a request's creation for which its credential is good."""

DUPLICATE_WINDOW: Final = 10
"""Seconds in which the same request again, without an idempotency key, is taken for a mistake."""

MAX_ACTIVE: Final = 30
MAX_PER_HOUR: Final = 50

_OPEN: Final = msgspec.json.encode(sorted(ACTIVE)).decode()


class Spending:
    """The spend requests. Without a `source`, none can be made for a shared payment token.

    `limited` is whether Link's limits on how many there may be are enforced; `unattended`, whether every
    request is approved as soon as approval is requested.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        source: TokenSource | None,
        *,
        base_url: Callable[[], str],
        limited: bool,
        unattended: bool,
    ) -> None:
        self._database = database
        self._clock = clock
        self._source = source
        self._base_url = base_url
        self._limited = limited
        self._unattended = unattended
        self._deciding = asyncio.Lock()

    def list(self, *, history: bool) -> list[SpendRequest]:
        """The active ones, or all of them; the newest first."""
        with self._fresh() as state:
            rows = state.execute(
                "SELECT * FROM spend_requests ORDER BY created_at DESC, rowid DESC"
            ).fetchall()
        found = map(SpendRequest.of, rows)
        return [request for request in found if history or request.status in ACTIVE]

    def find(self, identifier: str) -> SpendRequest:
        """The request. Raises `Refusal`."""
        with self._fresh() as state:
            return _find(state, identifier)

    async def create(self, wanted: Creation) -> SpendRequest:
        """A new request, or the one that was made with the same idempotency key. Raises `Refusal`."""
        if wanted.execution_method is not None:
            raise Refusal(422, "This sandbox has no link_pay_token.")
        terms = check(_terms(wanted))
        if terms.credential_type == "shared_payment_token" and self._source is None:
            raise Refusal(422, "This sandbox was given no Stripe API to draw a shared_payment_token from.")
        with self._fresh() as state:
            made = _made_before(state, wanted, terms)
            if made is not None:
                return made
            if self._limited:
                self._check_limits(state, wanted, terms)
            request = self._insert(state, wanted, terms)
        if wanted.request_approval and request.status == "created":
            return await self.request_approval(request.id)
        return request

    def update(self, identifier: str, update: Update) -> SpendRequest:
        """Change the terms while approval has not been requested. Raises `Refusal`."""
        with self._fresh() as state:
            request = _find(state, identifier)
            if request.status != "created":
                raise Refusal(409, f"The spend request is {request.status} and cannot be updated.")
            terms = change(request.terms, update)
            return self._move(state, request, request.status, terms=terms)

    async def request_approval(self, identifier: str) -> SpendRequest:
        """Ask the user. Raises `Refusal`."""
        with self._fresh() as state:
            request = _find(state, identifier)
            if request.status == "pending_approval":
                raise Refusal(400, "Approval has been requested already.")
            if request.status != "created":
                raise Refusal(409, f"The spend request is {request.status}: nothing is to be approved.")
            request = self._move(
                state, request, "pending_approval", decide_by=self._clock() + DECISION_WINDOW
            )
        return await self.approve(identifier) if self._unattended else request

    async def approve(self, identifier: str) -> SpendRequest:
        """The user's yes. What is not waiting for it stays as it is.

        Raises `Unreachable` if Stripe could not be asked for a token: the request waits on.
        """
        async with self._deciding:
            request = self.find(identifier)
            if request.status != "pending_approval":
                return request
            if request.method.attention == "challenge":
                return self._settle(request, "requires_action", action=CHALLENGE)
            return await self._grant(request)

    async def meet_challenge(self, identifier: str, *, passed: bool) -> SpendRequest:
        """The user's answer to their bank, likewise."""
        async with self._deciding:
            request = self.find(identifier)
            if request.status != "requires_action" or request.action != CHALLENGE:
                return request
            if not passed:
                return self._settle(request, "failed", failure="authentication_failed")
            return await self._grant(request)

    async def deny(self, identifier: str) -> SpendRequest:
        """The user's no. What is not waiting for it stays as it is."""
        async with self._deciding:
            request = self.find(identifier)
            return self._settle(request, "denied") if request.status == "pending_approval" else request

    async def cancel(self, identifier: str) -> SpendRequest:
        """Take it back, and with it the token. Raises `Refusal`."""
        async with self._deciding:
            request = self.find(identifier)
            if request.status == "expired":
                raise Refusal(422, "The spend request has expired.")
            if request.status not in ACTIVE:
                raise Refusal(409, f"The spend request is {request.status} and cannot be canceled.")
            if request.token is not None and self._source is not None:
                try:
                    await self._source.revoke(request.token)
                except Unreachable as error:
                    raise Refusal(
                        503, f"The token could not be revoked: {error}.", code="api_error"
                    ) from None
            return self._settle(request, "canceled")

    async def _grant(self, request: SpendRequest) -> SpendRequest:
        if request.terms.credential_type == "card":
            return self._settle(request, "approved")
        if self._source is None:
            raise Unreachable("the sandbox was started without a Stripe API")
        try:
            token = await self._source.issue(request)
        except NotIssued as error:
            return self._settle(request, "failed", failure=error.code)
        current = self.find(request.id)
        if current.status != request.status:  # its time ran out meanwhile
            await self._source.revoke(token)
            return current
        return self._settle(request, "approved", token=token)

    def _settle(
        self,
        request: SpendRequest,
        status: Status,
        *,
        action: Action | None = None,
        token: str | None = None,
        failure: str | None = None,
    ) -> SpendRequest:
        with self._database.transaction() as state:
            return self._move(state, request, status, action=action, token=token, failure=failure)

    def _move(
        self,
        state: Connection,
        request: SpendRequest,
        status: Status,
        *,
        terms: Terms | None = None,
        decide_by: float | None = None,
        action: Action | None = None,
        token: str | None = None,
        failure: str | None = None,
    ) -> SpendRequest:
        row = state.execute(
            "UPDATE spend_requests SET status = ?, terms = ?, updated_at = ?, action = ?, failure = ?,"
            " decide_by = coalesce(?, decide_by), token = coalesce(?, token) WHERE id = ? RETURNING *",
            (
                status,
                _encode(terms or request.terms),
                self._clock(),
                None if action is None else _encode(action),
                failure,
                decide_by,
                token,
                request.id,
            ),
        ).fetchone()
        return SpendRequest.of(row)

    def _insert(self, state: Connection, wanted: Creation, terms: Terms) -> SpendRequest:
        now = self._clock()
        request = SpendRequest(
            id=f"lsrq_{secrets.token_hex(12)}",
            status="created",
            terms=terms,
            created_at=now,
            updated_at=now,
            expires_at=now + LIFETIME,
        )
        state.execute(
            "INSERT INTO spend_requests"
            " (id, status, terms, idempotency_key, created_at, updated_at, expires_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                request.id,
                request.status,
                _encode(terms),
                wanted.idempotency_key,
                request.created_at,
                request.updated_at,
                request.expires_at,
            ),
        )
        if request.method.attention == "update":
            return self._move(state, request, "requires_action", action=UPDATE)
        return request

    def _check_limits(self, state: Connection, wanted: Creation, terms: Terms) -> None:
        now = self._clock()
        rows = state.execute(
            "SELECT * FROM spend_requests WHERE status IN (SELECT value FROM json_each(?))"
            " ORDER BY created_at DESC",
            (_OPEN,),
        ).fetchall()
        active = [SpendRequest.of(row) for row in rows]
        for request in active if wanted.idempotency_key is None else []:
            again_from = request.created_at + DUPLICATE_WINDOW
            if request.terms == terms and now < again_from:
                raise Refusal(
                    429,
                    "The same spend request was made a moment ago.",
                    code="spend_request_rate_limited",
                    extra={
                        "retry_after": int(again_from),
                        "duplicate_spend_request": request.describe(self._base_url()),
                    },
                )
        if len(active) >= MAX_ACTIVE:
            raise Refusal(
                429,
                f"There are {MAX_ACTIVE} active spend requests: cancel some.",
                code="spend_request_rate_limited",
            )
        (recent, oldest) = state.execute(
            "SELECT count(*), min(created_at) FROM spend_requests WHERE created_at > ?", (now - 3600,)
        ).fetchone()
        if recent >= MAX_PER_HOUR:
            raise Refusal(
                429,
                f"More than {MAX_PER_HOUR} spend requests in an hour.",
                code="spend_request_rate_limited",
                extra={"retry_after": int(oldest + 3600)},
            )

    @contextmanager
    def _fresh(self) -> Iterator[Connection]:
        """A transaction in which what is too old has expired."""
        with self._database.transaction() as state:
            now = self._clock()
            state.execute(
                "UPDATE spend_requests SET status = 'expired', updated_at = ?"
                " WHERE status = 'pending_approval' AND decide_by <= ?"
                " OR status IN ('created', 'requires_action', 'approved') AND expires_at <= ?",
                (now, now, now),
            )
            yield state


def _find(state: Connection, identifier: str) -> SpendRequest:
    row = state.execute("SELECT * FROM spend_requests WHERE id = ?", (identifier,)).fetchone()
    if row is None:
        raise Refusal(404, f"No such spend request: '{identifier}'", code="not_found")
    return SpendRequest.of(row)


def _made_before(state: Connection, wanted: Creation, terms: Terms) -> SpendRequest | None:
    row = state.execute(
        "SELECT * FROM spend_requests WHERE idempotency_key = ?", (wanted.idempotency_key,)
    ).fetchone()
    if row is None:
        return None
    made = SpendRequest.of(row)
    if made.terms != terms:
        raise Refusal(409, "That idempotency key was used with other terms.", code="idempotency_error")
    return made


def _terms(wanted: Creation) -> Terms:
    return Terms(**{name: getattr(wanted, name) for name in Terms.__struct_fields__})


def _encode(value: Terms | Action) -> str:
    return msgspec.json.encode(value).decode()
