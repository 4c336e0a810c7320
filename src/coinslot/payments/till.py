"""The till: takes a credential and gets the money, once.

Theory of operation. An `Order` is a credential whose challenge is known to be ours, for this request. `take`
turns it into a `Sale`, whose payment is settled and whose caller may hand over the resource:

    lease  →  verify  →  write down  →  settle  →  write down  →  Sale  →  delivered() | returned()

The order of the steps is the whole point. The proof is written down before the world is asked, so a crash at
any arrow leaves a row that says what to look up. Whoever finds that row (the same credential, presented
again) looks up first, and only then asks again. An answer that tells the payer to pay anew is given only when
it is certain that no money moved.

`take` runs to its end even if the request that asked for it goes away: a payer who hangs up while the money
moves finds the payment settled when they come back.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import nullcontext
from typing import Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from coinslot.errors import (
    ActionRequired,
    AlreadyClaimed,
    InvalidChallenge,
    LedgerError,
    NotApplied,
    NotHonoured,
    OutcomeUnknown,
    PaymentError,
    PaymentExpired,
    PaymentInProgress,
    PaymentInsufficient,
    PaymentUnavailable,
    VerificationFailed,
)
from coinslot.payments.asking import Question, Watcher, ask, question, where
from coinslot.payments.cache import Cache
from coinslot.payments.events import Events, PaymentUnapplied
from coinslot.payments.lease import Lease
from coinslot.payments.leases import Leases
from coinslot.payments.ledger import Ledger
from coinslot.payments.method import (
    Completes,
    LooksUp,
    NotSent,
    Proof,
    Recovery,
    ServerMethod,
    Settlement,
    Unknown,
)
from coinslot.payments.order import Order
from coinslot.payments.payment import Payment, State
from coinslot.payments.register import Register

logger = logging.getLogger("coinslot.payments")

T = TypeVar("T")

_REFUSALS: Final[Mapping[str, type[PaymentError]]] = {
    kind.slug: kind for kind in (VerificationFailed, PaymentExpired, PaymentInsufficient, ActionRequired)
}


class Policy(Struct, frozen=True, kw_only=True):
    """How patient the till is. Times are in seconds.

    A settlement that takes longer than `settle_timeout` is answered with 503 and found out later. A paid
    resource is handed over at most `1 + redeliveries` times, within `redelivery_window` of its settlement.
    """

    settle_timeout: float = 30.0
    redeliveries: int = 3
    redelivery_window: float = 24 * 3600.0


class Sale:
    """A settled payment whose resource is being handed over, with the lease that keeps others from doing so.

    Exactly one of `delivered` and `returned` ends it; whichever comes second does nothing.
    """

    def __init__(self, till: Till, payment: Payment, lease: Lease) -> None:
        self.payment = payment
        self._till = till
        self._lease: Lease | None = lease

    async def delivered(self) -> None:
        """The last byte was accepted. From here on the credential is spent."""
        await self._end(self._till.register.deliver)

    async def returned(self) -> None:
        """It was not handed over. The payer may come again with the same credential, a few times."""
        spent = self.payment.attempts > self._till.policy.redeliveries
        await self._end(self._till.register.give_up if spent else None)

    async def _end(self, finish: Callable[[Payment], Awaitable[Payment]] | None) -> None:
        lease, self._lease = self._lease, None
        if lease is None:
            return
        try:
            if finish is not None:
                self.payment = await finish(self.payment)
        except PaymentError as error:  # the response is gone, so there is nobody to tell but the operator
            log = error.log or error.detail
            logger.error("payment %s is still settled: %s", self.payment.reference, log)  # noqa: TRY400 - said
        finally:
            await lease.release()

    def __del__(self) -> None:
        if self._lease is not None:  # nobody ended it: let it lapse, so that the payer can come again
            self._lease.abandon()


class Till:
    """Takes orders against one ledger, whose leases are the cache's if there is one.

    `when_opened` is called once the ledger is open, before anything is asked of it.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        policy: Policy,
        events: Events,
        cache: Cache | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.ledger = ledger
        self.leases: Leases = ledger if cache is None else cache
        self.policy = policy
        self.events = events
        self.register = Register(ledger, events, clock=clock)
        self.when_opened: Callable[[], None] | None = None
        self._cache = cache
        self._clock = clock
        self._is_open = False
        self._working: set[asyncio.Task[object]] = set()

    async def open(self) -> None:
        """Open the ledger and the cache, if they are not. Raises `LedgerError`.

        A cache that does not answer is no reason not to begin: it may by the time it is needed.
        """
        if self._is_open:
            return
        await self.ledger.open()
        if self._cache is not None:
            try:
                await self._cache.open()
            except LedgerError as error:
                logger.error("payments are answered 503 until the cache is there: %s", error)  # noqa: TRY400 - said
        if self.when_opened is not None:
            self.when_opened()
        self._is_open = True

    async def drain(self) -> None:
        """Wait for what is in flight."""
        while self._working:
            await asyncio.wait(self._working)

    async def close(self) -> None:
        """Wait for what is in flight, then close the ledger and the cache."""
        await self.drain()
        self._is_open = False
        try:
            if self._cache is not None:
                await self._cache.close()
        finally:
            await self.ledger.close()

    async def find(self, challenge_id: str) -> Payment | None:
        """The payment for a challenge. Raises `PaymentUnavailable` if the ledger does not answer."""
        try:
            await self.open()
            return await self.ledger.find(challenge_id)
        except LedgerError as error:
            raise _ledger_down(error) from error

    def refuse_spent(self, payment: Payment, presented: bytes) -> None:
        """Refuse at once what a known payment is no longer good for. `presented` is a fingerprint."""
        if presented != payment.fingerprint:
            raise InvalidChallenge("This challenge already has a payment, made with another credential.")
        match payment.state:
            case State.DELIVERED:
                raise InvalidChallenge("This payment has been used: what it bought was delivered.")
            case State.UNDELIVERED:
                raise NotHonoured(
                    "This payment was received but could not be delivered, and is no longer honoured. "
                    f"Ask the seller for a refund of {payment.reference}."
                )
            case State.UNAPPLIED:
                raise NotHonoured(f"{payment.reason} Ask the seller for a refund of {payment.reference}.")
            case State.FAILED:
                raise _refusal(payment)
            case State.SETTLING | State.UNKNOWN | State.SETTLED:
                return

    async def take(self, order: Order) -> Sale:
        """Get the money for an order, or find that it is already here.

        Raises a `PaymentError`: a 402 kind only if no money moved, `PaymentInProgress` while another request
        works on it, `PaymentUnavailable` or `OutcomeUnknown` if the same credential should be sent again.
        """
        task = self.spawn(self._take(order))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(self._hand_back)
            raise

    def spawn(self, work: Coroutine[object, object, T]) -> asyncio.Task[T]:
        """Do something that `close` has to wait for."""
        task = asyncio.create_task(work)
        self._working.add(task)
        task.add_done_callback(self._working.discard)
        return task

    def _hand_back(self, task: asyncio.Task[Sale]) -> None:
        """Nobody waits for this sale any more: end it, so that its payer finds it settled and free."""
        if task.cancelled():
            return
        if (error := task.exception()) is None:
            self.spawn(task.result().returned())
        else:
            detail = (error.log or error) if isinstance(error, PaymentError) else where(error)
            logger.error("a payment whose request had gone away: %s", detail)

    async def _take(self, order: Order) -> Sale:
        lease = Lease(self.leases, order.challenge_id)
        try:
            if not await lease.take():
                raise PaymentInProgress("This payment is being processed by another request.")
        except LedgerError as error:
            raise _ledger_down(error) from error
        try:
            return Sale(self, await self._settled(order), lease)
        except BaseException:
            await lease.release()
            raise

    async def _settled(self, order: Order) -> Payment:
        """The order's payment, in state settled and with one more delivery attempt counted."""
        if order.is_known:
            return await self._resume(order)
        try:
            proof = await self._verify(order)
        except PaymentError as error:
            # It may be bad because somebody else's copy of it was good a moment ago.
            if await self.find(order.challenge_id) is not None:
                return await self._resume(order)
            if isinstance(error, NotApplied):
                await self._keep(order, error)
            raise
        payment = self._payment(order, proof)
        if not await self._claim(payment):
            return await self._resume(order)
        return await self._conclude(payment, await self._settle(order, payment))

    async def _claim(self, payment: Payment) -> bool:
        """Write a payment down; False if its challenge has one."""
        try:
            await self.ledger.insert(payment)
        except AlreadyClaimed as claim:
            if claim.by == "proof":
                raise InvalidChallenge("This proof already paid for another challenge.") from None
            return False
        except LedgerError as error:
            raise _ledger_down(error) from error
        return True

    async def _keep(self, order: Order, refusal: NotApplied) -> None:
        """Write down money that came for this challenge and is not accepted. It is there to be refunded."""
        received = refusal.received
        if not isinstance(received, Proof):
            raise TypeError("NotApplied.received is the Proof of what came")
        payment = replace(
            self._payment(order, received),
            state=State.UNAPPLIED,
            recovery=Recovery(),
            reason=refusal.detail,
            settled_at=self._clock(),
        )
        if await self._claim(payment):
            self.events.emit(PaymentUnapplied(payment))

    async def _resume(self, order: Order) -> Payment:
        """Go on from what the ledger says. The lease is ours, so nobody else is working on it."""
        payment = await self.find(order.challenge_id)
        if payment is None:
            raise PaymentUnavailable(
                "The payment could not be read.", log="a payment vanished from the ledger"
            )
        self.refuse_spent(payment, order.fingerprint)
        if payment.state is State.SETTLED:
            return await self._again(payment)
        settlement = await self._look_up(order.method, payment)
        if isinstance(settlement, NotSent):
            settlement = await self._settle(order, payment)
        return await self._conclude(payment, settlement)

    async def _again(self, payment: Payment) -> Payment:
        """One more delivery of a settled payment, if it has one left."""
        settled_at = payment.settled_at or payment.created_at
        if (
            payment.attempts > self.policy.redeliveries
            or self._clock() > settled_at + self.policy.redelivery_window
        ):
            payment = await self.register.give_up(payment)
            self.refuse_spent(payment, payment.fingerprint)
        return await self.register.begin_delivery(payment)

    async def _verify(self, order: Order) -> Proof:
        """Ask a method about a proof. Raises a `PaymentError`, whatever the method raised."""
        method = order.method
        asked = Question(method=method.name, what="verify", challenge_id=order.challenge_id)
        try:
            with nullcontext() if self.events.watcher is None else self.events.watcher(asked):
                async with asyncio.timeout(self.policy.settle_timeout):
                    return await method.verify(order.credential, order.request)
        except PaymentError:
            raise
        except TimeoutError:
            log = f"{method.name} verify: no answer in {self.policy.settle_timeout:g} s"
        except Exception as error:  # noqa: BLE001 - a method's fault is not the payer's
            log = f"{method.name} verify raised {where(error)}"
        raise PaymentUnavailable(
            "The payment cannot be checked right now. Nothing was taken; send it again.", log=log
        )

    async def _settle(self, order: Order, payment: Payment) -> Settlement:
        method = order.method

        async def settle(proof: Proof) -> Settlement:
            if isinstance(method, Completes):
                proof = method.complete(proof, order.credential)
            return await method.settle(proof)

        return await ask(
            question(payment, "settle"),
            settle(payment.proof),
            within=self.policy.settle_timeout,
            watcher=self.events.watcher,
        )

    async def _look_up(self, method: ServerMethod, payment: Payment) -> Settlement:
        return await look_up(method, payment, within=self.policy.settle_timeout, watcher=self.events.watcher)

    async def _conclude(self, payment: Payment, settlement: Settlement) -> Payment:
        """Write down what came of it, and return the settled payment or raise the answer."""
        after = await self.register.record(payment, settlement, delivering=True)
        match after.state:
            case State.SETTLED:
                return after
            case State.FAILED:
                raise _refusal(after)
            case _ if isinstance(settlement, NotSent):
                raise PaymentUnavailable("The payment could not be sent. Nothing was taken; send it again.")
            case _:
                raise OutcomeUnknown(
                    "The payment was sent and its outcome is not known yet. "
                    "Send the same credential again; do not pay anew."
                )

    def _payment(self, order: Order, proof: Proof) -> Payment:
        external_id = order.request.get("externalId")
        return Payment(
            challenge_id=order.challenge_id,
            proof_key=proof.key,
            fingerprint=order.fingerprint,
            method=order.method.name,
            intent=order.method.intent,
            route=order.route,
            state=State.SETTLING,
            amount=proof.amount,
            currency=proof.currency,
            recipient=proof.recipient,
            payer=proof.payer,
            reference=proof.reference,
            recovery=proof.recovery,
            external_id=external_id if isinstance(external_id, str) else None,
            created_at=self._clock(),
            expires_at=order.expires_at,
        )


def _refusal(failed: Payment) -> PaymentError:
    slug, _, reason = (failed.reason or "verification-failed: It did not settle.").partition(": ")
    return _REFUSALS.get(slug, VerificationFailed)(reason)


def _ledger_down(error: LedgerError) -> PaymentUnavailable:
    return PaymentUnavailable(
        "Payments cannot be recorded right now. Nothing was taken; send it again.", log=f"ledger: {error}"
    )


async def look_up(
    method: ServerMethod,
    payment: Payment,
    *,
    reference: str | None = None,
    within: float,
    watcher: Watcher | None = None,
) -> Settlement:
    """What became of a payment that was written down, in at most `within` seconds.

    `reference`, if it is known, is what the world calls it, in place of what was written down.
    """
    if not isinstance(method, LooksUp):
        return Unknown(reason=f"the method {method.name} cannot look a payment up")
    proof = payment.proof if reference is None else replace(payment.proof, reference=reference)
    return await ask(question(payment, "look_up"), method.look_up(proof), within=within, watcher=watcher)
