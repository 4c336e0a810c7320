"""The back office: everything that happens to payments outside of the requests that make them.

In every worker it has the methods do what is due (`Tends`) and, one worker at a time, reconciles. Webhooks
and the command line come here too: what they know is a hint to look, and the register writes down what is
found.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final

from coinslot.errors import CoinslotError, PaymentInProgress
from coinslot.payments.asking import where
from coinslot.payments.cache import Cache
from coinslot.payments.desk import Desk
from coinslot.payments.events import Events
from coinslot.payments.method import Keeps, ServerMethod, Tends
from coinslot.payments.payment import Payment
from coinslot.payments.reconcile import Finding, Reconciler, Reconciliation
from coinslot.payments.refunding import Refunder
from coinslot.payments.refunds import Refund
from coinslot.payments.till import Till

logger = logging.getLogger("coinslot.payments")

EVERY: Final = 15.0
"""Seconds between two rounds of reconciling."""

_FIRST_ROUND: Final = 10.0  # how long opening waits for the methods' first round of work
_AFTER_A_FAULT: Final = 5.0
_SHORTEST_PAUSE: Final = 0.05
_LAST_WORK: Final = 10.0  # how long closing waits for what is being done
_TRIES: Final = 5


class BackOffice:
    """One paywall's. Its calls raise `LedgerError` if the ledger does not answer."""

    def __init__(
        self,
        till: Till,
        methods: Sequence[ServerMethod],
        events: Events,
        *,
        cache: Cache | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._till = till
        self._methods = tuple(methods)
        self._events = events
        self._cache = cache
        self._clock = clock
        self._owner = secrets.token_urlsafe(12)
        patience = till.policy.settle_timeout
        self._refunder = Refunder(
            till.ledger, till.leases, till.register, events, self._method, patience=patience, clock=clock
        )
        self._reconciler = Reconciler(
            till.ledger,
            till.leases,
            till.register,
            self._refunder,
            self._method,
            patience=patience,
            redelivery_window=till.policy.redelivery_window,
            clock=clock,
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._wakes: list[asyncio.Event] = []
        self._is_closing = False

    def furnish(self) -> None:
        """Give each method that wants one its desk."""
        for method in self._methods:
            if isinstance(method, Keeps):
                method.keep(self._desk(method))

    async def start(self) -> None:
        """Begin the background work of this worker. The methods' first round is over when this returns."""
        if self._tasks:
            return
        self._is_closing = False
        rounds = []
        for method in self._methods:
            if isinstance(method, Tends):
                wake, first = asyncio.Event(), asyncio.Event()
                self._wakes.append(wake)
                self._tasks.append(asyncio.create_task(self._tend(method, wake, first)))
                rounds.append(first.wait())
        self._tasks.append(asyncio.create_task(self._keep_reconciling()))
        try:
            async with asyncio.timeout(_FIRST_ROUND):
                await asyncio.gather(*rounds)
        except TimeoutError:
            logger.warning("a method's first round of work is taking long; it goes on in the background")

    async def stop(self) -> None:
        """End the background work: what is being done is finished, unless it takes long."""
        self._is_closing = True
        self.wake()
        tasks, self._tasks = self._tasks, []
        self._wakes.clear()
        if not tasks:
            return
        if (loop := tasks[0].get_loop()) is not asyncio.get_running_loop():
            if not loop.is_closed():  # it was opened there, and there it ends
                loop.call_soon_threadsafe(_cancel, tasks)
            return
        _cancel(tasks[-1:])  # reconciling is made of steps that stand by themselves
        _, late = await asyncio.wait(tasks, timeout=_LAST_WORK)
        _cancel(late)
        await asyncio.gather(*tasks, return_exceptions=True)

    def wake(self) -> None:
        """Have every method do now what is due: something has happened outside. From any thread."""
        for task, wake in zip(self._tasks, self._wakes, strict=False):
            if not (loop := task.get_loop()).is_closed():
                loop.call_soon_threadsafe(wake.set)

    async def reconcile(self, report: Callable[[Finding], None] = lambda _: None) -> Reconciliation:
        """Go through everything that is not decided, now. `report` hears of each finding at once."""
        await self._till.open()
        return await self._reconciler.round(everything=True, report=report)

    async def reconsider(self, challenge_id: str, reference: str | None = None) -> Payment | None:
        """Look again at one payment: the row as it is then, None if there is none.

        `reference` is what the world calls it, if whoever asks knows that.
        """
        await self._till.open()
        payment = await self._till.ledger.find(challenge_id)
        return None if payment is None else await self._reconciler.look_again(payment, reference)

    async def reconsider_refund(self, reference: str) -> Refund | None:
        """Look again at the refund that the world knows by this reference."""
        await self._till.open()
        refund = await self._till.ledger.find_refund(reference)
        return None if refund is None else await self._refunder.look_again(refund)

    async def dispute(self, challenge_id: str, disputed: bool) -> Payment | None:
        """Flag a payment that the payer's bank wants back, or take the flag away."""
        await self._till.open()
        for _ in range(_TRIES):
            payment = await self._till.ledger.find(challenge_id)
            if payment is None:
                return None
            with suppress(PaymentInProgress):  # it has moved on: from where it is now, then
                return await self._till.register.dispute(payment, disputed=disputed)
        raise PaymentInProgress("This payment moves on faster than its dispute can be written down.")

    async def refund(self, challenge_id: str, amount: int | None = None, *, key: str | None = None) -> Refund:
        """Send back `amount` base units of a payment, or all that is left of it: once for each `key`.

        Raises `RefundError` if nothing was or will be sent, `OutcomeUnknown` if that cannot be told.
        """
        await self._till.open()
        return await self._refunder.refund(challenge_id, amount, key=key)

    def _method(self, payment: Payment) -> ServerMethod | None:
        for method in self._methods:
            if (method.name, method.intent) == (payment.method, payment.intent):
                return method
        return None

    def _desk(self, method: ServerMethod) -> Desk:
        return Desk(
            self._till.ledger,
            self._till.leases,
            self._events,
            method=method.name,
            intent=method.intent,
            cache=self._cache,
            clock=self._clock,
        )

    async def _tend(self, method: Tends, wake: asyncio.Event, first: asyncio.Event) -> None:
        while not self._is_closing:
            wake.clear()
            pause = await _guarded(type(method).__name__, method.tend, _AFTER_A_FAULT)
            first.set()
            await _sleep(max(pause, _SHORTEST_PAUSE), wake)

    async def _keep_reconciling(self) -> None:
        never = asyncio.Event()
        while not self._is_closing:
            await _guarded("reconciling", self._reconcile_in_turn, EVERY)
            await _sleep(EVERY, never)

    async def _reconcile_in_turn(self) -> float:
        """One round, if it is this worker's turn. The turn is kept for as long as it is used."""
        if await self._till.leases.lease("reconcile", self._owner, 2 * EVERY):
            await self._reconciler.round(everything=False, report=_tell)
        return EVERY


def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()


def _tell(finding: Finding) -> None:
    before, after = finding.before, finding.after
    what = "payment" if isinstance(after, Payment) else "refund"
    logger.info("%s %s was %s and is %s", what, after.reference, before.state, after.state)


async def _guarded(who: str, work: Callable[[], Awaitable[float]], otherwise: float) -> float:
    """Do it, log what goes wrong, and say how long to wait. Background work never ends for a fault."""
    try:
        return await work()
    except CoinslotError as error:
        logger.error("%s: %s", who, error)  # noqa: TRY400 - it says what was wrong
    except Exception as error:  # noqa: BLE001 - a method's fault must not end its work for good
        # The message may quote what must not be logged, so only its type and place are told.
        logger.error("%s raised %s", who, where(error))  # noqa: TRY400 - as above
    return otherwise


async def _sleep(seconds: float, wake: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        pass
