"""Payments whose answer never came, kept so that the same command brings it without paying twice.

Each is one file, 0600, in `<data directory>/unfinished`. It holds the credential, which is as good as money
until the server has accepted it.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from operator import itemgetter
from pathlib import Path

import msgspec
from msgspec import Struct

from coinslot.cli import files
from coinslot.cli.curl import Outgoing
from coinslot.client.origin import Origin
from coinslot.client.record import Outcome, PaymentRecord
from coinslot.errors import ProtocolError
from coinslot.payments.method import Quote
from coinslot.protocol import Credential, Receipt

_VERSION = 1


class _Kept(Struct, frozen=True, kw_only=True):
    """A `PaymentRecord` with credential and receipt as they are on the wire."""

    version: int
    outcome: Outcome
    origin: Origin
    request: str
    quote: Quote
    credential: str
    field: str
    idempotency_key: str
    reference: str | None
    receipt: str | None
    lapses: int | None = None


class Unfinished:
    """The unfinished payments of one user."""

    def __init__(self, directory: Path | None = None) -> None:
        """`directory` is the data directory, the platform's own unless given."""
        self._directory = (directory or files.data_directory()) / "unfinished"

    def find(self, request: Outgoing) -> PaymentRecord | None:
        """The oldest payment that was made for this very request: method, address and body."""
        found: list[tuple[int, PaymentRecord]] = []
        for file in self._directory.glob(f"{_digest(request)}-*.json"):
            # One that another process has just forgotten, or that is damaged, is none.
            with suppress(OSError, msgspec.MsgspecError, ProtocolError):
                found.append((file.stat().st_mtime_ns, _decode(file.read_bytes())))
        return min(found, key=itemgetter(0))[1] if found else None

    def keep(self, request: Outgoing, payment: PaymentRecord) -> None:
        """Remember the payment. Raises `CannotWrite`."""
        files.replace(self._file(request, payment), _encode(payment))

    def forget(self, request: Outgoing, payment: PaymentRecord) -> None:
        """Forget the payment, if it is remembered."""
        self._file(request, payment).unlink(missing_ok=True)

    def _file(self, request: Outgoing, payment: PaymentRecord) -> Path:
        challenge = hashlib.sha256(payment.challenge.id.encode()).hexdigest()
        return self._directory / f"{_digest(request)}-{challenge[:16]}.json"


def _digest(request: Outgoing) -> str:
    body = "none" if request.body is None else hashlib.sha256(request.body).hexdigest()
    return hashlib.sha256("\n".join((request.method, request.url, body)).encode()).hexdigest()[:32]


def _encode(payment: PaymentRecord) -> bytes:
    return msgspec.json.encode(
        _Kept(
            version=_VERSION,
            outcome=payment.outcome,
            origin=payment.origin,
            request=payment.request,
            quote=payment.quote,
            credential=payment.credential.to_header(),
            field=payment.field,
            idempotency_key=payment.idempotency_key,
            reference=payment.reference,
            receipt=None if payment.receipt is None else payment.receipt.to_header(),
            lapses=payment.lapses,
        )
    )


def _decode(data: bytes) -> PaymentRecord:
    kept = msgspec.json.decode(data, type=_Kept)
    credential = Credential.parse(kept.credential)
    return PaymentRecord(
        outcome=kept.outcome,
        origin=kept.origin,
        request=kept.request,
        challenge=credential.challenge,
        quote=kept.quote,
        credential=credential,
        field=kept.field,
        idempotency_key=kept.idempotency_key,
        reference=kept.reference,
        receipt=None if kept.receipt is None else Receipt.parse(kept.receipt),
        lapses=kept.lapses,
    )
