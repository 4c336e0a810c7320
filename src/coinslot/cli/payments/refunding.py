"""A refund from the command line: said, asked about, sent, and waited for."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from msgspec import Struct

from coinslot.cli.asking import confirm
from coinslot.cli.interruption import held
from coinslot.cli.output import CommandError, Exit, print_json, print_table, say
from coinslot.cli.payments.described import describe_refund, money
from coinslot.cli.payments.lookup import find_payment, handle
from coinslot.cli.payments.money import unit_of
from coinslot.cli.payments.times import short_time
from coinslot.cli.waiting import waiting
from coinslot.errors import PaymentError, RefundError
from coinslot.payments.payment import Payment, State
from coinslot.payments.refunds import OPEN_REFUNDS, Refund, RefundState
from coinslot.server.paywall import Paywall

_LOOK_AGAIN: Final = 1.0


class Order(Struct, frozen=True, kw_only=True):
    """What the command line asks for; without an amount, all that is left. `wait_for` is in seconds."""

    payment: str
    amount: str | None
    base_units: int | None
    key: str | None
    asks: bool
    wait_for: float


class Refunding:
    """One order under way."""

    def __init__(self, paywall: Paywall, order: Order, *, as_json: bool) -> None:
        self._paywall = paywall
        self._order = order
        self._as_json = as_json

    async def run(self) -> None:
        """From the question to the answer. Raises `CommandError` unless the payer has it."""
        payment = await find_payment(self._paywall.ledger, self._order.payment)
        left = await self._left(payment)
        base_units = self._base_units(payment, left)
        sentence = _sentence(payment, base_units, left)
        if self._order.asks:
            confirm(f"{sentence}. Send it?")
        else:
            say(f"coinslot: {sentence}")
        refund = await self._wait(await self._send(payment, base_units))
        self._show(payment, refund)
        _check(refund)

    async def _left(self, payment: Payment) -> int:
        """What of it has not gone back, and is not on its way."""
        refunds = await self._paywall.ledger.select_refunds(payment.challenge_id)
        gone = sum(refund.amount for refund in refunds if refund.state is not RefundState.FAILED)
        return payment.amount - gone

    def _base_units(self, payment: Payment, left: int) -> int:
        if self._order.amount is not None:
            return unit_of(payment.method, payment.currency).read(self._order.amount)
        return left if self._order.base_units is None else self._order.base_units

    async def _send(self, payment: Payment, base_units: int) -> Refund:
        try:
            with held():
                key = self._order.key
                if key is not None and self._order.amount is None and self._order.base_units is None:
                    return await self._paywall.office.refund(payment.challenge_id, key=key)
                # The amount that was asked about, though by now there may be more left.
                return await self._paywall.office.refund(payment.challenge_id, base_units, key=key)
        except RefundError as error:
            raise CommandError(str(error), Exit.CANNOT_PAY) from error
        except PaymentError as error:
            raise CommandError(
                f"{error} See `coinslot payments show {handle(payment)}`", Exit.UNDECIDED
            ) from error

    async def _wait(self, refund: Refund) -> Refund:
        deadline = time.monotonic() + self._order.wait_for
        if refund.state not in OPEN_REFUNDS or not self._order.wait_for:
            return refund
        with waiting(f"waiting for the refund {refund.id} to come through"):
            while refund.state in OPEN_REFUNDS and time.monotonic() < deadline:
                await asyncio.sleep(_LOOK_AGAIN)
                with held():
                    refund = await self._look_again(refund)
        return refund

    async def _look_again(self, refund: Refund) -> Refund:
        """What has become of it. One without a reference is for the servers to find out about."""
        try:
            if refund.reference is not None:
                return await self._paywall.office.reconsider_refund(refund.reference) or refund
        except PaymentError:
            pass  # a server was quicker: the row says what it found
        rows = await self._paywall.ledger.select_refunds(refund.challenge_id)
        return next((row for row in rows if row.id == refund.id), refund)

    def _show(self, payment: Payment, refund: Refund) -> None:
        if self._as_json:
            print_json({"challenge_id": payment.challenge_id, **describe_refund(payment, refund)})
            return
        rows = [
            ("Refund", refund.id),
            ("Amount", money(payment, refund.amount)),
            ("State", refund.state.value),
            ("To", payment.payer),
            ("Reference", refund.reference),
            ("Reason", refund.reason),
        ]
        print_table([(name, value) for name, value in rows if value])


def _sentence(payment: Payment, base_units: int, left: int) -> str:
    """What is to happen. The office checks whether it can."""
    total = money(payment, payment.amount)
    if base_units != left:
        what = f"{money(payment, base_units)} of {total}"
    elif left < payment.amount:
        what = f"{money(payment, left)}, what is left of {total},"
    else:
        what = f"{total}, all of it,"
    also = ", and is not delivered any more" if payment.state is State.SETTLED else ""
    return (
        f"{what} is to go back to {payment.payer or 'its payer'}: paid {short_time(payment.created_at)}"
        f" for {payment.route or 'nothing'}, {payment.state}{also}"
    )


def _check(refund: Refund) -> None:
    if refund.state is RefundState.FAILED:
        raise CommandError("the refund failed: nothing was sent back", Exit.REFUSED)
    if refund.state in OPEN_REFUNDS:
        raise CommandError(
            f"the refund is {refund.state}: your server follows it up, as `coinslot payments reconcile` does",
            Exit.UNDECIDED,
        )
