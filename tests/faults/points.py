"""Points: the places in a shop's work where a case may strike, as they are passed.

A point has a name (`ledger.insert settling`), and is passed twice: `before` the thing is done and `after`.
Every passage is written to the trace, so a dry run says which points there are, and a killed shop leaves
behind how far it came.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Literal, TypeVar

from msgspec import Struct

T = TypeVar("T")

When = Literal["before", "after"]
Kind = Literal["kill", "lose"]

ANY: Final = "*"
"""The point of a fault that strikes anywhere."""

SLOW: Final = 1.5
"""Seconds that a slow call waits."""


class Fault(Struct, frozen=True, kw_only=True):
    """What is to happen at the passage number `nth` of a point: the process is killed, or a call is lost.

    With `ANY` for the point and whatever `when`, all passages count.
    """

    point: str
    when: When = "before"
    nth: int = 1
    kind: Kind = "kill"


class Passage(Struct, frozen=True, kw_only=True):
    """One line of the trace. `about` is the challenge that it concerns, if the point knows that."""

    pid: int
    when: When
    point: str
    about: str


class Lost(Exception):
    """The call is lost: before it was made, or its answer."""

    def __init__(self, when: When) -> None:
        self.when = when


class Watch:
    """Sees every passage of one process, and strikes once when its time has come.

    The file `cuts` has the kind of points (`tempo`, `stripe`) whose calls fail for now, and how: they are
    refused, go unanswered, or are slow.
    """

    def __init__(self, trace: Path, cuts: Path, fault: Fault | None = None) -> None:
        self._cuts = cuts
        self._trace = os.open(trace, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._fault = fault
        self._passed: Counter[str] = Counter()

    def arm(self, fault: Fault | None) -> None:
        """Strike by this fault from now on; passages are counted from here."""
        self._fault = fault
        self._passed.clear()

    def passes(self, point: str, when: When, about: str = "") -> None:
        """Note a passage. Raises `Lost`, or does not return."""
        os.write(self._trace, f"{os.getpid()}\t{when}\t{point}\t{about}\n".encode())
        fault = self._fault
        if fault is None or (fault.point != ANY and (fault.point, fault.when) != (point, when)):
            return
        self._passed[fault.point] += 1
        if self._passed[fault.point] < fault.nth:
            return
        self._fault = None
        if fault.kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise Lost(when)

    async def around(self, point: str, work: Callable[[], Awaitable[T]], about: str = "") -> T:
        """Do something that is a point, unless it is cut off. Raises `Lost`."""
        self.passes(point, "before", about)
        cut = self._cut(point.partition(" ")[0])
        if cut == "refused":
            raise Lost("before")
        if cut == "slow":
            await asyncio.sleep(SLOW)
        done = await work()
        self.passes(point, "after", about)
        if cut == "unanswered":
            raise Lost("after")
        return done

    def _cut(self, kind: str) -> str:
        subject, _, how = (self._cuts.read_text() if self._cuts.exists() else "").partition(" ")
        return how if subject == kind else ""


def when_of(text: str) -> When:
    """`before` or `after`."""
    return "before" if text == "before" else "after"


def read_trace(trace: Path) -> list[Passage]:
    """Every passage so far, of all the processes that wrote to it."""
    if not trace.exists():
        return []
    passages = []
    for line in trace.read_text().splitlines():
        pid, when, point, about = line.split("\t")
        passages.append(Passage(pid=int(pid), when=when_of(when), point=point, about=about))
    return passages
