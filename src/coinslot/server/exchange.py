"""A request as the engine sees it, and an answer as it gives it: plain values that every adapter can make."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from msgspec import Struct

from coinslot.errors import BadRequest

Headers = tuple[tuple[bytes, bytes], ...]

# What of a request's body is bound into a challenge (draft-httpauth-payment §Request Body Digest Binding).
DIGEST_LIMIT: Final = 1024 * 1024
_KEY_LIMIT: Final = 255
# What a proxy adds: the peer's address is then the proxy's.
_FORWARDED: Final = frozenset(
    {b"forwarded", b"via", b"x-real-ip"}
    | {b"x-forwarded-" + part for part in (b"for", b"proto", b"host", b"port", b"server")}
)


class BodyKind(StrEnum):
    """How a request's body takes part in the challenge."""

    NONE = "none"
    DIGEST = "digest"
    UNBOUND = "unbound"


class Request(Struct, frozen=True, kw_only=True):
    """One HTTP request. Its headers and its body are never shown by `repr`.

    `path` and `query` are as they were received, undecoded. `headers` have lower-case names. `scheme` is what
    the server says it is, `peer` the address it came from, if it is known. `body` is None if it was not read.
    `route` is the framework's name for what was matched (`/items/{id}`), for the books.
    """

    method: str
    path: str
    query: bytes = b""
    headers: Headers = ()
    scheme: str = "https"
    peer: str | None = None
    http_version: str = "1.1"
    body: bytes | None = None
    route: str | None = None

    def __repr__(self) -> str:
        return f"Request({self.label!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        # msgspec's own would show credentials and keys wherever rich prints a traceback.
        return [("label", self.label)]

    @property
    def label(self) -> str:
        """What is being bought, as the books and the log name it: `GET /items/{id}`."""
        path = (self.route or self.path)[:200]
        return f"{self.method} {path if path.isprintable() else ascii(path)[1:-1]}"

    @classmethod
    def create(
        cls,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        scheme: str = "https",
        peer: str | None = None,
    ) -> Request:
        """A request from what any framework has at hand. `query` has no question mark."""
        raw = tuple(
            (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
            for name, value in (headers or {}).items()
        )
        if body is not None and not any(name == b"content-length" for name, _ in raw):
            raw += ((b"content-length", str(len(body)).encode()),)
        return cls(
            method=method.upper(),
            path=path,
            query=query.encode("utf-8", "surrogateescape"),
            headers=raw,
            scheme=scheme,
            peer=peer,
            body=body,
        )

    def values(self, name: bytes) -> list[str]:
        """Every value of a header, in order. `name` is lower-case."""
        return [value.decode("latin-1") for key, value in self.headers if key == name]

    def header(self, name: str) -> str | None:
        """The first value of a header, by its name in any case."""
        wanted = name.lower().encode("latin-1", "replace")
        for key, value in self.headers:
            if key == wanted:
                return value.decode("latin-1")
        return None

    @property
    def idempotency_key(self) -> str | None:
        """The `Idempotency-Key`: 1 to 255 printable ASCII characters. Raises `BadRequest` for any other."""
        keys = self.values(b"idempotency-key")
        if not keys:
            return None
        key = keys[0]
        if len(keys) > 1 or not 0 < len(key) <= _KEY_LIMIT or not (key.isascii() and key.isprintable()):
            raise BadRequest("Idempotency-Key has to be one string of 1 to 255 printable ASCII characters.")
        return key

    @property
    def body_kind(self) -> BodyKind:
        """Whether a challenge for this request binds its body: by digest where that can be had cheaply."""
        if any(key == b"transfer-encoding" for key, _ in self.headers):
            return BodyKind.UNBOUND
        lengths = self.values(b"content-length")
        if not lengths:  # HTTP/2 and 3 frame a body without either header
            return BodyKind.UNBOUND if self.http_version[:1] in "23" else BodyKind.NONE
        length = lengths[0]
        if len(lengths) > 1 or not (length.isascii() and length.isdigit() and len(length) < 8):
            return BodyKind.UNBOUND
        if int(length) == 0:
            return BodyKind.NONE
        if int(length) > DIGEST_LIMIT or (self.header("content-type") or "").lower().startswith(
            "multipart/form-data"
        ):
            return BodyKind.UNBOUND
        return BodyKind.DIGEST

    @property
    def is_private(self) -> bool:
        """https, or from this very machine with no proxy between (RFC 8252 counts loopback as secure)."""
        if self.scheme == "https":
            return True
        if any(key in _FORWARDED for key, _ in self.headers):
            return False
        return self.peer is None or _is_loopback(self.peer)


@lru_cache(maxsize=1024)
def _is_loopback(peer: str) -> bool:
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return True  # a unix socket's path or a test client's name: no network between
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


class Response(Struct, frozen=True, kw_only=True):
    """An answer that is not the app's own: a 402, or a refusal. Header names are lower-case."""

    status: int
    headers: Headers
    body: bytes

    def __repr__(self) -> str:
        return f"Response({self.status}, <{len(self.body)} bytes>)"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("status", self.status), ("size", len(self.body))]


def receipt_headers(headers: Iterable[tuple[bytes, bytes]], receipt: str) -> list[tuple[bytes, bytes]]:
    """The headers of a paid response: with its receipt, and kept out of shared caches.

    draft-httpauth-payment §Caching: a response with `Payment-Receipt` MUST be `Cache-Control: private`.
    """
    kept: list[tuple[bytes, bytes]] = []
    directives: list[str] = []
    for name, value in headers:
        if name.lower() == b"cache-control":
            directives += [part.strip() for part in value.decode("latin-1").split(",")]
        elif name.lower() != b"payment-receipt":
            kept.append((name, value))
    private = [
        part
        for part in directives
        if part and part.lower() not in {"public", "private"} and not part.lower().startswith("s-maxage")
    ]
    private.append("private")
    kept.append((b"cache-control", ", ".join(private).encode("latin-1")))
    kept.append((b"payment-receipt", receipt.encode("ascii")))
    return kept


EXPOSED: Final = (b"access-control-expose-headers", b"WWW-Authenticate, Payment-Receipt, Retry-After")


def is_cross_origin(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a browser asks on behalf of some page, and must be told which headers that page may read."""
    return any(name == b"origin" for name, _ in headers)
