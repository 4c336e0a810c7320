"""Things to put into a ledger, and a clock that is set by hand."""

from __future__ import annotations

from itertools import count
from typing import Final

from msgspec.structs import replace

from coinslot.payments.answers import Answer
from coinslot.payments.payment import Payment, State
from coinslot.payments.records import Record
from coinslot.payments.refunds import Refund, RefundState
from coinslot.storage import PostgresLedger

NOW: Final = 1_750_000_000.0

_numbers = count()

_PAYMENT: Final = Payment(
    challenge_id="challenge",
    proof_key="proof",
    fingerprint=bytes(range(32)),
    method="scrip",
    intent="charge",
    route="GET /paid",
    state=State.SETTLING,
    amount=10_000,
    currency="credits",
    reference="note 7",
    created_at=NOW,
    expires_at=NOW + 300.5,
)


class Clock:
    """Unix time, as the test says."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def make_payment(**members: object) -> Payment:
    """A payment in state settling, with a challenge and a proof of its own unless told otherwise."""
    number = next(_numbers)
    keys: dict[str, object] = {"challenge_id": f"challenge-{number}", "proof_key": f"proof-{number}"}
    return replace(_PAYMENT, **(keys | members))


def settled(payment: Payment) -> Payment:
    """The payment's next revision, settled."""
    return replace(payment, state=State.SETTLED, settled_at=NOW + 1.25, revision=payment.revision + 1)


def make_refund(payment: Payment, **members: object) -> Refund:
    """A refund of this payment, requested, with an id and a key of its own unless told otherwise."""
    number = next(_numbers)
    refund = Refund(
        id=f"refund-{number}",
        challenge_id=payment.challenge_id,
        amount=100,
        state=RefundState.REQUESTED,
        key=f"key-{number}",
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(refund, **members)


def make_record(**members: object) -> Record:
    """A record that is due now, with a key of its own unless told otherwise."""
    record = Record(kind="coupon", key=f"record-{next(_numbers)}", state="free", due=NOW, data=b"data")
    return replace(record, **members)


def make_answer(**members: object) -> Answer:
    """An answer that is kept for a while, of a payment of its own unless told otherwise."""
    answer = Answer(
        challenge_id=f"challenge-{next(_numbers)}",
        key=bytes(range(32)),
        status=200,
        headers=((b"content-type", b"text/plain"),),
        body=b"a secret",
        until=NOW + 1000,
    )
    return replace(answer, **members)


async def empty(ledger: PostgresLedger) -> None:
    """Delete everything that is in a ledger that is open."""
    tables = ("refunds", "payments", "answers", "records", "leases")
    sql = ";".join(f"DELETE FROM {table}" for table in tables)
    await (await ledger._pools.get()).use(lambda connection: connection.execute(sql), 30)
