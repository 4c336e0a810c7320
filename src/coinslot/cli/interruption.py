"""Ctrl-C and `kill`: they interrupt at once, only not in the middle of a payment.

asyncio has a handler of its own, which would not end a prompt for a passphrase. A `KeyboardInterrupt` does,
wherever it strikes; what is making a payment must not be struck.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class _State:
    """Signals are the process's, and so is this."""

    is_held = False
    is_due = False


@contextmanager
def interruptible() -> Iterator[None]:
    """Have both raise `KeyboardInterrupt` in what runs here."""
    _State.is_held = _State.is_due = False
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def held() -> Iterator[None]:
    """Have an interruption wait for the end of this part of a coroutine. A second one does not wait."""
    _State.is_held = True
    try:
        yield
    finally:
        # Not here, where it would take the coroutine's result along.
        asyncio.get_running_loop().call_soon(_release)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    if _State.is_held and not _State.is_due:
        _State.is_due = True
    else:
        _State.is_due = False
        raise KeyboardInterrupt


def _release() -> None:
    _State.is_held = False
    if _State.is_due:
        _State.is_due = False
        raise KeyboardInterrupt
