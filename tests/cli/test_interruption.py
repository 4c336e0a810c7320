"""Ctrl-C: at once, but not in the middle of a payment."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from coinslot.cli.interruption import held, interruptible


def interrupt(number: signal.Signals = signal.SIGINT) -> None:
    """Ctrl-C, on the thread that this is."""
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_strikes_where_it_is(number: signal.Signals) -> None:
    """Whatever runs is broken off there and then, and the handlers of before are back afterwards."""
    before = signal.getsignal(number)
    done: list[str] = []

    async def work() -> None:
        interrupt(number)
        done.append("more")

    with pytest.raises(KeyboardInterrupt), interruptible():
        asyncio.run(work())
    assert not done
    assert signal.getsignal(number) is before


def test_what_is_held_ends_first() -> None:
    """The result is there before the interruption is; whoever waits for it is cancelled."""
    done: list[str] = []

    async def pay() -> str:
        with held():
            interrupt()
            await asyncio.sleep(0)
            done.append("paid")
        return "payload"

    async def work() -> None:
        payment = asyncio.ensure_future(pay())
        try:
            await payment
        except asyncio.CancelledError:
            done.append(payment.result())
            raise
        done.append("presented")

    with pytest.raises(KeyboardInterrupt), interruptible():
        asyncio.run(work())
    assert done == ["paid", "payload"]


def test_a_second_one_does_not_wait() -> None:
    """Who insists gets away at once."""
    done: list[str] = []

    async def work() -> None:
        with held():
            interrupt()
            interrupt()
            done.append("more")

    with pytest.raises(KeyboardInterrupt), interruptible():
        asyncio.run(work())
    assert not done


def test_nothing_is_left_of_it() -> None:
    """After something was held, an interruption strikes as before, and none is due that never came."""

    async def work() -> str:
        with held():
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        return "done"

    with interruptible():
        assert asyncio.run(work()) == "done"
    with pytest.raises(KeyboardInterrupt), interruptible():
        interrupt()
