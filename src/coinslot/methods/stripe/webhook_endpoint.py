"""Stripe's webhooks: being told at once what would be found out anyway.

An event is a hint to look, and nothing more. That it is genuine is checked; what it says is not believed. It
names a payment, a refund or a dispute, and what has become of that is asked of Stripe, now, and written down
by the same moves as ever. Hence no event is kept, and none has to be:

    twice       the second look finds what the first wrote down
    late        what is found is how things are, and not how they were
    reordered   all of them look at the same thing, and the last one to look sees the end of it
    lost        whoever holds a payment looks it up by itself, only later
    forged      refused; and one that were not could do no more than have us look
    not ours    of test mode, of another account, of other business: it names nothing that the ledger has

Two who look at once are kept apart by the payment's lease and revision, as requests are. A flag for a dispute
can go either way, so it has no end that the moves would know: whoever has set it looks once more, until it
is what Stripe says.

If the ledger or Stripe cannot be asked, the answer is 503 and Stripe sends the event again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from http import HTTPStatus
from typing import Any, Final, Protocol, TypeAlias

from msgspec import Struct

from coinslot.errors import CoinslotError
from coinslot.methods.stripe.events import Event, SigningSecrets, read_event
from coinslot.methods.stripe.server import StripeCharge
from coinslot.payments.method import ServerMethod
from coinslot.payments.payment import Payment, State
from coinslot.payments.refunds import Refund, RefundState

logger = logging.getLogger("coinslot.stripe")

MAX_BODY: Final = 256 * 1024
"""Bytes of an event that are read. Stripe's have a few thousand."""

TOLERANCE: Final = 300
"""Seconds for which a signature is good; the SDK's own default."""

_PATIENCE: Final = 8.0  # seconds after which an answer is due: Stripe gives up on slow ones
_LOOKS: Final = 4  # at a dispute that keeps changing

# Seconds before each look at something that Stripe has said its last word of. The request that makes it is
# often still at it, and has only to be waited for.
_PAUSES: Final = (0.0, 0.3, 0.7, 1.5, 2.5)

# After these Stripe has nothing more to say of a payment, so that it has to be heard.
_LAST_WORDS: Final = frozenset(
    f"payment_intent.{end}" for end in ("succeeded", "payment_failed", "canceled")
) | {f"charge.{end}" for end in ("succeeded", "failed", "captured", "expired")}

_Message: TypeAlias = MutableMapping[str, Any]


class Office(Protocol):
    """What a paywall has done about payments; `coinslot.payments.back_office.BackOffice`."""

    async def reconsider(self, challenge_id: str, reference: str | None = None) -> Payment | None:
        """Look again at a payment, by its PaymentIntent's id if that is known."""
        ...

    async def reconsider_refund(self, reference: str) -> Refund | None:
        """Look again at a refund."""
        ...

    async def dispute(self, challenge_id: str, disputed: bool) -> Payment | None:
        """Set or clear a payment's flag."""
        ...

    def wake(self) -> None:
        """Have every method do now what is due."""
        ...


class Shop(Protocol):
    """A `Paywall`, as far as webhooks need it."""

    @property
    def methods(self) -> Sequence[ServerMethod]:
        """Its methods."""
        ...

    @property
    def office(self) -> Office:
        """Its back office."""
        ...


class WebhookAnswer(Struct, frozen=True):
    """What is answered to an event. There is never anything in `body` that Stripe has a use for."""

    status: int
    body: bytes = b""


def webhooks(
    paywall: Shop, *, signing_secret: str | Sequence[str], tolerance: int = TOLERANCE
) -> StripeWebhooks:
    """An endpoint for Stripe's events: an ASGI app, and for anything else its `handle`.

    `signing_secret` is the endpoint's (`whsec_…`), or a list of them while it is rotated, or if your
    connected accounts' events have an endpoint of their own. Signatures that are older than `tolerance`
    seconds are refused.

    Raises `ConfigurationError`.
    """
    return StripeWebhooks(paywall, SigningSecrets(signing_secret, tolerance=tolerance))


