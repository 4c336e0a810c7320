"""What happens to payments, told to whoever asked to hear it.

Subscribers are for side effects (metrics, a message to the seller). They hear of a thing after it is written
down, they cannot change it, and what they raise is logged and goes no further.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from msgspec import Struct

from coinslot.payments.asking import Watcher
from coinslot.payments.payment import Payment
from coinslot.payments.refunds import Refund

logger = logging.getLogger("coinslot.events")


class ChallengeIssued(Struct, frozen=True):
    """A 402 went out with these offers (`method/intent`). `problem` is its problem type."""

    route: str
    challenge_ids: tuple[str, ...]
    offers: tuple[str, ...]
    problem: str


class CredentialRefused(Struct, frozen=True):
    """A credential came and was not honoured."""

    route: str
    problem: str
    detail: str


class PaymentSettled(Struct, frozen=True):
    """Money came in."""

    payment: Payment


class PaymentFailed(Struct, frozen=True):
    """A proof that was written down moved no money, and never will."""

    payment: Payment


class PaymentUnknown(Struct, frozen=True):
    """A proof was sent and there is no answer."""

    payment: Payment


class PaymentDelivered(Struct, frozen=True):
    """What was bought has been handed over."""

    payment: Payment


class PaymentUndelivered(Struct, frozen=True):
    """Handing over was given up. The payer's money should go back."""

    payment: Payment


class PaymentUnapplied(Struct, frozen=True):
    """Money came that pays for nothing: too late, or not what was asked. It should go back."""

    payment: Payment


class PaymentDisputed(Struct, frozen=True):
    """The payer's bank wants the money back, or has let go of it: `payment.disputed` says which."""

    payment: Payment


class RefundEnded(Struct, frozen=True):
    """A refund is done, or has failed."""

    payment: Payment
    refund: Refund


Event: TypeAlias = (
    ChallengeIssued
    | CredentialRefused
    | PaymentSettled
    | PaymentFailed
    | PaymentUnknown
    | PaymentDelivered
    | PaymentUndelivered
    | PaymentUnapplied
    | PaymentDisputed
    | RefundEnded
)
Subscriber: TypeAlias = Callable[[Event], Awaitable[None] | None]


class Events:
    """The list of subscribers, and the one `watcher` of what methods are asked, if there is one."""

    def __init__(self) -> None:
        self._subscribers: list[tuple[type[Event], Subscriber]] = []
        self._kinds: set[type[Event]] = set()
        self.watcher: Watcher | None = None
        self._running: set[asyncio.Future[None]] = set()

    def __contains__(self, kind: type[Event]) -> bool:
        """Whether anybody would hear of an event of this kind. Where not, it need not be made."""
        return kind in self._kinds

    def subscribe(self, kind: type[Event], subscriber: Subscriber) -> None:
        """Call `subscriber` with each event of this kind. It may be a plain function or `async`."""
        self._subscribers.append((kind, subscriber))
        self._kinds.add(kind)

    def emit(self, event: Event) -> None:
        """Tell everybody. Never raises and never waits."""
        for kind, subscriber in self._subscribers:
            if isinstance(event, kind):
                self._tell(subscriber, event)

    def _tell(self, subscriber: Subscriber, event: Event) -> None:
        try:
            result = subscriber(event)
        except Exception:
            logger.exception("a subscriber to %s failed", type(event).__name__)
            return
        if inspect.isawaitable(result):
            task: asyncio.Future[None] = asyncio.ensure_future(result)
            self._running.add(task)
            task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Future[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a subscriber failed", exc_info=error)
