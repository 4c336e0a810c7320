"""Every parser gets 64 KiB of the same thing, over and over. Quadratic ones would take minutes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from time import perf_counter

import pytest

from coinslot.errors import ProtocolError
from coinslot.protocol import (
    Challenge,
    Credential,
    Receipt,
    decode_base64url,
    digest_matches,
    encode_base64url,
    find_credentials,
    parse_preference,
    parse_timestamp,
    quote,
    scan,
    strict_json,
)

SIZE = 65536
LIMIT = 0.050  # seconds

PARSERS: dict[str, Callable[[str], object]] = {
    "scan": scan,
    "quote": quote,
    "Challenge.parse": Challenge.parse,
    "Challenge.parse_all": lambda value: Challenge.parse_all([value]),
    "Credential.parse": Credential.parse,
    "Credential.parse, inside": lambda value: Credential.parse(
        "Payment " + encode_base64url(value.encode("utf-8", "surrogatepass")[: SIZE * 3 // 4])
    ),
    "find_credentials": lambda value: find_credentials([value]),
    "Receipt.parse": Receipt.parse,
    "parse_preference": parse_preference,
    "parse_timestamp": parse_timestamp,
    "digest_matches": lambda value: digest_matches(value, b""),
    "decode_base64url": decode_base64url,
    "strict_json": lambda value: strict_json(value.encode("utf-8", "surrogatepass")),
}

UNITS = [
    *'"\\,=; \tA9-_/*{}[]:+.é—\x00\udce9',
    '\\"',
    '"\\',
    "a,",
    "a=b,",
    'a="b",',
    'a=",',
    '"a" ',
    ',"',
    "[]",
    '[{"',
    '{"a":',
    "a b,",
    "Payment a=b,",
    "Payment ,",
    "\\u0041",
    "\\ud83d",
    "a/b,",
]
STARTS = ["", 'Payment id="a", x="', '{"a":"', "[", "Payment "]


def best_of_five(parse: Callable[[str], object], value: str) -> float:
    """Seconds that reading `value` takes, or refusing it, when the machine is least busy."""
    times = []
    for _ in range(5):
        started = perf_counter()
        with suppress(ProtocolError):
            parse(value)
        times.append(perf_counter() - started)
        if times[-1] < LIMIT / 10:
            break
    return min(times)


@pytest.mark.parametrize("name", PARSERS)
def test_linear(name: str) -> None:
    """64 KiB of any repeated text is read, or refused with the right kind of error, within 50 ms."""
    for start in STARTS:
        for unit in UNITS:
            value = (start + unit * SIZE)[:SIZE]
            assert best_of_five(PARSERS[name], value) < LIMIT, f"{start!r} and then {unit!r}"
