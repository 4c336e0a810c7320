"""The engine: from a request to an order, and from a refusal to an answer. The same for every adapter.

The order of the checks is a promise to both sides: nothing is read from the world before
everything that can be known without it is known, and a payment that the ledger has is judged by the challenge
it was made for, not by today's price or clock.

    1. private enough a connection?        403 https-required
    2. one Payment credential?             402 payment-required, 400 for two
    3. readable, ours, for this request?   402 malformed-credential, invalid-challenge
    4. in the ledger already?              then its state answers, or the answer that was kept for it
    5. not expired, today's terms, a payload of the right shape
"""

from __future__ import annotations

import inspect
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from coinslot.errors import (
    AmountError,
    BadRequest,
    ConfigurationError,
    CredentialMalformed,
    HttpsRequired,
    InvalidChallenge,
    InvalidPayload,
    MalformedCredential,
    MethodUnsupported,
    PaymentError,
    PaymentExpired,
    PaymentInsufficient,
    PaymentRequired,
    PaymentUnavailable,
    ProtocolError,
    RateLimited,
    VerificationFailed,
)
from coinslot.payments.asking import where
from coinslot.payments.events import ChallengeIssued, CredentialRefused, Events
from coinslot.payments.method import MovesFirst, Price, ServerMethod
from coinslot.payments.order import Order, fingerprint
from coinslot.payments.payment import State
from coinslot.payments.replay import Replay, find_replay, hash_key
from coinslot.payments.till import Till
from coinslot.protocol import (
    PROBLEMS,
    Binder,
    Challenge,
    Credential,
    JSONObject,
    content_digest,
    digest_matches,
    encode_base64url,
    encode_object,
    find_credentials,
    format_timestamp,
    parse_preference,
    problem_body,
)
from coinslot.protocol.preference import MAX_PREFERENCE
from coinslot.server.exchange import EXPOSED, BodyKind, Request, Response, is_cross_origin
from coinslot.server.limits import Limiter
from coinslot.server.offers import AUTHORIZATION, PAYMENT_AUTHORIZATION, PreparedOffer, prepare
from coinslot.server.scope import SCOPE_NAMES, scope_of

if TYPE_CHECKING:
    from coinslot.server.gate import Gate

logger = logging.getLogger("coinslot")

LATE: Final = 3600.0
"""Seconds after a challenge's expiry for which a payment that was made in time can still be shown."""


