from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given, strategies as st

from coinslot.protocol import format_timestamp, parse_timestamp
from strategies import LAST_SECOND, hostile_text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("2030-01-06T12:00:00Z", 1893931200.0),
        ("2030-01-06T12:00:00.000Z", 1893931200.0),
        ("2030-01-06T12:00:00.5Z", 1893931200.5),
        ("2030-01-06T12:00:00.123456789Z", 1893931200.123456),
        ("2030-01-06T14:30:00+02:30", 1893931200.0),
        ("2030-01-06T07:00:00-05:00", 1893931200.0),
        ("2028-02-29T00:00:00-00:00", 1835395200.0),
        ("0001-01-01T00:00:00+23:59", -62135683140.0),
    ],
)
def test_read(text: str, seconds: float) -> None:
    """RFC 3339 date-times with Z or an offset, and any fraction, are read in Unix seconds."""
    assert parse_timestamp(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2030-01-06",
        "2030-01-06T12:00:00",
        "2030-01-06 12:00:00Z",
        "2030-01-06t12:00:00z",
        "20300106T120000Z",
        "2030-01-06T12:00Z",
        "2030-01-06T12:00:00.Z",
        "2030-01-06T12:00:00,5Z",
        "2030-01-06T12:00:00+0200",
        "2030-01-06T12:00:00+24:00",
        "2030-01-06T24:00:00Z",
        "2030-01-06T12:00:60Z",
        "2030-13-06T12:00:00Z",
        "2030-02-30T12:00:00Z",
        "0000-01-01T00:00:00Z",
        "+002030-01-06T12:00:00Z",
        "2030-W01-1T12:00:00Z",
        "２０３０-01-06T12:00:00Z",
        "2030-01-06T12:00:00Z\n",
        " 2030-01-06T12:00:00Z",
        "2030-01-06T12:00:00." + "1" * 64 + "Z",
    ],
)
def test_not_read(text: str) -> None:
    """Other notations, and days and hours that do not exist, are not date-times."""
    assert parse_timestamp(text) is None


@given(hostile_text | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,12}(Z|[+-][0-9]{2}:[0-9]{2})"))
@example("0001-01-01T00:00:00+00:01")
@example("9999-12-31T23:59:59-23:59")
def test_total(text: str) -> None:
    """Any text is a number of seconds or nothing."""
    seconds = parse_timestamp(text)
    assert seconds is None or isinstance(seconds, float)


@given(st.integers(0, LAST_SECOND * 1000))
@example(138_850_623_615_818)  # a double has it slightly below the millisecond
def test_round_trip(milliseconds: int) -> None:
    """What is written is in UTC to the millisecond, and is read as the same moment."""
    text = format_timestamp(milliseconds / 1000)
    assert len(text) == len("2030-01-06T12:00:00.000Z")
    assert text.endswith("Z")
    read = parse_timestamp(text)
    assert read is not None
    assert round(read * 1000) == milliseconds


@given(st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)))
def test_agrees_with_datetime(moment: datetime) -> None:
    """A moment in the standard library's own notation is read as that moment."""
    assert parse_timestamp(moment.isoformat()) == moment.timestamp()
