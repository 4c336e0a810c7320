"""Answers that are kept, so that a payer whose connection broke gets the same bytes again.

Only for requests that carry an `Idempotency-Key`, and only what is small enough to keep.
"""

from __future__ import annotations

from typing import Final, Protocol

from msgspec import Struct

MAX_ANSWER: Final = 256 * 1024
"""Bytes of a body that is kept."""


class Answer(Struct, frozen=True, kw_only=True):
    """A response that was made for a payment. `key` is SHA-256 of the request's `Idempotency-Key`.

    `until` is when it may be forgotten, in Unix seconds. Its body is never shown by `repr`.
    """

    challenge_id: str
    key: bytes
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    until: float

    def __repr__(self) -> str:
        return f"Answer(challenge_id={self.challenge_id!r}, status={self.status}, <{len(self.body)} bytes>)"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("challenge_id", self.challenge_id), ("status", self.status), ("size", len(self.body))]


class Answers(Protocol):
    """A store of answers. Each call is atomic, may raise `LedgerError`, and is durable when it returns."""

    async def keep_answer(self, answer: Answer) -> bool:
        """Keep a payment's answer; False, and nothing, if it has one whose time is not over.

        Those past `until` go meanwhile. A store in memory may forget one earlier, to make room.
        """
        ...

    async def find_answer(self, challenge_id: str) -> Answer | None:
        """The answer that is kept for this payment, unless its time is over."""
        ...
