"""The background loop: coroutines for callers who have no loop."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable

import pytest

from coinslot.client import background


async def where() -> tuple[threading.Thread, asyncio.AbstractEventLoop]:
    """The thread and the loop that this runs on."""
    await asyncio.sleep(0)
    return threading.current_thread(), asyncio.get_running_loop()


def script(source: str) -> subprocess.CompletedProcess[str]:
    """Run a program of its own, whose warnings are errors, and with no patience."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(source)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_one_thread_for_all() -> None:
    """Every call runs on the same loop, in one daemon thread."""
    thread, loop = background.run(where())
    assert thread.daemon
    assert thread is not threading.current_thread()
    assert background.run(where()) == (thread, loop)


def test_calls_run_side_by_side() -> None:
    """A call that waits does not keep another from being answered."""

    async def wait(event: asyncio.Event) -> str:
        await event.wait()
        return "done"

    async def make() -> asyncio.Event:
        return asyncio.Event()

    async def release(event: asyncio.Event) -> None:
        event.set()

    event = background.run(make())
    results: list[str] = []
    waiter = threading.Thread(target=lambda: results.append(background.run(wait(event))))
    waiter.start()
    background.run(release(event))
    waiter.join(5)
    assert results == ["done"]


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit])
def test_what_a_coroutine_raises_is_its_callers(kind: type[BaseException]) -> None:
    """Any exception reaches the caller, and the loop outlives it."""

    async def fail() -> None:
        raise kind("so")

    with pytest.raises(kind, match="so"):
        background.run(fail())
    assert background.run(where())


def test_a_call_from_the_loop_itself_is_refused() -> None:
    """Waiting for the loop on the loop is an error, where it would be for ever."""

    async def nested() -> None:
        background.run(where())

    with pytest.raises(RuntimeError, match="await it instead"):
        background.run(nested())


def test_interrupting_the_caller_cancels_the_call() -> None:
    """Ctrl-C gets out of a call at once, the coroutine learns of it, and the program ends without a word."""
    done = script(
        """
        import asyncio, os, signal, threading, time
        from coinslot.client import background

        cancelled = threading.Event()

        async def work():
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
            try:
                await asyncio.sleep(15)
            except asyncio.CancelledError:
                cancelled.set()
                raise

        try:
            background.run(work())
        except KeyboardInterrupt:
            assert cancelled.wait(5)
            print("interrupted")
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")


def test_a_program_ends_while_a_call_runs() -> None:
    """What is left on the loop at exit is cancelled, and nothing complains about it."""
    done = script(
        """
        import asyncio, concurrent.futures, contextlib, threading
        from coinslot.client import background

        started = threading.Event()

        async def work():
            started.set()
            await asyncio.sleep(60)

        def call():
            with contextlib.suppress(concurrent.futures.CancelledError):
                background.run(work())

        threading.Thread(target=call, daemon=True).start()
        started.wait()
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_forked_child_has_a_loop_of_its_own() -> None:
    """After a fork, even in the middle of a call, both sides can go on calling."""
    done = script(
        """
        import asyncio, os, threading, warnings
        from coinslot.client import background

        async def pid():
            await asyncio.sleep(0.01)
            return os.getpid()

        assert background.run(pid()) == os.getpid()
        busy = threading.Thread(target=lambda: background.run(asyncio.sleep(0.5)))
        busy.start()
        warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads is what this is about
        background._lock.acquire()
        child = os.fork()
        if child == 0:
            assert background.run(pid()) == os.getpid()
            os._exit(7)
        background._lock.release()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert background.run(pid()) == os.getpid()
        busy.join()
        """
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_what_must_not_be_broken_off_is_not() -> None:
    """An interruption of `run_to_end` is raised when the coroutine has ended; a second one at once."""
    done = script(
        """
        import asyncio, os, signal
        from coinslot.client import background

        ended = 0

        async def work(interruptions):
            global ended
            for _ in range(interruptions):
                os.kill(os.getpid(), signal.SIGINT)
                await asyncio.sleep(0.2)
            await asyncio.sleep(0.2)
            ended += 1

        background.run_to_end(work(0))
        assert ended == 1
        for interruptions, expected in ((1, 2), (2, 2)):
            try:
                background.run_to_end(work(interruptions))
            except KeyboardInterrupt:
                assert ended == expected, (interruptions, ended)
                print("interrupted")
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\ninterrupted\n", "")


@pytest.mark.parametrize("begins", [False, True])
def test_an_interruption_at_the_very_start(monkeypatch: pytest.MonkeyPatch, begins: bool) -> None:
    """Just before it begins, it does not begin; just after, it is waited for: there is no time in between."""
    loop = background._get().loop
    schedule, ended = loop.call_soon_threadsafe, threading.Event()

    async def work() -> None:
        await asyncio.sleep(0.05)
        ended.set()

    def interrupted(callback: Callable[[], object], *args: object) -> None:
        monkeypatch.setattr(loop, "call_soon_threadsafe", schedule)
        if begins:
            schedule(callback)
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "call_soon_threadsafe", interrupted)
    with pytest.raises(KeyboardInterrupt):
        background.run_to_end(work())
    assert ended.is_set() == begins
