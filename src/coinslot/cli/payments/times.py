"""Times as they are typed and shown. All are UTC."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Final

from coinslot.cli.output import CommandError, Exit

_AGO: Final = re.compile(r"([0-9]{1,6})([mhdw])")
_SECONDS: Final = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


def read_time(option: str, text: str | None) -> float | None:
    """Unix seconds for `24h` or `7d` (ago), `2026-11-24`, or `2026-11-24T12:00:00Z`.

    `option` is where it was typed. Raises `CommandError`.
    """
    if text is None:
        return None
    if ago := _AGO.fullmatch(text):
        return time.time() - int(ago[1]) * _SECONDS[ago[2]]
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(
            f"{option} {text!r} is no time: write 24h, 7d, 2026-11-24 or 2026-11-24T12:00:00Z", Exit.USAGE
        ) from None
    return (when if when.tzinfo is not None else when.replace(tzinfo=UTC)).timestamp()


def exact_time(at: float | None) -> str | None:
    """For programs: `2026-11-24T12:00:00.250Z`."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def short_time(at: float | None) -> str:
    """For people: `2026-11-24 12:00:00`; empty for none."""
    return "" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def minute(at: float) -> str:
    """For tables: `2026-11-24 12:00`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
