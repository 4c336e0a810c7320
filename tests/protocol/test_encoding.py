from __future__ import annotations

import json
import math
import sys
from contextlib import nullcontext
from typing import get_type_hints

import msgspec
import pytest
import rfc8785
from hypothesis import example, given, strategies as st

from coinslot.errors import MalformedEncoding, MalformedJSON
from coinslot.protocol import (
    Credential,
    JSONValue,
    canonical_json,
    decode_base64url,
    decode_object,
    encode_base64url,
    encode_object,
    strict_json,
)
from coinslot.protocol.encoding import MAX_DIGITS, MAX_JSON_DEPTH
from strategies import hostile_text, json_objects, json_values, string_maps


class TestBase64url:
    @given(st.binary())
    def test_round_trip(self, data: bytes) -> None:
        """Any bytes come back, and nothing but the URL-safe alphabet is written."""
        text = encode_base64url(data)
        assert decode_base64url(text) == data
        assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")

    @given(hostile_text | st.text("AQgw-_+/=", max_size=12))
    @example("YR")
    def test_one_spelling(self, text: str) -> None:
        """Whatever text is accepted is exactly what the encoder writes for those bytes."""
        try:
            data = decode_base64url(text)
        except MalformedEncoding:
            return
        assert encode_base64url(data) == text

    @pytest.mark.parametrize(
        "text",
        [
            "YQ==",
            "YQ=",
            "YR",
            "YWK",
            "Y",
            "YWJjY",
            "Pj4+",
            "Pz8/",
            "Y Q",
            "YQ\n",
            " YQ",
            "é",
            "Y\udce9",
            "!!!!",
        ],
    )
    def test_refused(self, text: str) -> None:
        """Padding, trailing bits, other alphabets, junk and characters beyond ASCII are not base64url."""
        with pytest.raises(MalformedEncoding):
            decode_base64url(text)

    def test_limit(self) -> None:
        """Text is read up to the limit and not beyond."""
        assert decode_base64url("AAAA", limit=4) == bytes(3)
        with pytest.raises(MalformedEncoding, match="more than 4 characters"):
            decode_base64url("AAAAAA", limit=4)


