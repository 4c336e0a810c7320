"""Base64url, strict JSON and canonical JSON: how MPP puts objects into header fields.

    encode_object   object → JCS → base64url
    decode_object   base64url → strict JSON → object

Reading is strict because two readers that disagree about one text are how signatures get bypassed: one
spelling of base64url for each value, no duplicate members, no NaN, no lone surrogates. It is total and
linear: any text gives a value or a `ProtocolError`.
"""

from __future__ import annotations

import json
import re
from binascii import Error as BinasciiError, a2b_base64, b2a_base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, cast

import msgspec

from coinslot.errors import MalformedEncoding, MalformedJSON

if TYPE_CHECKING:
    JSONValue: TypeAlias = bool | int | float | str | list["JSONValue"] | dict[str, "JSONValue"] | None
    """Anything JSON can hold."""

    JSONObject: TypeAlias = dict[str, JSONValue]
    """A JSON object."""
else:
    # What reads annotations at run time (msgspec, FastAPI) cannot follow an alias into itself.
    JSONValue = Any
    JSONObject = dict[str, Any]

MAX_ENCODED = 65536
"""Characters of base64url, or bytes of JSON, that are read unless a caller says otherwise."""

MAX_JSON_DEPTH = 32
"""Arrays and objects that may be open at once."""

MAX_DIGITS = 308
"""Digits in one number: every integer of so many fits a double."""

MAX_SAFE_INTEGER = 2**53 - 1
"""The largest integer that every JSON reader agrees on (RFC 7493 §2.2)."""

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_DIGITS_TO_ZERO = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * (MAX_DIGITS + 1)
_TO_URL_SAFE = bytes.maketrans(b"+/", b"-_")

# A string, closed or not. Possessive, so that an unclosed one is not read twice.
_json_string = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_BRACES_TO_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))

_sorted_encoder = msgspec.json.Encoder(order="deterministic")


def encode_base64url(data: bytes) -> str:
    """`data` as base64url without padding (RFC 4648 §5)."""
    return b2a_base64(data, newline=False).translate(_TO_URL_SAFE).rstrip(b"=").decode("ascii")


def decode_base64url(text: str, *, limit: int = MAX_ENCODED) -> bytes:
    """The bytes that `text` stands for; `limit` is in characters.

    Raises `MalformedEncoding` for anything that `encode_base64url` would not have written: padding,
    characters outside the alphabet, bits set beyond the last byte (RFC 4648 §3.5).
    """
    if len(text) > limit:
        raise MalformedEncoding(f"more than {limit} characters of base64url")
    if not text.isascii() or text.encode("ascii").translate(None, _ALPHABET):
        raise MalformedEncoding("a character that is not in the base64url alphabet")
    try:
        data = a2b_base64(text.replace("-", "+").replace("_", "/") + "==")
    except BinasciiError:
        raise MalformedEncoding("base64url that is cut off") from None
    # Only a last group of two or three characters has more bits than it needs. Writing it again shows them.
    if (rest := len(text) % 4) and encode_base64url(data[1 - rest :]) != text[-rest:]:
        raise MalformedEncoding("base64url that is not canonical")
    return data


def strict_json(data: bytes, *, limit: int = MAX_ENCODED) -> JSONValue:
    """The value of a JSON text; `limit` is in bytes.

    Raises `MalformedJSON` for what RFC 8259 forbids, and for what it leaves open: more than
    `MAX_JSON_DEPTH` open brackets, duplicate members, NaN and Infinity, numbers beyond a double, lone
    surrogates.
    """
    if len(data) > limit:
        raise MalformedJSON(f"more than {limit} bytes of JSON")
    if _is_too_deep(data):
        raise MalformedJSON(f"more than {MAX_JSON_DEPTH} brackets deep, or not closed")
    if _LONG_NUMBER not in data.translate(_DIGITS_TO_ZERO):
        try:
            # msgspec is three times as fast, but lets duplicates pass. What it writes back byte for byte has
            # none, nor anything else that the careful decoder would refuse.
            value: JSONValue = msgspec.json.decode(data)
            if msgspec.json.encode(value) == data:
                return value
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
    return _decode_carefully(data)


