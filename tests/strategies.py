"""Hypothesis strategies for what travels on the wire."""

from __future__ import annotations

from hypothesis import strategies as st

from coinslot.protocol import (
    Challenge,
    Credential,
    JSONObject,
    JSONValue,
    Receipt,
    content_digest,
    encode_object,
    format_timestamp,
)

MAX_SAFE_INTEGER = 2**53 - 1
LAST_SECOND = 253402300799  # of the year 9999

_CONTROLS = "".join(map(chr, [*range(0x09), *range(0x0A, 0x20), 0x7F]))

unicode_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
"""Any text that UTF-8 can hold."""

field_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=_CONTROLS), max_size=60)
"""Any text that can be quoted in a field value."""

tokens = st.from_regex(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}", fullmatch=True)
"""RFC 9110 tokens."""

json_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER),
    st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: not 2**53 <= abs(x) < 1e21),
    unicode_text,
)


def _containers(values: st.SearchStrategy[JSONValue]) -> st.SearchStrategy[JSONValue]:
    return st.one_of(st.lists(values, max_size=4), st.dictionaries(unicode_text, values, max_size=4))


json_values: st.SearchStrategy[JSONValue] = st.recursive(json_scalars, _containers, max_leaves=12)
"""Anything that I-JSON can hold (RFC 7493)."""

json_objects: st.SearchStrategy[JSONObject] = st.dictionaries(unicode_text, json_values, max_size=5)
"""I-JSON objects."""

string_maps = st.dictionaries(unicode_text, unicode_text, max_size=4)
"""What `opaque` can hold."""

timestamps = st.builds(format_timestamp, st.integers(0, LAST_SECOND * 1000).map(lambda ms: ms / 1000))
"""RFC 3339 timestamps as Coinslot writes them."""

challenges = st.builds(
    Challenge,
    id=field_text.filter(bool),
    realm=field_text,
    method=st.from_regex(r"[a-z][a-z0-9:_-]{0,20}", fullmatch=True),
    intent=st.from_regex(r"[A-Za-z0-9-]{1,20}", fullmatch=True),
    request=json_objects.map(encode_object),
    description=st.none() | field_text,
    digest=st.none() | st.binary(max_size=40).map(content_digest),
    expires=st.none() | timestamps,
    header=st.none() | tokens,
    opaque=st.none() | string_maps.map(encode_object),
)
"""Well-formed challenges."""

credentials = st.builds(
    Credential, challenge=challenges, payload=json_objects, source=st.none() | unicode_text
)
"""Well-formed credentials."""

receipts = st.builds(
    Receipt,
    method=unicode_text,
    reference=unicode_text,
    timestamp=timestamps,
    external_id=st.none() | unicode_text,
    extra=st.dictionaries(
        unicode_text.filter(
            lambda name: name not in {"method", "reference", "timestamp", "status", "externalId"}
        ),
        json_values,
        max_size=3,
    ),
)
"""Well-formed receipts."""

_wire_pieces = st.sampled_from(
    [
        *'",=\\ \t;/*{}[]:.-_aZ09\x00\r\n\x7fé—\udce9',
        "Payment ",
        "payment",
        "Bearer x",
        'id="x"',
        'realm="r"',
        'method="tempo"',
        'intent="charge"',
        'request="e30"',
        'opaque="e30"',
        'expires="2030-01-01T00:00:00Z"',
        'description="',
        "\\u2014",
        "\\ud83d",
        "eyJhIjoxfQ",
        ", ",
        ";q=0.5",
        "tempo/charge",
        "sha-256=",
        '{"a":',
        "1e400",
        "NaN",
        "null",
    ]
)

hostile_text = st.one_of(
    st.text(max_size=80),
    st.text(st.characters(), max_size=80),  # lone surrogates too
    st.binary(max_size=80).map(lambda data: data.decode("latin-1")),
    st.lists(_wire_pieces, max_size=25).map("".join),
)
"""Anything a field value could arrive as, much of it nearly right."""