class TestStrictJSON:
    @given(st.binary() | hostile_text.map(lambda text: text.encode("utf-8", "surrogatepass")))
    @example(b"[" * 5000)
    @example(b'{"a":' * 5000)
    @example(b"[" * 5000 + b"]" * 5000)
    @example(b"1" * 6000)
    @example(b"-" + b"1" * 6000)
    @example(b"1e" + b"9" * 6000)
    @example(b"0." + b"1" * 6000)
    @example(b"\xff")
    @example(b"\xef\xbb\xbf{}")
    def test_total(self, data: bytes) -> None:
        """Any bytes are refused as malformed, or give what the standard library reads."""
        try:
            value = strict_json(data)
        except MalformedJSON:
            return
        assert value == json.loads(data)

    @given(json_values, st.booleans(), st.booleans())
    def test_every_spelling(self, value: JSONValue, spaced: bool, escaped: bool) -> None:
        """A value is read alike from compact and spaced text, escaped or not."""
        separators = (" , ", " : ") if spaced else (",", ":")
        text = json.dumps(value, separators=separators, ensure_ascii=escaped)
        assert strict_json(text.encode()) == value

    @pytest.mark.parametrize(
        "text",
        [
            '{"a":1,"a":1}',
            '{"a":1, "a":2}',
            '{"a":1,"\\u0061":2}',
            '[{"b":{"a":null,"a":null}}]',
            "NaN",
            "[Infinity]",
            "-Infinity",
            "1e400",
            "-1e400",
            "1" * (MAX_DIGITS + 1),
            "-" + "1" * (MAX_DIGITS + 1),
            '{"a": ' + "1" * 6000 + "}",
            "1." + "0" * MAX_DIGITS,
            '"\\ud800"',
            '"\\udc00\\ud800"',
            '{"\\ud800":1}',
            '["a", "\\uDFFF"]',
            "",
            " ",
            "{}{}",
            "{} x",
            "[1,]",
            '{"a":1,}',
            "{'a':1}",
            "{a:1}",
            "01",
            "+1",
            ".5",
            "1.",
            "0x1",
            "True",
            '"\t"',
            '"\x00"',
            '"a',
            '"\\x"',
            '"\\u12"',
            "\ufeff{}",
            "// {}",
        ],
    )
    def test_refused(self, text: str) -> None:
        """What RFC 8259 forbids, and what readers are known to disagree about, is malformed."""
        with pytest.raises(MalformedJSON):
            strict_json(text.encode())

    @pytest.mark.parametrize(
        "data",
        [
            b"\xff",
            b'"\xc3"',
            b'"\xed\xa0\x80"',
            b'"caf\xe9"',
            b'{"\xff":1}',
            b'{"\xed\xa0\x80":1}',
            b'"\xc0\x80"',
        ],
    )
    def test_utf8(self, data: bytes) -> None:
        """Bytes that are not UTF-8, Latin-1 and encoded surrogates among them, are malformed."""
        with pytest.raises(MalformedJSON):
            strict_json(data)

    @pytest.mark.parametrize("opening", ["[", '{"a":'])
    def test_depth(self, opening: str) -> None:
        """Brackets may be open as deep as the limit, and no deeper."""
        closing = "]" if opening == "[" else "}"

        def nested(depth: int) -> bytes:
            return (opening * depth + "1" + closing * depth).encode()

        strict_json(nested(MAX_JSON_DEPTH))
        with pytest.raises(MalformedJSON, match="deep"):
            strict_json(nested(MAX_JSON_DEPTH + 1))

    def test_breadth_is_not_depth(self) -> None:
        """Many brackets side by side, or inside strings, are not deep."""
        side_by_side = [[], {"a": []}] * 100
        assert strict_json(json.dumps(side_by_side).encode()) == side_by_side
        in_strings = ['[[[[{{{{"', "\\" * 9 + '"[' * 100]
        assert strict_json(json.dumps(in_strings).encode()) == in_strings

    def test_longest_number(self) -> None:
        """Integers are exact up to the limit of digits, and each fits a double."""
        value = strict_json(b"-" + b"9" * MAX_DIGITS)
        assert value == -(10**MAX_DIGITS - 1)
        assert math.isfinite(float(10**MAX_DIGITS - 1))

    def test_size(self) -> None:
        """Text is read up to the limit and not beyond."""
        assert strict_json(b"[1]", limit=3) == [1]
        with pytest.raises(MalformedJSON, match="more than 3 bytes"):
            strict_json(b"[10]", limit=3)

    @pytest.mark.parametrize("text", ['{"proof":"s3cret"', '{"s3cret":1,"s3cret":1}', '"s3cret\\ud800"'])
    def test_message_has_no_contents(self, text: str) -> None:
        """The error's message, and what it was raised from, quote nothing of the text."""
        with pytest.raises(MalformedJSON) as caught:
            strict_json(text.encode())
        assert "s3cret" not in str(caught.value)
        assert caught.value.__cause__ is None


