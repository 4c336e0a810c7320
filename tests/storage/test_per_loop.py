"""One of something for each event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from coinslot.storage.per_loop import PerLoop


class Line:
    """Something that belongs to a loop, and notes on which it was closed."""

    def __init__(self) -> None:
        self.made_on = asyncio.get_running_loop()
        self.closed_on: list[asyncio.AbstractEventLoop] = []

    async def aclose(self) -> None:
        await asyncio.sleep(0)
        self.closed_on.append(asyncio.get_running_loop())


@contextmanager
def running_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that runs on a thread of its own, and is closed without any order."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def test_a_loop_has_its_own() -> None:
    """The same one each time, also where many ask at once; another loop has another."""
    lines = PerLoop(Line)
    first, *others = await asyncio.gather(*(lines.get() for _ in range(10)))
    assert all(other is first for other in others)
    other = await asyncio.to_thread(asyncio.run, lines.get())
    assert other is not first
    assert other.made_on is not first.made_on
    assert await lines.get() is first
    await lines.aclose()


def test_it_is_closed_when_its_loop_ends() -> None:
    """On that loop, once, and without anybody asking."""
    lines = PerLoop(Line)
    line = asyncio.run(lines.get())
    assert line.closed_on == [line.made_on]
    asyncio.run(lines.aclose())
    assert line.closed_on == [line.made_on]


async def test_all_are_closed_on_their_own_loops() -> None:
    """`aclose` reaches other loops that run, and `get` begins anew after it."""
    lines = PerLoop(Line)
    here = await lines.get()
    with running_loop() as loop:
        there = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(lines.get(), loop))
        await lines.aclose()
        assert there.closed_on == [loop]
    assert here.closed_on == [asyncio.get_running_loop()]
    assert await lines.get() is not here
    await lines.aclose()


async def test_what_a_closed_loop_had_is_forgotten() -> None:
    """A loop that was closed without any order cannot be asked to close anything, and is not kept alive."""
    lines = PerLoop(Line)
    with running_loop() as loop:
        there = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(lines.get(), loop))
    assert loop in lines._kept
    await lines.get()
    assert loop not in lines._kept
    await lines.aclose()
    assert there.closed_on == []