class StripeWebhooks:
    """Takes events. Made by `webhooks`."""

    def __init__(self, shop: Shop, secrets: SigningSecrets) -> None:
        self._office = shop.office
        self._charge = next((each for each in shop.methods if isinstance(each, StripeCharge)), None)
        self._secrets = secrets

    async def handle(self, body: bytes, signature: str | None) -> WebhookAnswer:
        """Take one event: `body` as it came, to the byte, and the `Stripe-Signature` header's value.

        400 if it is not from Stripe, or too old; 413 if it is too large; 503 if it has to come again; else
        200, also for what is of no interest here.
        """
        if len(body) > MAX_BODY:
            return _answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if not self._secrets.have_signed(body, signature):
            return _answer(HTTPStatus.BAD_REQUEST)
        event = read_event(body)
        if event is None or event.account not in (None, self._account):
            return _answer(HTTPStatus.OK)
        try:
            async with asyncio.timeout(_PATIENCE):
                is_done = await self._act_on(event)
        except TimeoutError:
            is_done = False
            logger.warning("%s (%s) took too long; Stripe sends it again", event.id, event.type)
        except CoinslotError as error:
            is_done = False
            logger.warning("%s (%s) has to come again: %s", event.id, event.type, error)
        return _answer(HTTPStatus.OK if is_done else HTTPStatus.SERVICE_UNAVAILABLE)

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        """The same as an ASGI app, to be mounted wherever Stripe is told to send its events."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
            return
        if scope["type"] != "http":
            raise RuntimeError(f"webhooks come over http, not {scope['type']}")  # no lifespan, says ASGI
        if scope["method"] == "POST":
            answer = await self._take(scope, receive)
        else:
            answer = _answer(HTTPStatus.METHOD_NOT_ALLOWED)
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(answer.body))]
        if answer.status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append((b"allow", b"POST"))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    @property
    def _account(self) -> str | None:
        return None if self._charge is None else self._charge.account

    async def _take(
        self, scope: MutableMapping[str, Any], receive: Callable[[], Awaitable[_Message]]
    ) -> WebhookAnswer:
        body = bytearray()
        more = True
        while more and len(body) <= MAX_BODY:
            message = await receive()
            if message["type"] == "http.disconnect":
                return _answer(HTTPStatus.BAD_REQUEST)
            body += message.get("body", b"")
            more = message.get("more_body", False)
        signatures = [value for name, value in scope["headers"] if name.lower() == b"stripe-signature"]
        return await self.handle(bytes(body), signatures[0].decode("latin-1") if signatures else None)

    async def _act_on(self, event: Event) -> bool:
        """Look at what an event names; False if it has to be looked at again."""
        about = event.about
        match event.type.split("."):
            case ["charge", "dispute", *_]:
                return about.payment_intent is None or await self._look_at_dispute(about.payment_intent)
            case ["refund", *_] | ["charge", "refund", *_]:
                return await self._look_at_refunds([about.id], about.status)
            case ["charge", "refunded"] if self._charge is not None and about.payment_intent is not None:
                return await self._look_at_refunds(await self._charge.refunds_of(about.payment_intent), None)
            case ["payment_intent" | "charge", _]:
                return await self._look_at_payment(event)
            case _:
                return True

    async def _look_at_payment(self, event: Event) -> bool:
        about = event.about
        if about.is_crypto:  # a deposit: whoever waits for it looks at all that it waits for
            self._office.wake()
        if about.challenge_id is None:
            return True
        # A deposit's payment is known by its transaction, of which a PaymentIntent's id says nothing.
        reference = None if about.is_crypto else about.intent_id
        for pause in _PAUSES:
            await asyncio.sleep(pause)
            payment = await self._office.reconsider(about.challenge_id, reference)
            is_open = payment is not None and payment.state in (State.SETTLING, State.UNKNOWN)
            if not is_open or event.type not in _LAST_WORDS:
                return True
        return False

    async def _look_at_refunds(self, references: Sequence[str], said: str | None) -> bool:
        for pause in _PAUSES:
            await asyncio.sleep(pause)
            found = [await self._office.reconsider_refund(reference) for reference in references]
            if all(refund is None or _is_heard(refund, said) for refund in found):
                return True
        return False

    async def _look_at_dispute(self, intent_id: str) -> bool:
        if self._charge is None or (challenge_id := await self._charge.challenge_of(intent_id)) is None:
            return True
        payment: Payment | None = None
        for _ in range(_LOOKS):
            disputed = await self._charge.is_disputed(intent_id)
            if payment is not None and payment.disputed == disputed:
                return True
            payment = await self._office.dispute(challenge_id, disputed)
            if payment is None:
                return True
        return False


def _is_heard(refund: Refund, said: str | None) -> bool:
    """Whether the ledger has got as far as an event, in which Stripe said that the refund is `said`."""
    ends = {
        "succeeded": (RefundState.DONE, RefundState.FAILED),
        "failed": (RefundState.FAILED,),
        "canceled": (RefundState.FAILED,),
    }
    if said in ends:
        return refund.state in ends[said]
    return refund.state is not RefundState.UNKNOWN


def _answer(status: HTTPStatus) -> WebhookAnswer:
    return WebhookAnswer(status.value, b"" if status is HTTPStatus.OK else status.phrase.encode())
