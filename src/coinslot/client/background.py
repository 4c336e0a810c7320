"""The event loop that synchronous callers run coroutines on.

One daemon thread with one loop for the whole process, made on first use and made anew in a forked child.
Methods are written once, as coroutines; a connection that one of them keeps open lives on this loop from
call to call.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

_STOP_TIMEOUT = 1.0
"""Seconds that the interpreter's exit waits for the loop to stop."""


class _Background:
    """The thread and its loop."""

    def __init__(self) -> None:
        self._stopping = False
        ready = threading.Event()
        self.thread = threading.Thread(
            target=self._run, args=(ready,), name="coinslot-background", daemon=True
        )
        self.thread.start()
        ready.wait()

    def _run(self, ready: threading.Event) -> None:
        with asyncio.Runner() as runner:
            self.loop = runner.get_loop()
            ready.set()
            while not self._stopping:
                # asyncio lets these two out of the loop when a coroutine raises them. They are its
                # caller's, who hears of them from the future, if only the loop goes on.
                with suppress(KeyboardInterrupt, SystemExit):
                    self.loop.run_forever()

    def stop(self) -> None:
        self._stopping = True
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(_STOP_TIMEOUT)


_lock = threading.Lock()
_background: _Background | None = None
_inherited: list[_Background] = []


def run(coroutine: Coroutine[object, object, T]) -> T:
    """Run `coroutine` on the background loop and return its result, or raise what it raised.

    Interrupting the caller (`KeyboardInterrupt`) cancels it. Raises `RuntimeError` when called on the
    background loop itself, which could only wait for itself.
    """
    loop = _loop_for(coroutine)
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def run_to_end(coroutine: Coroutine[object, object, T]) -> T:
    """`run` for what must not be broken off: an interruption of the caller is raised when it has ended.

    Only one that comes before it has begun keeps it from beginning. A second interruption is raised at once,
    and leaves it running.
    """
    loop = _loop_for(coroutine)
    outcome: Future[T] = Future()
    task: asyncio.Task[None] | None = None

    async def run() -> None:
        try:
            outcome.set_result(await coroutine)
        except BaseException as error:  # noqa: BLE001 (it is the caller's, whatever it is)
            outcome.set_exception(error)

    def begin() -> None:
        nonlocal task
        task = loop.create_task(run())

    def abandon() -> None:
        if task is None:
            coroutine.close()
            outcome.set_exception(asyncio.CancelledError())

    try:
        loop.call_soon_threadsafe(begin)
        wait([outcome])
    except BaseException:
        # The interruption may have come before the line above was through. What it scheduled comes first.
        loop.call_soon_threadsafe(abandon)
        wait([outcome])
        raise
    return outcome.result()


def _loop_for(coroutine: Coroutine[object, object, T]) -> asyncio.AbstractEventLoop:
    background = _get()
    if threading.current_thread() is background.thread:
        coroutine.close()
        raise RuntimeError(
            "a synchronous call inside a payment method would wait for itself: await it instead"
        )
    return background.loop


def _get() -> _Background:
    global _background
    with _lock:
        if _background is None:
            _background = _Background()
        return _background


@atexit.register
def _stop() -> None:
    """Stop the loop while it can still be closed, so that nothing is left to complain about."""
    global _background
    background, _background = _background, None
    if background is not None:
        background.stop()


def _forget() -> None:
    """In a forked child: the thread is gone, and the lock may have been held by one that is gone too.

    The old loop is kept unused, because closing it would take down the selector that the parent still waits
    on.
    """
    global _background, _lock
    _lock = threading.Lock()
    if _background is not None:
        _inherited.append(_background)
        _background = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