class Engine:
    """Everything a Paywall knows, put to work. Made once; holds no state of a request."""

    def __init__(
        self,
        *,
        methods: Sequence[ServerMethod],
        realm: str,
        binder: Binder,
        till: Till,
        events: Events,
        expires_in: float,
        payment_authorization: bool,
        insecure_http: bool,
        limiter: Limiter | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.till = till
        self.events = events
        self._payment_authorization = payment_authorization
        self.realm = realm
        self._methods = tuple(methods)
        self._binder = binder
        self._expires_in = expires_in
        self._insecure_http = insecure_http
        self._limiter = limiter
        self._clock = clock
        self._credential_header = (
            (PAYMENT_AUTHORIZATION if payment_authorization else AUTHORIZATION).encode().lower()
        )
        self.offers = lru_cache(maxsize=1024)(self._prepare)

    def _prepare(self, price: Price) -> tuple[PreparedOffer, ...]:
        return prepare(
            self._methods, price, realm=self.realm, payment_authorization=self._payment_authorization
        )

    # From a request to an order

    async def admit(self, gate: Gate, request: Request) -> Order | Replay:
        """The order that this request's credential makes, or the answer that was kept for it.

        Moves no money. Raises a `PaymentError`.
        """
        credential = self.read(request)
        key = request.idempotency_key
        challenge = credential.challenge
        self._check_origin(gate, request, challenge)
        terms = challenge.decode_request()
        expires_at = challenge.expires_at()
        if expires_at is None:  # we never issue one without
            raise InvalidChallenge("The challenge has no expiry.")
        method = self._method(challenge)
        known = await self.till.find(challenge.id)
        if known is None:
            if expires_at <= self._clock() and not self._may_be_late(method, credential, expires_at):
                raise PaymentExpired(f"The challenge expired at {challenge.expires}.")
            self._check_terms(challenge, terms, await self._offer(method, gate, request))
        self._check_body(request, challenge)
        try:
            credential = replace(credential, payload=_canonical(method, credential.payload))
            presented = fingerprint(credential)
        except InvalidPayload:
            if known is not None:
                raise InvalidChallenge("This challenge already has a payment.") from None
            raise
        order = Order(
            method=method,
            credential=credential,
            fingerprint=presented,
            request=terms,
            route=request.label,
            expires_at=expires_at,
            is_known=known is not None,
            key=None if key is None else hash_key(key),
        )
        if known is not None:
            if key is not None and (replay := await find_replay(self.till, order, known)) is not None:
                return replay
            self.till.refuse_spent(known, presented)
            if callable(gate.price):  # the same path may sell something dearer than what was paid for
                _check_price(terms, await self._offer(method, gate, request))
        if self._limiter is not None and (known is None or known.state is not State.SETTLED):
            await self._limiter.count_credential(request)
        return order

    def read(self, request: Request) -> Credential:
        """The request's one Payment credential. Raises `PaymentRequired` if there is none."""
        if not (self._insecure_http or request.is_private):
            raise HttpsRequired(
                "Payment needs https. Behind a proxy that speaks https, let the server trust its forwarded "
                "headers (uvicorn: --proxy-headers --forwarded-allow-ips)."
            )
        values = find_credentials(request.values(self._credential_header))
        if not values:
            raise PaymentRequired("Payment is required.")
        if len(values) > 1:
            raise BadRequest("The request has more than one Payment credential. Send one.")
        try:
            return Credential.parse(values[0])
        except MalformedCredential as error:
            raise CredentialMalformed(f"Credential is malformed: {error}") from error

    def _check_origin(self, gate: Gate, request: Request, challenge: Challenge) -> None:
        """Ours, untouched, and issued for this very request. Raises `InvalidChallenge`."""
        if not self._binder.accepts(challenge):
            raise InvalidChallenge("The challenge was not issued by this server.")
        if challenge.realm != self.realm:
            raise InvalidChallenge(f"The challenge is for the realm {challenge.realm!r}.")
        if request.method == "HEAD":
            raise InvalidChallenge("HEAD is never charged. Send the credential with the request it is for.")
        try:
            issued = challenge.decode_opaque()
        except ProtocolError as error:
            raise InvalidChallenge("The challenge has no scope.") from error
        for member, value in scope_of(gate, request).items():
            if issued.get(member) != value:
                raise InvalidChallenge(f"The challenge was issued for another {SCOPE_NAMES[member]}.")

    def _method(self, challenge: Challenge) -> ServerMethod:
        for method in self._methods:
            if method.name == challenge.method and method.intent == challenge.intent:
                return method
        raise MethodUnsupported(f"{challenge.method}/{challenge.intent} is not accepted here.")

    async def _offer(self, method: ServerMethod, gate: Gate, request: Request) -> PreparedOffer:
        """What this method asks for this request now. Raises `MethodUnsupported`."""
        for offer in await self.offers_for(gate, request):
            if offer.method is method:
                return offer
        raise MethodUnsupported(f"{method.name}/{method.intent} is not accepted for this resource.")

    def _check_terms(self, challenge: Challenge, terms: JSONObject, now: PreparedOffer) -> None:
        """What was promised then is what is asked now. Raises `InvalidChallenge`, `PaymentInsufficient`."""
        if challenge.request == now.request:
            return
        asked, promised = now.pinned(now.offer.request), now.pinned(terms)
        changed = sorted(name for name in {*asked, *promised} if asked.get(name) != promised.get(name))
        if not changed:
            return
        if changed == ["amount"]:
            _check_price(terms, now)
        raise InvalidChallenge(f"The terms have changed since the challenge: {', '.join(changed)}.")

    def _may_be_late(self, method: ServerMethod, credential: Credential, expires_at: float) -> bool:
        """Whether the money may have moved in time, though its proof comes late."""
        if not isinstance(method, MovesFirst) or self._clock() >= expires_at + LATE:
            return False
        return method.has_moved(_canonical(method, credential.payload))

    def _check_body(self, request: Request, challenge: Challenge) -> None:
        if challenge.digest is None:
            return  # the scope, compared before, says that this challenge binds no body
        if request.body is None or not digest_matches(challenge.digest, request.body):
            raise InvalidChallenge("The challenge was issued for another request body.")

    # From a refusal to an answer

    async def offers_for(self, gate: Gate, request: Request) -> tuple[PreparedOffer, ...]:
        """What this request costs, as each method asks for it. Raises what the price's callable raises."""
        if gate.offers:
            return gate.offers
        amount = gate.price(request) if callable(gate.price) else gate.price
        if inspect.isawaitable(amount):
            amount = await amount
        try:
            return self.offers(replace(gate.template, amount=amount))
        except (AmountError, ConfigurationError) as error:
            raise PaymentUnavailable("This price cannot be charged right now.", log=str(error)) from error

    async def refuse(self, gate: Gate, request: Request, error: PaymentError) -> Response:
        """The answer to a request that is not served. Every 402 carries fresh challenges."""
        slug = error.slug if error.slug in PROBLEMS else VerificationFailed.slug  # a method may have its own
        ids: list[str] = []
        challenges: list[tuple[bytes, bytes]] = []
        if PROBLEMS[slug].status == 402:
            try:
                ids, challenges = await self._challenges(gate, request, slug)
            except RateLimited as limited:
                self._report(request, error)
                return _problem(request, limited.slug, limited)
            except PaymentError as unpriced:
                if PROBLEMS[unpriced.slug].status == 402:
                    unpriced = PaymentUnavailable(
                        "This price cannot be charged right now.", log=str(unpriced)
                    )
                return await self.refuse(gate, request, unpriced)
        self._report(request, error)
        return _problem(request, slug, error, challenges, *ids[:1])

    async def _challenges(
        self, gate: Gate, request: Request, slug: str
    ) -> tuple[list[str], list[tuple[bytes, bytes]]]:
        if self._limiter is not None:
            await self._limiter.count_challenge(request)
        drawn = [await offer.drawn() for offer in await self.offers_for(gate, request)]
        offers = tuple(offer for offer in drawn if offer is not None)
        if not offers:
            raise PaymentUnavailable("This cannot be paid for right now.")
        if (wish := request.header("accept-payment")) is not None:
            offers = _preferred(wish, offers)
        scope = scope_of(gate, request)
        scope["nonce"] = encode_base64url(secrets.token_bytes(12))
        digest = content_digest(request.body or b"") if scope["body"] == BodyKind.DIGEST else None
        expires = _timestamp(int(self._clock() + self._expires_in))
        opaque = encode_object(scope)
        issued = [
            offer.issue(self._binder, expires=expires, digest=digest, opaque=opaque) for offer in offers
        ]
        ids = [challenge_id for challenge_id, _ in issued]
        if ChallengeIssued in self.events:
            names = tuple(f"{offer.method.name}/{offer.method.intent}" for offer in offers)
            self.events.emit(ChallengeIssued(request.label, tuple(ids), names, slug))
        return ids, [(b"www-authenticate", value) for _, value in issued]

    def _report(self, request: Request, error: PaymentError) -> None:
        if isinstance(error, PaymentRequired):
            return
        if error.log is not None:
            logger.error("%s: %s: %s", request.label, error.slug, error.log)
        else:
            logger.info("%s: %s: %s", request.label, error.slug, error.detail)
        if CredentialRefused in self.events:
            self.events.emit(CredentialRefused(request.label, error.slug, error.detail))


def _problem(
    request: Request,
    slug: str,
    error: PaymentError,
    challenges: Sequence[tuple[bytes, bytes]] = (),
    challenge_id: str | None = None,
) -> Response:
    body = problem_body(slug, error.detail, challenge_id=challenge_id)
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"cache-control", b"no-store"),
        *challenges,
    ]
    if error.retry_after is not None:
        headers.append((b"retry-after", str(error.retry_after).encode()))
    if is_cross_origin(request.headers):
        headers.append(EXPOSED)
    headers.append((b"content-length", str(len(body)).encode()))
    return Response(status=PROBLEMS[slug].status, headers=tuple(headers), body=body)


def _canonical(method: ServerMethod, payload: JSONObject) -> JSONObject:
    try:
        return method.canonical(payload)
    except PaymentError:
        raise
    except Exception as error:  # noqa: BLE001 - a method's fault in reading what a stranger sent
        raise InvalidPayload("The payload cannot be read.", log=f"{method.name}: {where(error)}") from None


def _check_price(terms: JSONObject, now: PreparedOffer) -> None:
    """What was promised then is not less than what is asked now. Raises `PaymentInsufficient`."""
    then = str(terms.get("amount"))
    if not then.isdecimal() or int(then) < now.offer.amount:
        raise PaymentInsufficient(
            f"The price is {now.offer.amount} base units now; the challenge was for {then}."
        )


_timestamp = lru_cache(maxsize=4)(format_timestamp)


_preference = lru_cache(maxsize=256)(parse_preference)


def _preferred(wish: str, offers: tuple[PreparedOffer, ...]) -> tuple[PreparedOffer, ...]:
    preference = _preference(wish) if len(wish) <= MAX_PREFERENCE else None  # the cache must stay small
    if preference is None:
        return offers
    names = [(offer.method.name, offer.method.intent) for offer in offers]
    return tuple(offers[index] for index in preference.rank(names))
