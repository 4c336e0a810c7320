"""A sandbox on a thread and an event loop of its own, for synchronous code and for any event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

_Result = TypeVar("_Result")


class Startable(Protocol):
    """What can be started and stopped in an event loop, and says so itself if it is running already."""

    async def start(self) -> None:
        """Returns when it answers."""
        ...

    async def stop(self) -> None:
        """Stopping what does not run does nothing."""
        ...


_Sandbox = TypeVar("_Sandbox", bound=Startable)


class Threaded(Generic[_Sandbox]):
    """Starts and stops a sandbox. What it raises, this raises."""

    def __init__(self, sandbox: _Sandbox, name: str) -> None:
        """`name` is the thread's."""
        self._sandbox = sandbox
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread and the sandbox. Returns when it answers."""
        if self._loop is not None:
            self._run(self._sandbox.start())  # it refuses
            return
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=self._name, daemon=True)
        self._thread.start()
        try:
            self._run(self._sandbox.start())
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all of it. Stopping what does not run does nothing."""
        if self._loop is None or self._thread is None:
            return
        try:
            self._run(self._sandbox.stop())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._loop = self._thread = None

    def _run(self, coroutine: Coroutine[object, object, _Result]) -> _Result:
        """Run something in the sandbox's event loop, and wait for it."""
        assert self._loop is not None  # it is running
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
