"""The handler's own journal: what it did, in a file that nothing else writes to.

A line is there as soon as it is written, whatever becomes of the process; a machine's crash is not played.
"""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct


class Completion(Struct, frozen=True):
    """One completion of the handler: for which challenge, and what it was going to answer."""

    challenge_id: str
    goods: str


class Journal:
    """The shop's end."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def complete(self, challenge_id: str, goods: str) -> None:
        """The work is done."""
        os.write(self._file, f"{challenge_id}\t{goods}\n".encode())


def read_journal(path: Path) -> list[Completion]:
    """Every completion so far."""
    if not path.exists():
        return []
    return [Completion(*line.split("\t")) for line in path.read_text().splitlines()]
