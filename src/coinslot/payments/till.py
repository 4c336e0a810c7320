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
from typing import Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from coinslot.errors import (
    ActionRequired,
    AlreadyClaimed,
    InvalidChallenge,
    LedgerError,
    NotHonoured,
    OutcomeUnknown,
    PaymentError,
    PaymentExpired,
    PaymentInProgress,
    PaymentInsufficient,
    PaymentUnavailable,
    ProtocolError,
    VerificationFailed,
)
from coinslot.payments.events import (
    Events,
    PaymentDelivered,
    PaymentFailed,
    PaymentSettled,
    PaymentUndelivered,
    PaymentUnknown,
)
from coinslot.payments.lease import Lease
from coinslot.payments.ledger import Ledger, Payment, State
from coinslot.payments.method import (
    Completes,
    Failed,
    LooksUp,
    NotSent,
    Proof,
    Recovery,
    ServerMethod,
    Settled,
    Settlement,
    Unknown,
)
from coinslot.payments.order import Order
from coinslot.payments.states import advance
from coinslot.protocol import Receipt, format_timestamp

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
        await self._end(State.DELIVERED)

    async def returned(self) -> None:
        """It was not handed over. The payer may come again with the same credential, a few times."""
        spent = self.payment.attempts > self._till.policy.redeliveries
        await self._end(State.UNDELIVERED if spent else None)

    async def _end(self, state: State | None) -> None:
        lease, self._lease = self._lease, None
        if lease is None:
            return
        try:
            if state is not None:
                self.payment = await self._till.finish(self.payment, state)
        except PaymentError as error:  # the response is gone, so there is nobody to tell but the operator
            log = error.log or error.detail
            logger.error("payment %s is still settled: %s", self.payment.reference, log)  # noqa: TRY400 - said
        finally:
            await lease.release()

    def __del__(self) -> None:
        if self._lease is not None:  # nobody ended it: let it lapse, so that the payer can come again
            self._lease.abandon()


