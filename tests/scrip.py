"""Scrip: a payment method of the tests' own, whose world is a Python object that can be told to misbehave.

It is a whole method, written against the public contract alone: a note is paid by spending it at the `Mint`,
which spends each note once. What the mint does with the next request can be set: answer, refuse, be slow,
break off before or after the note is spent.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from decimal import Decimal

from coinslot.errors import (
    InvalidPayload,
    PaymentInsufficient,
    PaymentUnavailable,
    RefundError,
    VerificationFailed,
)
from coinslot.intents import to_base_units
from coinslot.payments.method import (
    Failed,
    NotSent,
    Offer,
    Payload,
    Price,
    Proof,
    Quote,
    Recovery,
    Repayment,
    Settled,
    Settlement,
    Unknown,
)
from coinslot.protocol import Challenge, Credential, JSONObject

Fault = Callable[[str], Settlement | None]


class Mint:
    """The world: which notes there are, and which are spent."""

    def __init__(self) -> None:
        self.notes: dict[str, int] = {}
        self.spent: dict[str, int] = {}
        self.spend_requests = 0
        self.delay = 0.0
        self.is_down = False
        self.before: Fault | None = None
        self.after: Fault | None = None

    def issue(self, amount: int) -> str:
        """A new note."""
        note = secrets.token_hex(8)
        self.notes[note] = amount
        return note

    async def spend(self, note: str) -> Settlement:
        """Spend a note, once; spending it again is the same answer."""
        self.spend_requests += 1
        if self.is_down:
            return NotSent(reason="the mint is down")
        if self.before is not None and (answer := self.before(note)) is not None:
            return answer
        await asyncio.sleep(self.delay)
        if note not in self.notes:
            return Failed(reason="There is no such note.")
        self.spent[note] = self.notes[note]
        if self.after is not None and (answer := self.after(note)) is not None:
            return answer
        return Settled(reference=f"scrip-{note}", payer="bearer")


class ScripCharge:
    """The seller's half."""

    name = "scrip"
    intent = "charge"

    def __init__(self, mint: Mint, *, recipient: str = "shop", name: str = "scrip") -> None:
        self.name = name
        self.mint = mint
        self.recipient = recipient
        self.verified = 0

    def prepare(self, price: Price) -> Offer | None:
        """Hundredths, and nothing dearer than a thousand."""
        units = to_base_units(price.amount, 2)
        if units > 100_000:
            return None
        request: JSONObject = {"amount": str(units), "currency": "scrip", "recipient": self.recipient}
        if price.external_id is not None:
            request["externalId"] = price.external_id
        return Offer(request=request, amount=units, currency="scrip")

    def canonical(self, payload: JSONObject) -> JSONObject:
        """A note's number in lower case."""
        note = payload.get("note")
        if not isinstance(note, str) or len(note) > 64:
            raise InvalidPayload("A scrip payload is {note: string}.")
        return {"note": note.lower()}

    async def verify(self, credential: Credential, request: JSONObject) -> Proof:
        """The note exists, is unspent and is worth enough."""
        self.verified += 1
        if self.mint.is_down:
            raise PaymentUnavailable("The mint does not answer.", log="the mint is down")
        note = str(credential.payload["note"])
        worth = self.mint.notes.get(note)
        if worth is None or note in self.mint.spent:
            raise VerificationFailed("The note is not good.")
        if worth < int(str(request["amount"])):
            raise PaymentInsufficient(f"The note is worth {worth}.")
        return Proof(
            key=f"scrip:{note}",
            reference=note,
            amount=worth,
            currency="scrip",
            recovery=Recovery(note.encode()),
        )

    async def settle(self, proof: Proof) -> Settlement:
        """Spend it."""
        return await self.mint.spend(proof.reference)

    async def look_up(self, proof: Proof) -> Settlement:
        """Whether it was spent."""
        if self.mint.is_down:
            return Unknown(reason="the mint is down")
        note = proof.recovery.data.decode()
        if note in self.mint.spent:
            return Settled(reference=f"scrip-{note}", payer="bearer")
        return NotSent(reason="the note is unspent")


class RefundingScrip(ScripCharge):
    """One that can give change back. What the mint does with the next request can be set here too."""

    def __init__(self, mint: Mint) -> None:
        super().__init__(mint)
        self.repaid: dict[str, int] = {}
        self.drafted = 0
        self.before: Fault | None = None
        self.after: Fault | None = None

    async def draft_repayment(self, repayment: Repayment) -> Recovery:
        """A number that the mint will know it by."""
        if self.mint.is_down:
            raise RefundError("the mint is down")
        self.drafted += 1
        return Recovery(f"draft {self.drafted}".encode())

    async def repay(self, repayment: Repayment) -> Settlement:
        """Give it back, once for each key."""
        if self.before is not None and (answer := self.before(repayment.key)) is not None:
            return answer
        self.repaid[repayment.key] = repayment.amount
        if self.after is not None and (answer := self.after(repayment.key)) is not None:
            return answer
        return Settled(reference=f"back-{repayment.key}")

    async def look_up_repayment(self, repayment: Repayment) -> Settlement:
        """Whether it was given back."""
        if repayment.key in self.repaid:
            return Settled(reference=f"back-{repayment.key}")
        return NotSent(reason="the mint does not know it")


class ScripWallet:
    """The buyer's half: pays from an unlimited purse."""

    name = "scrip"
    intent = "charge"

    def __init__(self, mint: Mint) -> None:
        self.mint = mint
        self.paid: list[str] = []

    async def quote(self, challenge: Challenge) -> Quote | None:
        """What it asks."""
        units = int(str(challenge.decode_request()["amount"]))
        return Quote(
            amount=Decimal(units).scaleb(-2),
            base_units=units,
            asset="scrip",
            currency="scrip",
            network="mint",
        )

    async def pay(self, challenge: Challenge) -> Payload:
        """A new note of that worth."""
        note = self.mint.issue(int(str(challenge.decode_request()["amount"])))
        self.paid.append(note)
        return Payload(payload={"note": note}, source=None, reference=note)


def credential(challenge: Challenge, note: str) -> str:
    """The Authorization value that pays a challenge with a note."""
    return Credential(challenge=challenge, payload={"note": note}).to_header()
