"""RFC 3339 timestamps, as `expires` and receipts have them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

MAX_TIMESTAMP = 64
"""Characters in a timestamp that is read."""

# RFC 3339 §5.6 date-time in upper case, without the leap second.
_date_time = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?"
    r"(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)


def parse_timestamp(text: str) -> float | None:
    """`text` in Unix seconds, or None if it is not an RFC 3339 date-time."""
    if len(text) > MAX_TIMESTAMP or not _date_time.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:  # no such day
        return None


def format_timestamp(seconds: float) -> str:
    """Unix `seconds`, rounded to the nearest millisecond, as RFC 3339 in UTC: `2030-01-06T12:00:00.000Z`."""
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    date_time = datetime.fromtimestamp(whole, UTC).isoformat(timespec="seconds").removesuffix("+00:00")
    return f"{date_time}.{milliseconds:03}Z"
