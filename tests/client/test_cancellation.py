"""Callers who go away in the middle of a payment: it is never broken off, and never lost."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import anyio
import pytest

from coinslot.client import Outcome, PaymentRecord, Wallet
from coinslot.client.httpx2 import EXTENSION
from coinslot.errors import InsufficientFunds
from coinslot.payments.method import Payload
from coinslot.protocol import Challenge
from stall import Purse, Shop


class SlowPurse(Purse):
    """A purse that can be watched while it pays: it is `paying`, and is done when it `may_finish`."""

    def __init__(self, *, funds: int = 100) -> None:
        super().__init__(funds=funds)
        self.paying = asyncio.Event()
        self.may_finish = asyncio.Event()

    async def pay(self, challenge: Challenge) -> Payload:
        self.paying.set()
        await self.may_finish.wait()
        return await super().pay(challenge)


class Told(list[PaymentRecord]):
    """What `on_payment` hears."""

    def wallet(self, purse: Purse) -> Wallet:
        return Wallet([purse], on_payment=self.append)


async def cancelled_once(call: asyncio.Task[object]) -> None:
    call.cancel()


async def cancelled_often(call: asyncio.Task[object]) -> None:
    for _ in range(3):
        call.cancel()
        await asyncio.sleep(0)


@pytest.mark.parametrize("cancel", [cancelled_once, cancelled_often])
async def test_a_call_that_is_cancelled_while_it_pays_ends_with_the_payment(
    shop: Shop, cancel: Callable[[asyncio.Task[object]], Awaitable[None]]
) -> None:
    """Paying goes on to its end; then the call is cancelled, and the payment can be presented later."""
    purse, told = SlowPurse(), Told()
    wallet = told.wallet(purse)
    url = shop.sell("/paid")
    call: asyncio.Task[object] = asyncio.create_task(wallet.aget(url))
    await purse.paying.wait()
    await cancel(call)
    await asyncio.sleep(0.02)
    assert not call.done()
    purse.may_finish.set()
    with pytest.raises(asyncio.CancelledError):
        await call
    (record,) = told
    assert record.outcome is Outcome.UNDECIDED
    assert not shop.presented
    response = await wallet.aget(url, extensions={EXTENSION: record})
    assert response.content == b"the goods"
    assert shop.coins == ["secret-1"]
    assert len(purse.paid) == 1
    await wallet.aclose()


async def test_a_time_limit_waits_for_the_payment(shop: Shop) -> None:
    """`asyncio.timeout` is a cancellation like any other, and its `TimeoutError` comes all the same."""
    purse, told = SlowPurse(), Told()
    wallet = told.wallet(purse)
    url = shop.sell("/paid")

    async def call() -> None:
        async with asyncio.timeout(None) as limit, asyncio.TaskGroup() as tasks:

            async def expire() -> None:
                await purse.paying.wait()
                limit.reschedule(asyncio.get_running_loop().time())
                asyncio.get_running_loop().call_later(0.02, purse.may_finish.set)

            tasks.create_task(expire())
            await wallet.aget(url)

    with pytest.raises(TimeoutError):
        await call()
    assert [record.outcome for record in told] == [Outcome.UNDECIDED]
    assert not shop.presented
    await wallet.aclose()


async def test_a_scope_that_cancels_again_and_again_waits_too(shop: Shop) -> None:
    """A cancel scope of anyio's, as web frameworks have them, loses no payment, and is heard in the end."""
    purse, told = SlowPurse(), Told()
    wallet = told.wallet(purse)
    url = shop.sell("/paid")
    with anyio.CancelScope() as scope:
        async with asyncio.TaskGroup() as tasks:

            async def cancel() -> None:
                await purse.paying.wait()
                scope.cancel()
                asyncio.get_running_loop().call_later(0.02, purse.may_finish.set)

            tasks.create_task(cancel())
            await wallet.aget(url)
    assert scope.cancelled_caught
    assert [record.outcome for record in told] == [Outcome.UNDECIDED]
    await wallet.aclose()


async def test_a_payment_that_fails_after_all_leaves_nothing(shop: Shop) -> None:
    """If paying fails when its caller is gone, nothing was paid, there is no record, and nobody complains."""
    purse, told = SlowPurse(funds=0), Told()
    wallet = told.wallet(purse)
    call = asyncio.create_task(wallet.aget(shop.sell("/paid")))
    await purse.paying.wait()
    call.cancel()
    await asyncio.sleep(0)
    purse.may_finish.set()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not told
    await wallet.aclose()


async def test_a_loop_that_ends_cancels_the_payment_itself(shop: Shop) -> None:
    """`asyncio.run` cancels every task: a method that lets it happen has paid nothing, by contract."""
    purse, told = SlowPurse(), Told()
    wallet = told.wallet(purse)
    call = asyncio.create_task(wallet.aget(shop.sell("/paid")))
    await purse.paying.wait()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not told
    await wallet.aclose()


@pytest.mark.parametrize("funds", [1, 0])
def test_ctrl_c_waits_for_the_payment(shop: Shop, funds: int) -> None:
    """A synchronous call that is interrupted while it pays ends when that is done, and tells of it."""
    told = Told()

    class Interrupted(Purse):
        async def pay(self, challenge: Challenge) -> Payload:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(0.05)
            if not self.funds:
                raise InsufficientFunds("the purse is empty")
            return await super().pay(challenge)

    url = shop.sell("/paid")
    with told.wallet(Interrupted(funds=funds)) as wallet:
        with pytest.raises(KeyboardInterrupt):
            wallet.get(url)
        assert not shop.presented
        assert [record.outcome for record in told] == [Outcome.UNDECIDED] * funds
        if told:
            assert wallet.get(url, extensions={EXTENSION: told[0]}).content == b"the goods"