class TestCanonicalJSON:
    @given(json_values)
    def test_is_rfc8785(self, value: JSONValue) -> None:
        """The bytes are those of the reference library, whichever encoder wrote them."""
        assert canonical_json(value) == rfc8785.dumps(value)

    @given(string_maps)
    def test_string_maps_are_rfc8785(self, value: dict[str, str]) -> None:
        """Maps of strings, as `opaque` is, are written as the reference library does."""
        assert canonical_json({**value}) == rfc8785.dumps({**value})

    def test_every_character_is_rfc8785(self) -> None:
        """Every character there is gets the same escape, or none, from both encoders."""
        everything = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))
        assert canonical_json(everything) == rfc8785.dumps(everything)
        ascii_keys: dict[str, JSONValue] = {chr(code): code for code in range(0x80)}
        assert canonical_json(ascii_keys) == rfc8785.dumps(ascii_keys)

    @pytest.mark.parametrize(
        ("value", "written"),
        [
            ({"b": 1, "a": {"d": True, "c": None}}, '{"a":{"c":null,"d":true},"b":1}'),
            ({"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "\xf6": 7},
             '{"\\r":2,"1":4,"\x80":6,"\xf6":7,"\u20ac":1,"\U0001f600":5,"\ufb33":3}'),
            ([333333333.33333329, 1e30, 4.50, 2e-3, 1e-27], "[333333333.3333333,1e+30,4.5,0.002,1e-27]"),
            ([-0.0, 1.0, 1e21, 1e-6, 1e-7], "[0,1,1e+21,0.000001,1e-7]"),
            ("\x0f\n\"\\/é", '"\\u000f\\n\\"\\\\/é"'),
        ],
    )  # fmt: skip
    def test_published_examples(self, value: JSONValue, written: str) -> None:
        """RFC 8785 §3.2: members sort by UTF-16 unit, numbers and strings are written as ECMAScript does."""
        assert canonical_json(value) == written.encode()

    @given(json_values)
    def test_round_trip(self, value: JSONValue) -> None:
        """Reading canonical JSON and writing it again changes nothing."""
        written = canonical_json(value)
        assert canonical_json(strict_json(written)) == written

    @pytest.mark.parametrize(
        "value",
        [math.nan, math.inf, 2**53, -(2**53), 2.0**53, -1e20, "\ud800", {"\udc00": 1}, {"é\udc00": 1}],
    )
    def test_refused(self, value: JSONValue) -> None:
        """What I-JSON cannot hold has no canonical form."""
        for candidate in (value, [value], {"a": value}):
            with pytest.raises(MalformedJSON):
                canonical_json(candidate)

    def test_giant_integer(self) -> None:
        """An integer that Python would not even print is refused like any other."""
        with pytest.raises(MalformedJSON):
            canonical_json(10**6000)

    @pytest.mark.parametrize("leaf", [1, 1.5])
    def test_deep(self, leaf: JSONValue) -> None:
        """What is nested too deep is refused, however deep Python itself may be allowed to go."""
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(1_000_000)
        try:
            for depth in (MAX_JSON_DEPTH, MAX_JSON_DEPTH + 1, 50_000):
                value = leaf
                for _ in range(depth):
                    value = [value]
                with nullcontext() if depth == MAX_JSON_DEPTH else pytest.raises(MalformedJSON):
                    canonical_json(value)
        finally:
            sys.setrecursionlimit(limit)

    def test_endless(self) -> None:
        """A value that contains itself is refused."""
        value: list[JSONValue] = []
        value += [value, value]
        with pytest.raises(MalformedJSON):
            canonical_json(value)


class TestObjects:
    @given(json_objects)
    def test_round_trip(self, value: dict[str, JSONValue]) -> None:
        """Any I-JSON object comes back from its encoding."""
        assert decode_object(encode_object(value)) == value

    @given(hostile_text)
    def test_total(self, text: str) -> None:
        """Any text is refused as malformed or is an object."""
        try:
            value = decode_object(text)
        except (MalformedEncoding, MalformedJSON):
            return
        assert isinstance(value, dict)

    @pytest.mark.parametrize("text", ["[]", "1", '"a"', "null", "true"])
    def test_only_objects(self, text: str) -> None:
        """JSON that is not an object is refused."""
        with pytest.raises(MalformedJSON, match="object"):
            decode_object(encode_base64url(text.encode()))

    def test_annotations_resolve(self) -> None:
        """Libraries that read annotations at run time can use a struct that holds JSON."""
        assert get_type_hints(Credential)["payload"]
        members = {"id": "x", "realm": "r", "method": "m", "intent": "charge", "request": "e30"}
        converted = msgspec.convert({"challenge": members, "payload": {"a": [1]}}, Credential)
        assert converted.payload == {"a": [1]}
