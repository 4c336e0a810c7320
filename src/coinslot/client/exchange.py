"""One request and its payment, without the I/O.

    ask ──► not a 402, or one that asks for no payment ───────────────► the answer
     │
     ▼
    choose ──► nothing acceptable ────────────────────────────────────► a WalletError; nothing was signed
     │  ▲
     ▼  └────────────────────── once ────────────────────────┐
    pay ──► present ──► no answer, "not yet": present again  │
                │              └──► to no avail ──────────────────────► PaymentUndecided, or the answer
                ├──► 402, and the proof is certainly dead ───┘
                ▼
             the answer

`Exchange.run` is a generator: it yields a `Step` and is resumed with what that gave, or with the exception
that it raised. It reads no clock and draws no random numbers but those that it was given, so one piece of
logic serves every HTTP library, threads and event loops alike, and can be tested by hand.

The rule that it all serves: one request makes one payment. There is a second only if the method knows that
the first took nothing and never will, and there is no third. Once a credential has been sent, the only ways
out are an answer, with the payment in `records`, and `PaymentUndecided`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from coinslot.client import acceptance
from coinslot.client.pending import is_pending, may_be_pending, pause_after_try
from coinslot.client.record import Outcome, PaymentRecord
from coinslot.client.steps import (
    AskDead,
    AskQuote,
    Lost,
    Pay,
    Peek,
    ReadBody,
    RequestHead,
    ResponseHead,
    Send,
    Steps,
    T,
    Wait,
    take,
)
from coinslot.errors import (
    CoinslotError,
    InsufficientFunds,
    MalformedChallenge,
    MalformedReceipt,
    NoAcceptableChallenge,
    PaymentUndecided,
    UnsafeOrigin,
    WalletError,
)
from coinslot.payments.method import ClientMethod, Payload, Quote, Revokes
from coinslot.protocol import Challenge, Credential, Receipt, find_credentials, format_preference

MAX_CHALLENGES = 16
"""Challenges in one 402 that are looked at; each may cost its method a question to the world."""

MAX_TRIES = 12
"""Times that one credential is presented in one exchange."""

UNPAID_METHODS = frozenset({"HEAD", "OPTIONS", "TRACE"})
"""Request methods that deliver nothing worth paying for. Their 402 goes to the caller."""


class Rules(Struct, frozen=True, kw_only=True):
    """What a wallet may do; `Wallet` says what each of them means."""

    methods: tuple[ClientMethod, ...]
    max_amount: Decimal
    patience: float
    trusted_realms: frozenset[str]


class _Presented(Struct, frozen=True):
    """A proof that was sent, who made it, and the last answer to it."""

    method: ClientMethod
    payload: Payload
    answer: ResponseHead


class Exchange:
    """One request through a wallet.

    `records` is what is known of its payments, the last one last. There may be none, one, or two.
    """

    def __init__(
        self,
        request: RequestHead,
        rules: Rules,
        *,
        now: Callable[[], float],
        new_key: Callable[[], str],
        earlier: PaymentRecord | None = None,
    ) -> None:
        """`now` gives Unix seconds; `new_key` gives a fresh idempotency key.

        `earlier` is a payment that the request brings along. It is presented, if it was made for this very
        request, and no other is made.
        """
        self.records: list[PaymentRecord] = [] if earlier is None else [earlier]
        self._request = request
        self._rules = rules
        self._now = now
        self._new_key = new_key
        self._fields: dict[str, str] = {}
        if not request.values("accept-payment"):
            self._fields["Accept-Payment"] = format_preference((m.name, m.intent) for m in rules.methods)

    def run(self) -> Steps[None]:
        """Have the request sent, and paid for if it comes to that. The last answer is the caller's.

        Raises a `WalletError` if it asks for a payment that the wallet does not make, and the HTTP
        library's error if there was no answer and nothing was paid.
        """
        if self.records:
            yield from self._bring_along(self.records[0])
            return
        challenges = self._challenges((yield from self._ask()))
        if not challenges:
            return
        first = yield from self._pay_one(challenges)
        if (yield from self._is_refused(first)):
            yield from self._pay_again(first.answer)

    def _bring_along(self, payment: PaymentRecord) -> Steps[None]:
        """Present an earlier payment. A request that it was not made for (a redirect's) goes without one."""
        if payment.origin == self._request.origin and payment.request == str(self._request):
            yield from self._guarded(self._present())
        else:
            yield from self._ask()

    def _pay_again(self, answer: ResponseHead) -> Steps[None]:
        """Pay what `answer` asks for, after a payment that is certainly dead, or leave it as it is."""
        try:
            challenges = self._challenges(answer)
            if not challenges:
                return
            second = yield from self._pay_one(challenges)
        except PaymentUndecided:
            raise
        except WalletError:
            return
        yield from self._is_refused(second)

    def _ask(self) -> Steps[ResponseHead]:
        """Send the request without a payment."""
        reply = yield from take(Send(self._fields))
        if isinstance(reply, Lost):
            raise reply.error
        return reply

    def _challenges(self, answer: ResponseHead) -> list[Challenge]:
        """What there is to pay. Empty if nothing is asked for, or it is not for the wallet to pay it."""
        request = self._request
        if answer.status != 402 or request.method in UNPAID_METHODS or _pays_by_hand(request):
            return []
        try:
            challenges = Challenge.parse_all(answer.values("www-authenticate"))
        except MalformedChallenge as error:
            raise NoAcceptableChallenge(
                f"nothing that {request.origin} asks for can be read: {error}"
            ) from error
        if challenges and not request.origin.is_safe:
            raise UnsafeOrigin(
                f"{request.origin} asks for a payment over plain http, where anyone could take it"
            )
        return challenges[:MAX_CHALLENGES]

    def _pay_one(self, challenges: list[Challenge]) -> Steps[_Presented]:
        """Pay the first challenge that is acceptable and present the proof."""
        body = yield from take(ReadBody())
        refused: list[tuple[Challenge, CoinslotError]] = []
        for challenge, method in self._offers(challenges):
            try:
                field, quote = yield from self._judge(challenge, method, body)
            except CoinslotError as error:
                refused.append((challenge, error))
                continue
            assert method is not None
            try:
                payload = yield from take(Pay(method, challenge))
            except InsufficientFunds as error:  # nothing was made; another offer may draw on another account
                refused.append((challenge, error))
                continue
            answer = yield from self._guarded(self._present_new(challenge, quote, field, payload))
            return _Presented(method, payload, answer)
        raise acceptance.refusal(self._request.origin, refused)

    def _offers(self, challenges: list[Challenge]) -> list[tuple[Challenge, ClientMethod | None]]:
        """Each challenge in the server's order, with each method in the wallet's that is of its kind."""
        offers: list[tuple[Challenge, ClientMethod | None]] = []
        for challenge in challenges:
            kind = (challenge.method, challenge.intent)
            methods = [method for method in self._rules.methods if (method.name, method.intent) == kind]
            offers += [(challenge, method) for method in methods] or [(challenge, None)]
        return offers

    def _judge(
        self, challenge: Challenge, method: ClientMethod | None, body: bytes
    ) -> Steps[tuple[str, Quote]]:
        """The header field for the credential, and the price. Raises the reason if it is not acceptable."""
        if method is None:
            raise NoAcceptableChallenge("this wallet has no such method")
        field = acceptance.credential_field(challenge)
        acceptance.check_time(challenge, self._now())
        acceptance.check_digest(challenge, body)
        quote = yield from take(AskQuote(method, challenge))
        if quote is None:
            raise NoAcceptableChallenge("it is on terms that this wallet cannot meet")
        acceptance.check_realm(challenge, quote, self._request.origin, self._rules.trusted_realms)
        acceptance.check_price(quote, self._rules.max_amount)
        acceptance.check_time(challenge, self._now())  # the quote may have taken a while
        return field, quote

    def _present_new(
        self, challenge: Challenge, quote: Quote, field: str, payload: Payload
    ) -> Steps[ResponseHead]:
        keys = self._request.values("idempotency-key")
        self.records.append(
            PaymentRecord(
                outcome=Outcome.UNDECIDED,
                origin=self._request.origin,
                request=str(self._request),
                challenge=challenge,
                quote=quote,
                credential=Credential(challenge=challenge, payload=payload.payload, source=payload.source),
                field=field,
                idempotency_key=keys[0] if keys else self._new_key(),
                reference=payload.reference,
                lapses=payload.lapses,
            )
        )
        return (yield from self._present())

    def _present(self) -> Steps[ResponseHead]:
        """Present the last payment until there is an answer to it, or patience runs out."""
        fields = self._fields | _payment_fields(self._request, self.records[-1])
        deadline = self._now() + self._rules.patience
        tries = 0
        while True:
            reply = yield from take(Send(fields))
            if isinstance(reply, ResponseHead) and not (yield from self._is_pending(reply)):
                self._note(reply)
                return reply
            tries += 1
            pause = pause_after_try(tries, reply, self._now())
            if tries == MAX_TRIES or self._now() + pause > deadline:
                break
            yield from take(Wait(pause))
        if isinstance(reply, Lost):
            raise reply.error
        return reply

    def _is_pending(self, answer: ResponseHead) -> Steps[bool]:
        if not may_be_pending(answer):
            return False
        body = yield from take(Peek())
        return isinstance(body, Lost) or is_pending(answer, body)

    def _note(self, answer: ResponseHead) -> None:
        """Keep what `answer` says about the last payment. An error says nothing: money may have moved."""
        record = self.records[-1]
        receipt = _receipt(answer) or record.receipt
        if receipt is not None or answer.status < 400:
            reference = record.reference if receipt is None else receipt.reference
            self.records[-1] = replace(record, outcome=Outcome.PAID, receipt=receipt, reference=reference)

    def _is_refused(self, presented: _Presented) -> Steps[bool]:
        """Whether it is certain that the last payment took nothing and never will."""
        record = self.records[-1]
        if presented.answer.status != 402 or record.outcome is Outcome.PAID:
            return False
        if not isinstance(presented.method, Revokes):
            return False
        dead = yield from self._guarded(_is_dead(presented.method, presented.payload))
        if dead:
            self.records[-1] = replace(record, outcome=Outcome.REFUSED)
        return dead

    def _guarded(self, steps: Steps[T]) -> Steps[T]:
        """From here on money may have moved: whatever goes wrong becomes an error that holds the payment."""
        try:
            return (yield from steps)
        except Exception as error:
            record = self.records[-1]
            price = f"{record.quote.amount:f} {record.quote.asset}"
            raise PaymentUndecided(
                f"a payment of {price} was presented to {record.origin}, and it is not known whether it was"
                f" taken ({type(error).__name__}). To find out without paying twice, send the same request"
                ' with extensions={"payment": error.payment}',
                payment=record,
            ) from error


def _is_dead(method: Revokes, payload: Payload) -> Steps[bool]:
    try:
        return (yield from take(AskDead(method, payload)))
    except CoinslotError:  # it could not find out, so it is not certain
        return False


def _pays_by_hand(request: RequestHead) -> bool:
    """Whether the caller sent a credential of their own: then paying is their business."""
    return bool(find_credentials(request.values("authorization") + request.values("payment-authorization")))


def _payment_fields(request: RequestHead, record: PaymentRecord) -> dict[str, str]:
    """The header fields that present a payment.

    A caller's own `Authorization` stays: the field becomes `Bearer x, Payment y`. RFC 9110 §11.6.2 has one
    credential in it, but a server that wants two of them there can get them in no other way, and servers of
    this scheme look for theirs among several. Where one does not, its challenge can say
    `header="Payment-Authorization"`.
    """
    credential = record.credential.to_header()
    if record.field == "Authorization":
        own = [value for value in request.values("authorization") if value and not find_credentials([value])]
        credential = ", ".join([*own, credential])
    return {record.field: credential, "Idempotency-Key": record.idempotency_key}


def _receipt(answer: ResponseHead) -> Receipt | None:
    """The receipt, or None. A receipt that cannot be read changes nothing: the resource is there."""
    for value in answer.values("payment-receipt"):
        with suppress(MalformedReceipt):
            return Receipt.parse(value)
    return None
