"""A draft: a response that is held back until it is known whether it can be kept for a replay."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from coinslot.payments.answers import MAX_ANSWER


class Draft:
    """A response from its `http.response.start` on.

    It can be kept if it is short, and if it says so beforehand or comes in one piece: a stream goes out as it
    is made.
    """

    def __init__(self, start: MutableMapping[str, Any]) -> None:
        self.start = start
        self.messages: list[MutableMapping[str, Any]] = []
        self.is_whole = False
        self._size = 0
        self._length = _declared_length(start)
        self._is_stream = bool(start.get("trailers")) or (self._length or 0) > MAX_ANSWER

    def add(self, message: MutableMapping[str, Any]) -> bool:
        """Take the next piece of the body; whether to hold back for more."""
        self.messages.append(message)
        self._size += len(message.get("body", b""))
        if self._is_stream or self._size > MAX_ANSWER or message["type"] != "http.response.body":
            return False
        self.is_whole = not message.get("more_body", False)
        return not self.is_whole and self._length is not None

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The header fields, as they will be sent."""
        return [(bytes(name), bytes(value)) for name, value in self.start.get("headers", ())]

    @property
    def body(self) -> bytes:
        """What there is of it."""
        return b"".join(message.get("body", b"") for message in self.messages)


def _declared_length(start: MutableMapping[str, Any]) -> int | None:
    for name, value in start.get("headers", ()):
        if name.lower() == b"content-length" and value.isdigit() and len(value) < 10:
            return int(value)
    return None
