"""What curl's flags ask for: an address, headers and a body, as they go on the wire. Nothing is sent here."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct, field

from coinslot.cli.output import CommandError, Exit
from coinslot.client.origin import is_loopback

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2


class Outgoing(Struct, frozen=True, kw_only=True):
    """One request, as the flags describe it.

    `headers` are set over the defaults; `dropped` names defaults that must not be sent (lower case).
    """

    method: str
    url: str
    headers: list[tuple[str, str]] = field(default_factory=list)
    dropped: frozenset[str] = frozenset()
    body: bytes | None = None


def outgoing(
    url: str,
    *,
    method: str | None = None,
    data: Sequence[str] = (),
    data_binary: Sequence[str] = (),
    headers: Sequence[str] = (),
) -> Outgoing:
    """The request that curl would send for these flags. Raises `CommandError` (usage)."""
    if data and data_binary:
        raise CommandError("-d and --data-binary do not mix: use one of them", Exit.USAGE)
    fields, dropped = _headers(headers)
    body = _body(data or data_binary, as_is=bool(data_binary))
    if body is not None and "content-type" not in {name.lower() for name, _ in fields} | dropped:
        fields.append(("Content-Type", "application/x-www-form-urlencoded"))
    if method is None:
        method = "GET" if body is None else "POST"
    if not _TOKEN.fullmatch(method):
        raise CommandError(f"{method!r} is not an HTTP method", Exit.USAGE)
    return Outgoing(method=method, url=absolute_url(url), headers=fields, dropped=dropped, body=body)


def absolute_url(text: str) -> str:
    """`text` with a scheme: https unless it names this machine. Raises `CommandError` (usage)."""
    if "://" not in text:
        text = f"//{text}"
    try:
        parts = urlsplit(text)
        scheme, host, _ = parts.scheme, parts.hostname, parts.port
    except ValueError:
        scheme, host = "", None
    if not host:
        raise CommandError(f"{text.removeprefix('//')!r} is not the address of anything", Exit.USAGE)
    if not scheme:
        return f"{'http' if is_loopback(host) else 'https'}:{text}"
    if scheme not in {"http", "https"}:
        raise CommandError(f"{scheme!r} is not a scheme that can be paid over: use https", Exit.USAGE)
    return text


def _headers(flags: Sequence[str]) -> tuple[list[tuple[str, str]], frozenset[str]]:
    """`Name: value` sets, `Name:` drops a default, `Name;` sends it empty."""
    fields: list[tuple[str, str]] = []
    dropped: set[str] = set()
    for flag in flags:
        name, colon, value = flag.partition(":")
        if not colon and flag.endswith(";"):
            name, colon, value, empty = flag[:-1], ":", "", True
        else:
            value, empty = value.strip(), False
        if not colon or not _TOKEN.fullmatch(name) or re.search(r"[\r\n\0]", value):
            raise CommandError(f"-H {name!r} is not a header: write -H 'Name: value'", Exit.USAGE)
        if value or empty:
            fields.append((name, value))
        else:
            dropped.add(name.lower())
    return fields, frozenset(dropped)


def _body(parts: Sequence[str], *, as_is: bool) -> bytes | None:
    if not parts:
        return None
    return b"&".join(_part(part, as_is=as_is) for part in parts)


def _part(part: str, *, as_is: bool) -> bytes:
    if not part.startswith("@"):
        return part.encode("utf-8", "surrogateescape")
    name = part[1:]
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise CommandError(f"the body {name!r} cannot be read: {error.strerror}", Exit.USAGE) from error
    # curl's -d takes line ends and NULs out of a file, so that a text file makes one form field.
    return content if as_is else content.translate(None, b"\r\n\0")