def canonical_json(value: JSONValue) -> bytes:
    """`value` in the JSON Canonicalization Scheme (RFC 8785).

    Raises `MalformedJSON` for what I-JSON (RFC 7493) does not hold: NaN, numbers that would be written as an
    integer beyond 2⁵³ - 1, lone surrogates; and for what is nested deeper than `MAX_JSON_DEPTH`.
    """
    try:
        if _is_plain(value, MAX_JSON_DEPTH):
            return _sorted_encoder.encode(value)
        _check_depth(value)
        return _encode_by_reference(value)
    except ValueError:
        raise MalformedJSON("has no canonical JSON form") from None


def encode_object(value: Mapping[str, JSONValue]) -> str:
    """`value` as base64url of its canonical JSON, as `request` and `opaque` are. Raises `MalformedJSON`."""
    return encode_base64url(canonical_json(dict(value)))


def decode_object(text: str, *, limit: int = MAX_ENCODED) -> JSONObject:
    """The object in `text`, base64url of JSON; `limit` is in characters of `text`.

    The JSON need not be canonical. Raises `MalformedEncoding` or `MalformedJSON`.
    """
    value = strict_json(decode_base64url(text, limit=limit), limit=limit)
    if not isinstance(value, dict):
        raise MalformedJSON("not a JSON object")
    return value


def _is_plain(value: object, depth: int) -> bool:
    """Whether msgspec writes `value`, which may be `depth` deep, exactly as RFC 8785 wants it.

    It does for strings (both escape the same characters in the same way), for integers that are safe, and
    for objects whose keys sort alike by code point and by UTF-16 unit (§3.2.3), as ASCII does. It does not
    for floats.
    """
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return -MAX_SAFE_INTEGER <= cast(int, value) <= MAX_SAFE_INTEGER
    if kind is dict and depth:
        for key, item in cast("dict[object, object]", value).items():
            if not (type(key) is str and key.isascii() and _is_plain(item, depth - 1)):
                return False
        return True
    if kind is list and depth:
        return all(_is_plain(item, depth - 1) for item in cast("list[object]", value))
    return False


def _check_depth(value: object) -> None:
    """Raise `MalformedJSON` for what is too deep, without descending into it by recursion."""
    level = {id(value): value}  # by identity, since a value may hold another, or itself, many times
    for _ in range(MAX_JSON_DEPTH + 1):
        level = {
            id(inner): inner
            for outer in level.values()
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        }
    if level:
        raise MalformedJSON(f"more than {MAX_JSON_DEPTH} levels deep")


def _encode_by_reference(value: JSONValue) -> bytes:
    # Imported here: most values are plain, and this one is not needed then.
    import rfc8785

    written = rfc8785.dumps(value)
    # A float such as 1e20 is written as an integer. It is refused here, where it would be issued, because it
    # cannot be read back as what it was.
    rfc8785.dumps(json.loads(written))
    return written


def _is_too_deep(data: bytes) -> bool:
    """Whether more brackets are open at once than is allowed. For what is not JSON it may say either."""
    if data.count(b"[") + data.count(b"{") <= MAX_JSON_DEPTH:
        return False
    brackets = _json_string.sub(b"", data).translate(_BRACES_TO_BRACKETS, _NOT_BRACKETS)
    for _ in range(MAX_JSON_DEPTH):
        brackets = brackets.replace(b"[]", b"")  # the innermost level
    return bool(brackets)


def _decode_carefully(data: bytes) -> JSONValue:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedJSON("not UTF-8") from None
    try:
        value: JSONValue = _careful_decoder.decode(text)
    except json.JSONDecodeError as error:
        # Neither chained nor quoted: the error carries the whole text, which may be a credential.
        raise MalformedJSON(f"not JSON, at character {error.pos}") from None
    if "\\u" in text:
        _refuse_lone_surrogates(value)
    return value


def _refuse_lone_surrogates(value: JSONValue) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise MalformedJSON("a lone surrogate in a string") from None


def _unique_members(pairs: list[tuple[str, JSONValue]]) -> JSONObject:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedJSON("a member occurs twice in one object")
    return members


def _read_int(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise MalformedJSON(f"a number of more than {MAX_DIGITS} digits")
    return int(digits)


def _read_float(digits: str) -> float:
    number = float(digits)
    if len(digits) > MAX_DIGITS or number in (float("inf"), float("-inf")):
        raise MalformedJSON("a number that no double can hold")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedJSON(f"{name} is not JSON")


_careful_decoder = json.JSONDecoder(
    object_pairs_hook=_unique_members,
    parse_int=_read_int,
    parse_float=_read_float,
    parse_constant=_refuse_constant,
)
