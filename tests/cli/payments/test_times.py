"""Times on the command line: what can be typed, and what is shown."""

from __future__ import annotations

import time

import pytest

from coinslot.cli.output import CommandError
from coinslot.cli.payments.times import exact_time, minute, read_time, short_time

NOON = 1_794_744_000.0  # 2026-11-15T12:00:00Z


@pytest.mark.parametrize(
    ("text", "seconds"), [("90m", 5400), ("24h", 86_400), ("7d", 604_800), ("2w", 1_209_600)]
)
def test_a_length_of_time_is_ago(text: str, seconds: int) -> None:
    """A number and a letter are so long before now."""
    before = time.time()
    read = read_time("--since", text)
    assert read is not None
    assert before - seconds <= read <= time.time() - seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-15", NOON - 43_200),
        ("2026-11-15T12:00", NOON),
        ("2026-11-15T12:00:00Z", NOON),
        ("2026-11-15T13:00:00+01:00", NOON),
    ],
)
def test_a_date_is_utc_unless_it_says_otherwise(text: str, expected: float) -> None:
    """A day begins at midnight UTC, wherever the command is run."""
    assert read_time("--since", text) == expected


@pytest.mark.parametrize("text", ["yesterday", "", "7", "7y", "-1d", "2026-13-01", "12:00"])
def test_anything_else_is_refused(text: str) -> None:
    """What is no time is said to be none, with the option's name."""
    with pytest.raises(CommandError, match=r"--until .* is no time"):
        read_time("--until", text)


def test_times_are_shown_in_utc() -> None:
    """To the millisecond for programs, to the second or minute for people."""
    assert read_time("--since", None) is None
    assert exact_time(NOON + 0.25) == "2026-11-15T12:00:00.250Z"
    assert (short_time(NOON), minute(NOON)) == ("2026-11-15 12:00:00", "2026-11-15 12:00")
    assert (exact_time(None), short_time(None)) == (None, "")
