"""What a wallet says about a payment it made."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from coinslot.client.origin import Origin
from coinslot.payments.method import Payload, Quote
from coinslot.protocol import Challenge, Credential, Receipt


class Outcome(StrEnum):
    """What is known about a payment that was presented."""

    PAID = "paid"
    """The server accepted it: it answered with a receipt, or with the resource."""

    UNDECIDED = "undecided"
    """The server did not accept it, or did not say, and the money may have moved all the same."""

    REFUSED = "refused"
    """The server refused it, and it is certain that it took nothing and never will."""


class PaymentRecord(Struct, frozen=True, kw_only=True):
    """One payment: what it was for, what became of it, and what it takes to present it again.

    `origin` and `request` (`GET /path?query`) are what was paid for. `field` is the header field that
    carries the credential. `reference` is what the payer can look for (a transaction hash): the receipt's,
    or the method's own until there is one. `receipt` is None if the server sent none that could be read.
    `lapses` is the method's word on when a proof that took nothing never will (Unix seconds).

    Put it into the `extensions` of the same request, as `"payment"`, and a wallet presents this payment
    again instead of making another one. It holds the credential, which is as good as money until it is
    accepted: keep it as such. Its `repr` shows neither that nor anything of the request beyond its origin.
    """

    outcome: Outcome
    origin: Origin
    request: str
    challenge: Challenge
    quote: Quote
    credential: Credential
    field: str
    idempotency_key: str
    reference: str | None = None
    receipt: Receipt | None = None
    lapses: int | None = None

    @property
    def payload(self) -> Payload:
        """The proof, as its method made it."""
        return Payload(
            payload=self.credential.payload,
            source=self.credential.source,
            reference=self.reference,
            lapses=self.lapses,
        )

    def __repr__(self) -> str:
        return (
            f"PaymentRecord({self.outcome}, {self.quote.amount} {self.quote.asset} to {self.origin},"
            f" reference={self.reference!r})"
        )

    def __rich_repr__(self) -> list[tuple[str, object]]:
        # msgspec's own shows every field wherever rich prints a traceback.
        return [("outcome", self.outcome), ("origin", self.origin), ("reference", self.reference)]
