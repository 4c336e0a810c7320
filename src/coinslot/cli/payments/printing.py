"""JSON lines, and a count that goes up on stderr while something long is done."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from coinslot.cli.output import print_line, say
from coinslot.protocol import JSONObject


def print_lines(objects: Iterable[JSONObject]) -> None:
    """An object a line, on stdout. Raises `ReaderLeft`."""
    for each in objects:
        print_line(json.dumps(each))


def counted(number: int, noun: str) -> str:
    """`1 payment`, `1,200 payments`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


@contextmanager
def counting(what: str, noun: str, *, shows: bool = True) -> Iterator[Callable[[int], None]]:
    """A function to tell the count of `noun` to: `what` comes before it.

    On a terminal the count is shown as it goes up, if it `shows`: not while results go to the same terminal.
    The last one is said in any case.
    """
    counts = [0]

    def sentence() -> str:
        return f"{what} {counted(counts[-1], noun)}"

    if not (shows and sys.stderr.isatty()):
        yield counts.append
    else:
        from rich.console import Console

        with Console(stderr=True, highlight=False).status(sentence(), spinner="dots") as status:

            def tell(count: int) -> None:
                counts.append(count)
                status.update(sentence())

            yield tell
    say(f"coinslot: {sentence()}")
