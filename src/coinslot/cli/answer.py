"""An answer on its way out: to stdout or a file as it comes, or as one JSON object."""

from __future__ import annotations

import base64
import os
import stat
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import httpx2

from coinslot.cli.output import CommandError, Exit, plain, reader_may_leave
from coinslot.cli.trace import status_line
from coinslot.client.record import PaymentRecord
from coinslot.errors import MalformedJSON
from coinslot.protocol import JSONObject, JSONValue, decode_object, strict_json

ERROR_LIMIT = 65536
"""Bytes of an error's body that are read to see what it says."""

DETAIL_LIMIT = 300
"""Characters of what it says that are repeated."""


class Target:
    """Where the body goes: a file, or stdout.

    A file is opened before anything is sent, so that nobody pays for what cannot be written. What it held is
    lost only when there is something to write.
    """

    def __init__(self, name: str | None) -> None:
        """`name` is a file's, or None or `-` for stdout. Raises `CommandError`."""
        self._name = None if name == "-" else name
        self._file: BinaryIO | None = None
        self._is_new = False
        if self._name is not None:
            self._is_new = not os.path.lexists(self._name)
            try:
                self._file = os.fdopen(os.open(self._name, os.O_WRONLY | os.O_CREAT, 0o666), "wb")
            except OSError as error:
                raise CommandError(
                    f"{name} cannot be written: {error.strerror}", Exit.CANNOT_WRITE
                ) from error

    def begin(self) -> None:
        """Make room for what comes."""
        self._is_new = False
        if self._file is not None and stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
            self._file.truncate(0)

    def write(self, data: bytes) -> None:
        """Write, and have it there at once. Raises `CommandError` or `ReaderLeft`."""
        out = self._file or sys.stdout.buffer
        with reader_may_leave(), self._reporting():
            out.write(data)
            out.flush()

    def finish(self) -> None:
        """Close the file, with all that was written in it. Raises `CommandError`."""
        if self._file is not None:
            with self._reporting():
                self._file.close()

    def abandon(self) -> None:
        """Close the file if it is still open. If it was made here and has nothing in it, it goes again."""
        if self._file is not None and not self._file.closed:
            with suppress(OSError):
                self._file.close()
            if self._is_new and self._name is not None:
                Path(self._name).unlink(missing_ok=True)

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            name = self._name or "stdout"
            raise CommandError(f"{name} cannot be written: {error.strerror}", Exit.CANNOT_WRITE) from error


class Answer:
    """A response whose body has not been read, but for the beginning of an error's."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self._chunks = response.aiter_raw()
        self._beginning = b""

    @property
    def status(self) -> int:
        """The status code."""
        return self.response.status_code

    async def detail(self) -> str | None:
        """What a problem document (RFC 9457) says in one sentence, if that is what the body is."""
        async for chunk in self._chunks:
            self._beginning += chunk
            if len(self._beginning) > ERROR_LIMIT:
                break
        media_type = self.response.headers.get("content-type", "").partition(";")[0].strip()
        if media_type != "application/problem+json":
            return None
        try:
            problem = strict_json(self._beginning)
        except MalformedJSON:
            return None
        detail = problem.get("detail") or problem.get("title") if isinstance(problem, dict) else None
        return detail[:DETAIL_LIMIT].rstrip(".") if isinstance(detail, str) else None

    async def body(self) -> AsyncGenerator[bytes]:
        """The body as it came, content codings and all."""
        if self._beginning:
            yield self._beginning
        async for chunk in self._chunks:
            yield chunk

    async def aclose(self) -> None:
        """Let go of the connection."""
        await self._chunks.aclose()
        await self.response.aclose()

    def heads(self) -> bytes:
        """Status line and header fields, of each redirect that was followed as well."""
        return b"".join(_head(response) for response in [*self.response.history, self.response])


def as_json(
    answer: Answer | None, body: bytes | None, payment: PaymentRecord | None, error: CommandError | None
) -> dict[str, object]:
    """The one object that --json prints. Every member is always there, None if there is nothing to say.

    `body` is None if it went to a file, or was never read.
    """
    text, encoding = _text(body)
    return {
        "status": None if answer is None else answer.status,
        "headers": None if answer is None else _headers(answer.response),
        "body": text,
        "body_encoding": encoding,
        "payment": None if payment is None else _payment(payment),
        "error": None if error is None else error.as_member(),
    }


def _text(body: bytes | None) -> tuple[str, str] | tuple[None, None]:
    if body is None:
        return None, None
    try:
        return body.decode(), "utf-8"
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), "base64"


def _head(response: httpx2.Response) -> bytes:
    lines = [status_line(response).encode(), *(name + b": " + value for name, value in response.headers.raw)]
    return b"\r\n".join([*lines, b"", b""])


def _headers(response: httpx2.Response) -> JSONObject:
    fields: dict[str, list[JSONValue]] = {}
    for name, value in response.headers.multi_items():
        fields.setdefault(name.lower(), []).append(value)
    return dict(fields)


def _payment(payment: PaymentRecord) -> JSONObject:
    return {
        "outcome": payment.outcome.value,
        "amount": plain(payment.quote.amount),
        "asset": payment.quote.asset,
        "network": payment.quote.network,
        "recipient": payment.quote.recipient,
        "method": f"{payment.challenge.method}/{payment.challenge.intent}",
        "reference": payment.reference,
        "receipt": None if payment.receipt is None else decode_object(payment.receipt.to_header()),
    }
