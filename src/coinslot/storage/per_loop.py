"""One of something for each event loop: a connection belongs to the loop on which it was made.

It is made when a loop first asks, and closed when that loop shuts down in order, as `asyncio.run` has it: an
asynchronous generator that was begun is closed then, and that is the only notice that a loop gives. A child
process begins anew; what it inherited is its parent's, and is left alone.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar


class Closes(Protocol):
    """What is made for a loop. `aclose` is called on that loop, and ends in bounded time."""

    async def aclose(self) -> None:
        """Let go."""
        ...


C = TypeVar("C", bound=Closes)


class PerLoop(Generic[C]):
    """`make` is called on the loop that the result is for."""

    def __init__(self, make: Callable[[], C]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._kept: dict[asyncio.AbstractEventLoop, tuple[C, AsyncGenerator[None]]] = {}
        with _registry:
            _everything.add(self)

    async def get(self) -> C:
        """The running loop's own."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop in self._kept:
                value, _ = self._kept[loop]
                return value
            self._forget_closed_loops()
            value = self._make()
            keeper = self._keep(loop, value)
            self._kept[loop] = value, keeper
        await anext(keeper)
        return value

    async def aclose(self) -> None:
        """Close everything that can still be closed, each on its own loop."""
        here = asyncio.get_running_loop()
        with self._lock:
            kept = list(self._kept.items())
            self._kept.clear()
        for loop, (_, keeper) in kept:
            if loop is here:
                await keeper.aclose()
            elif loop.is_running():
                with suppress(RuntimeError):  # it has just ended, and did this itself
                    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(keeper.aclose(), loop))

    async def _keep(self, loop: asyncio.AbstractEventLoop, value: C) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            with self._lock:
                self._kept.pop(loop, None)
            await value.aclose()

    def _forget_closed_loops(self) -> None:
        for loop in [loop for loop in self._kept if loop.is_closed()]:
            del self._kept[loop]

    def _after_fork(self) -> None:
        _inherited.append(self._kept)
        self._lock = threading.Lock()
        self._kept = {}


_everything: weakref.WeakSet[PerLoop[Any]] = weakref.WeakSet()
_registry = threading.Lock()
_inherited: list[object] = []  # kept, so that nothing tells the parent's servers good-bye


def _after_fork() -> None:
    global _registry
    _registry = threading.Lock()
    for each in list(_everything):
        each._after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork)
