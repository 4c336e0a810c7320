"""RFC 9110 §11 challenges and their auth-params, read in one pass.

    WWW-Authenticate = #challenge
    challenge        = auth-scheme [ 1*SP ( token68 / #auth-param ) ]
    auth-param       = token BWS "=" BWS ( token / quoted-string )
    token68          = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="
    quoted-string    = DQUOTE *( qdtext / quoted-pair ) DQUOTE

Both lists are separated by commas, so after a comma comes either another auth-param of the same challenge
or another challenge: a token and "=" is the former. What fits neither is skipped up to the next comma
outside quotes and noted, so that one careless scheme does not hide the challenges after it.

Every pattern is possessive and each step starts where the last one ended: the time is linear in the value's
length.
"""

from __future__ import annotations

import re

from msgspec import Struct, field

from coinslot.errors import MalformedHeader

MAX_FIELD = 65536
"""Characters in one field value that are read."""

MAX_ELEMENTS = 1024
"""Challenges and auth-params in one field value that are read."""

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"  # noqa: S105 (RFC 9110's token, not a secret)
_TOKEN68 = r"[A-Za-z0-9._~+/-]++=*+"
_ITEM_END = r"[ \t]*+(?:,|\Z)"
_EQUALS = r"[ \t]*+=[ \t]*+"
# No field value can hold controls. Characters beyond Latin-1 can occur: some stacks decode field values as
# UTF-8.
_QDTEXT = r'[^"\\\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]*+'
_QUOTED_PAIR = r"\\[^\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]"

# Separators; then an auth-param, or a name that is not one, or nothing. Matches everywhere.
_item = re.compile(
    rf'[ \t,]*+(?:({_TOKEN})(?:{_EQUALS}(?:"({_QDTEXT}(?:{_QUOTED_PAIR}{_QDTEXT})*+)"|({_TOKEN})))?+)?+'
)
_item_end = re.compile(_ITEM_END)
# What follows an auth-scheme: nothing, a token68, or its first auth-param.
_after_scheme = re.compile(rf"{_ITEM_END}|[ \t]++(?:({_TOKEN68}){_ITEM_END}|(?={_TOKEN}{_EQUALS}))")
_equals = re.compile(_EQUALS)
# Up to a comma outside quotes; an unclosed quote reaches to the end. Matches everywhere.
_list_element = re.compile(r'(?:[^",]++|"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z))*+', re.DOTALL)

_escape = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))")
_plain = re.compile(r"[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]*+")
_unquotable = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
_beyond_latin1 = re.compile(r"[^\x00-\xff]++")


class AuthChallenge(Struct, frozen=True):
    """One challenge of a `WWW-Authenticate` value.

    `scheme` and the names in `params` are in lower case; values are unquoted. There is a `token68` or there
    are `params`, never both.
    """

    scheme: str
    token68: str | None = None
    params: dict[str, str] = field(default_factory=dict)


class RawChallenge(Struct):
    """A challenge as it was read, before anything is refused.

    `pairs` are its auth-params in order. `unreadable` is what broke the grammar: the name of the auth-param
    ("" if there was none), and the text of its value and up to where reading went on.
    """

    scheme: str
    token68: str | None = None
    pairs: list[tuple[str, str]] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)

    def params(self) -> dict[str, str]:
        """The auth-params by name. Raises `MalformedHeader` if one occurs twice (RFC 9110 §11.2)."""
        params = dict(self.pairs)
        if len(params) != len(self.pairs):
            raise MalformedHeader("an auth-param occurs twice in one challenge")
        return params


def scan(value: str) -> list[AuthChallenge]:
    """Every challenge in `value`, a whole `WWW-Authenticate` value, merged from several fields or not.

    Raises `MalformedHeader` if any part of it is not RFC 9110 §11, if an auth-param occurs twice in a
    challenge, or if the value is beyond `MAX_FIELD` or `MAX_ELEMENTS`.
    """
    challenges = []
    for raw in read(value):
        if raw.unreadable or (raw.token68 is not None and raw.pairs) or not raw.scheme:
            raise MalformedHeader(f"not an RFC 9110 challenge, in or after the scheme {raw.scheme[:20]!r}")
        challenges.append(AuthChallenge(raw.scheme, raw.token68, raw.params()))
    return challenges


def read(value: str) -> list[RawChallenge]:
    """Every challenge in `value` as far as it can be read, whatever is around and inside them.

    Auth-params before the first scheme are under the scheme "". Raises `MalformedHeader` only if the value
    is beyond `MAX_FIELD` or `MAX_ELEMENTS`.
    """
    if len(value) > MAX_FIELD:
        raise MalformedHeader(f"a field value of more than {MAX_FIELD} characters")
    current = RawChallenge("")
    found = [current]
    position = 0
    for _ in range(MAX_ELEMENTS + 1):
        item = _item.match(value, position)
        assert item is not None
        name, quoted, token = item.groups()
        position = item.end()
        if quoted is not None or token is not None:
            text = token if quoted is None else _unquote(quoted)
            if text is not None:
                current.pairs.append((name.lower(), text))
            if text is None or not _item_end.match(value, position):
                position = _skip(value, item, current)
        elif name is not None and (rest := _after_scheme.match(value, position)):
            current = RawChallenge(name.lower(), rest[1])
            found.append(current)
            position = rest.end()
        elif position < len(value):
            position = _skip(value, item, current)
        else:
            return found if found[0].pairs or found[0].unreadable else found[1:]
    raise MalformedHeader(f"a field value of more than {MAX_ELEMENTS} elements")


def split_list(value: str) -> list[str]:
    """The elements of a comma-separated list (RFC 9110 §5.6.1), without empty ones and outer whitespace.

    Commas in quoted strings do not separate. Never fails: an unclosed quote reaches to the end.
    """
    elements = _list_element.findall(value) if '"' in value else value.split(",")
    return [element for text in elements if (element := text.strip(" \t"))]


def quote(text: str) -> str:
    """`text` as a quoted-string, quotes included (RFC 9110 §5.6.4).

    Latin-1 is written as it is. What a field value cannot hold, any UTF-16 unit beyond it, is written
    `\\uXXXX`, an extension that the MPP implementations share. Raises `MalformedHeader` for controls and
    lone surrogates.
    """
    if _plain.fullmatch(text):
        return f'"{text}"'
    if _unquotable.search(text):
        raise MalformedHeader("a control character cannot be quoted in a field value")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{_beyond_latin1.sub(_unicode_escape, escaped)}"'


def _skip(value: str, item: re.Match[str], challenge: RawChallenge) -> int:
    """Note that `item` and what follows it cannot be read, and return where that ends."""
    name = item[1] or ""
    start = item.end(1) if name else item.end()
    if equals := _equals.match(value, start):
        start = equals.end()
    unreadable = _list_element.match(value, start)
    assert unreadable is not None
    challenge.unreadable.append((name.lower(), unreadable[0]))
    return unreadable.end()


def _unquote(quoted: str) -> str | None:
    """The text inside a quoted-string; None if its escapes leave a lone surrogate."""
    if "\\" not in quoted:
        return quoted
    text = _escape.sub(lambda escape: chr(int(escape[1], 16)) if escape[1] else escape[2], quoted)
    try:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        return None


def _unicode_escape(match: re.Match[str]) -> str:
    return "\\u" + match[0].encode("utf-16-be").hex("-", 2).replace("-", "\\u")