class Till:
    """Takes orders against one ledger."""

    def __init__(
        self, ledger: Ledger, *, policy: Policy, events: Events, clock: Callable[[], float] = time.time
    ) -> None:
        self.ledger = ledger
        self.policy = policy
        self.events = events
        self._clock = clock
        self._is_open = False
        self._working: set[asyncio.Task[object]] = set()

    async def open(self) -> None:
        """Open the ledger, if it is not. Raises `LedgerError`."""
        if not self._is_open:
            await self.ledger.open()
            self._is_open = True

    async def close(self) -> None:
        """Wait for what is in flight, then close the ledger."""
        while self._working:
            await asyncio.wait(self._working)
        self._is_open = False
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

    async def finish(self, payment: Payment, state: State) -> Payment:
        """End a settled payment as delivered or undelivered."""
        if state is State.DELIVERED:
            after = await self._move(payment, advance(payment, state, delivered_at=self._clock()))
            self.events.emit(PaymentDelivered(after))
        else:
            after = await self._move(payment, advance(payment, state))
            self.events.emit(PaymentUndelivered(after))
        return after

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
        lease = Lease(self.ledger, order.challenge_id)
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
        except PaymentError:
            # It may be bad because somebody else's copy of it was good a moment ago.
            if await self.find(order.challenge_id) is not None:
                return await self._resume(order)
            raise
        payment = self._payment(order, proof)
        try:
            await self.ledger.insert(payment)
        except AlreadyClaimed as claim:
            if claim.by == "proof":
                raise InvalidChallenge("This proof already paid for another challenge.") from None
            return await self._resume(order)
        except LedgerError as error:
            raise _ledger_down(error) from error
        return await self._conclude(payment, await self._settle(order, payment))

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
            payment = await self.finish(payment, State.UNDELIVERED)
            self.refuse_spent(payment, payment.fingerprint)
        return await self._move(payment, advance(payment, State.SETTLED, attempts=payment.attempts + 1))

    async def _verify(self, order: Order) -> Proof:
        """Ask a method about a proof. Raises a `PaymentError`, whatever the method raised."""
        method = order.method
        try:
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

        return await self._ask("settle", method, settle, payment.proof)

    async def _look_up(self, method: ServerMethod, payment: Payment) -> Settlement:
        if not isinstance(method, LooksUp):
            return Unknown(reason=f"the method {method.name} cannot look a payment up")
        return await self._ask("look_up", method, method.look_up, payment.proof)

    async def _ask(
        self, what: str, method: ServerMethod, ask: Callable[[Proof], Awaitable[Settlement]], proof: Proof
    ) -> Settlement:
        """Ask a method about money. Whatever goes wrong, the answer is a settlement."""
        try:
            async with asyncio.timeout(self.policy.settle_timeout):
                return await ask(proof)
        except TimeoutError:
            return Unknown(reason=f"{method.name} {what}: no answer in {self.policy.settle_timeout:g} s")
        except Exception as error:  # noqa: BLE001 - the money may have moved, so this is not a failure
            # The message is the method's and may quote a proof, so only its type and place are told.
            return Unknown(reason=f"{method.name} {what} raised {where(error)}")

    async def _conclude(self, payment: Payment, settlement: Settlement) -> Payment:
        """Write down what came of it, and return the settled payment or raise the answer."""
        match settlement:
            case Settled():
                return await self._record(payment, settlement)
            case Failed(reason=reason, slug=slug):
                failed = await self._move(payment, advance(payment, State.FAILED, reason=f"{slug}: {reason}"))
                self.events.emit(PaymentFailed(failed))
                raise _refusal(failed)
            case NotSent(reason=reason, recovery=recovery):
                logger.error("payment %s was not sent: %s", payment.reference, reason)
                await self._put_aside(payment, reason, recovery)
                raise PaymentUnavailable("The payment could not be sent. Nothing was taken; send it again.")
            case _:
                reason = getattr(settlement, "reason", f"{payment.method} gave no settlement")
                logger.error("the outcome of payment %s is unknown: %s", payment.reference, reason)
                aside = await self._put_aside(payment, reason, getattr(settlement, "recovery", None))
                self.events.emit(PaymentUnknown(aside))
                raise OutcomeUnknown(
                    "The payment was sent and its outcome is not known yet. "
                    "Send the same credential again; do not pay anew."
                )

    async def _record(self, payment: Payment, settled: Settled) -> Payment:
        now = self._clock()
        after = advance(
            payment,
            State.SETTLED,
            reference=settled.reference,
            payer=settled.payer or payment.payer,
            receipt=_receipt(payment, settled, now),
            reason=None,
            settled_at=now,
            attempts=payment.attempts + 1,
        )
        after = await self._move(payment, after)
        self.events.emit(PaymentSettled(after))
        return after

    async def _put_aside(self, payment: Payment, reason: str, recovery: Recovery | None) -> Payment:
        after = advance(payment, State.UNKNOWN, reason=reason)
        return await self._move(payment, after if recovery is None else replace(after, recovery=recovery))

    async def _move(self, before: Payment, after: Payment) -> Payment:
        try:
            moved = await self.ledger.replace(before, after)
        except LedgerError as error:
            # The row still says what it said: the next one to look finds out what the world did.
            raise OutcomeUnknown(
                "The payment's outcome could not be written down. Send the same credential again.",
                log=f"payment {before.reference}: {before.state} → {after.state} was not written: {error}",
            ) from error
        if not moved:
            raise PaymentInProgress("This payment was taken over by another request.")
        return after

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


def _receipt(payment: Payment, settled: Settled, now: float) -> str:
    """The receipt's header value; without what a method adds to it, if that cannot be written."""
    plain = Receipt(
        method=payment.method,
        reference=settled.reference,
        timestamp=format_timestamp(now),
        external_id=payment.external_id,
    )
    try:
        return replace(plain, extra=dict(settled.extra)).to_header()
    except ProtocolError as error:
        logger.warning("%s: what it adds to its receipts cannot be written: %s", payment.method, error)
        return plain.to_header()


def _refusal(failed: Payment) -> PaymentError:
    slug, _, reason = (failed.reason or "verification-failed: It did not settle.").partition(": ")
    return _REFUSALS.get(slug, VerificationFailed)(reason)


def _ledger_down(error: LedgerError) -> PaymentUnavailable:
    return PaymentUnavailable(
        "Payments cannot be recorded right now. Nothing was taken; send it again.", log=f"ledger: {error}"
    )


def where(error: BaseException) -> str:
    """The type and place of an error, for the log, without its message, which may quote a proof."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
    return f"{type(error).__name__}{place}"
