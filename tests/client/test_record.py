"""Payment records: what they show, and what they do not."""

from __future__ import annotations

import io
from decimal import Decimal

import rich.console
import rich.pretty
from msgspec.structs import replace

from coinslot.client import Outcome, PaymentRecord
from coinslot.client.origin import Origin
from coinslot.errors import PaymentUndecided
from coinslot.payments.method import Quote
from coinslot.protocol import Credential
from stall import offer

CHALLENGE = offer()
RECORD = PaymentRecord(
    outcome=Outcome.UNDECIDED,
    origin=Origin("https", "shop.example"),
    request="GET /paid?token=query-secret",
    challenge=CHALLENGE,
    quote=Quote(amount=Decimal("0.01"), base_units=1, asset="coin", currency="coin", network="market"),
    credential=Credential(challenge=CHALLENGE, payload={"coin": "payload-secret"}, source="did:coin:purse"),
    field="Authorization",
    idempotency_key="key-secret",
    reference="coin-1",
)


def test_a_record_shows_no_secret() -> None:
    """No text of a record, nor of the error that holds it, has the credential, its key or the query."""
    console = rich.console.Console(file=io.StringIO(), width=500)
    console.print(rich.pretty.Pretty(RECORD))
    assert isinstance(console.file, io.StringIO)
    error = PaymentUndecided("It is not known.", payment=RECORD)
    for text in (repr(RECORD), str(RECORD), f"{[RECORD]}", console.file.getvalue(), repr(error)):
        assert "secret" not in text
        assert RECORD.credential.to_header() not in text
    assert repr(RECORD) == "PaymentRecord(undecided, 0.01 coin to https://shop.example, reference='coin-1')"
    assert "https" in console.file.getvalue()


def test_a_record_gives_back_the_proof() -> None:
    """What the method made is what it can be asked about later, and is not shown either."""
    proof = replace(RECORD, lapses=1_900_000_000).payload
    assert (proof.payload, proof.source) == ({"coin": "payload-secret"}, "did:coin:purse")
    assert (proof.reference, proof.lapses) == ("coin-1", 1_900_000_000)
    assert "secret" not in repr(proof)


def test_a_record_is_a_value() -> None:
    """Records with the same contents are equal, and cannot be changed."""
    assert replace(RECORD) == RECORD
    assert replace(RECORD, outcome=Outcome.PAID) != RECORD
