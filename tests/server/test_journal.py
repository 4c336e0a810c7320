"""The journal: every payment's life is in the log by its reference, and nothing secret ever is."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re

import httpx2
import pytest
from msgspec.structs import replace

from coinslot import Paywall
from coinslot.payments.events import PaymentDisputed, PaymentUnapplied, RefundEnded
from coinslot.payments.method import NotSent, Proof, Recovery, Settled, Settlement, Unknown
from coinslot.payments.payment import State
from coinslot.payments.refunds import Refund, RefundState
from coinslot.protocol import Credential, JSONObject
from coinslot.server.asgi import ASGIApp, Receive, Scope, Send
from ledgers import make_payment
from scrip import Mint, ScripCharge, credential
from shopping import challenge_of, visit

SECRET = "a secret of at least thirty-two bytes"


def public(note: str) -> str:
    """What anybody may call a note, who must not have it."""
    return hashlib.sha256(note.encode()).hexdigest()[:16]


class SealedScrip(ScripCharge):
    """Scrip whose notes are secret: what they are known by is a hash, and the rest is in `recovery`."""

    async def verify(self, credential: Credential, request: JSONObject) -> Proof:
        """As ever, under the hash."""
        proof = await super().verify(credential, request)
        note = proof.reference
        return replace(proof, key=f"scrip:{public(note)}", reference=public(note))

    async def settle(self, proof: Proof) -> Settlement:
        """Spends the note that the proof recovers."""
        note = proof.recovery.data.decode()
        settlement = await self.mint.spend(note)
        return replace(settlement, reference=public(note)) if isinstance(settlement, Settled) else settlement

    async def look_up(self, proof: Proof) -> Settlement:
        """As ever, under the hash."""
        settlement = await super().look_up(proof)
        if isinstance(settlement, Settled):
            return replace(settlement, reference=public(proof.recovery.data.decode()))
        return settlement


def shop(paywall: Paywall) -> ASGIApp:
    """Sells at 0.01 what its path says: an error, or data."""

    async def bare(scope: Scope, receive: Receive, send: Send) -> None:
        status = 500 if scope["path"] == "/broken" else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"data"})

    return paywall.charge("0.01").asgi(bare)


def a_paywall(mint: Mint) -> Paywall:
    """One that takes sealed scrip."""
    return Paywall([SealedScrip(mint)], secret_key=SECRET, realm="shop", ledger="memory:", redeliveries=1)


def lines(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    """What the journal says at a level, and what is structured of it is right."""
    records = [r for r in caplog.records if r.name == "coinslot.payments" and r.levelno == level]
    for record in records:
        if hasattr(record, "challenge_id"):
            assert record.challenge_id in record.getMessage()
            assert getattr(record, "payment_reference") in record.getMessage()  # noqa: B009 - put there by us
    return [record.getMessage() for record in records]


async def test_a_payments_life(mint: Mint, caplog: pytest.LogCaptureFixture) -> None:
    """Settled and delivered are a line each, with the reference, the challenge, the amount and the route."""
    caplog.set_level(logging.INFO)
    async with a_paywall(mint) as paywall, visit(shop(paywall)) as http:
        challenge, note = challenge_of(await http.get("/x")), mint.issue(1)
        await http.get("/x", headers={"Authorization": credential(challenge, note)})
    settled, delivered = lines(caplog, logging.INFO)
    about = f"1 scrip by scrip/charge for GET /x, challenge {challenge.id}"
    assert settled == f"payment {public(note)} settled: {about}"
    assert delivered == f"payment {public(note)} delivered: {about}"


async def test_what_the_operator_owes_is_a_warning(mint: Mint, caplog: pytest.LogCaptureFixture) -> None:
    """What was given up on, money for nothing, disputes and failed refunds are warnings."""
    caplog.set_level(logging.INFO)
    async with a_paywall(mint) as paywall, visit(shop(paywall)) as http:
        challenge = challenge_of(await http.get("/broken"))
        headers = {"Authorization": credential(challenge, mint.issue(1))}
        for _ in range(2):
            await http.get("/broken", headers=headers)
        payment = make_payment(reason="It came too late.", reference="r-1", challenge_id="c-1")
        refund = Refund(
            id="rf_1",
            challenge_id="c-1",
            amount=2,
            state=RefundState.FAILED,
            key="k",
            created_at=1,
            updated_at=2,
        )
        paywall.events.emit(PaymentUnapplied(replace(payment, state=State.UNAPPLIED)))
        paywall.events.emit(PaymentDisputed(replace(payment, disputed=True)))
        paywall.events.emit(PaymentDisputed(payment))
        paywall.events.emit(RefundEnded(payment, refund))
        paywall.events.emit(RefundEnded(payment, replace(refund, state=RefundState.DONE)))
    told = [line.partition(": ")[0].partition(" ")[2] for line in lines(caplog, logging.WARNING)]
    assert told[0].endswith("undelivered")
    assert told[1:] == [
        "r-1 unapplied (It came too late.)",
        "r-1 disputed",
        "r-1 no longer disputed",
        "r-1 refund rf_1 of 2 is failed",
    ]
    assert lines(caplog, logging.INFO)[-1].startswith("payment r-1 refund rf_1 of 2 is done: ")


async def test_nothing_secret_is_logged(mint: Mint, caplog: pytest.LogCaptureFixture) -> None:
    """A whole run, faults and all, at the most talkative level: no secret, no credential, no proof."""
    caplog.set_level(logging.DEBUG)
    secrets = [SECRET]

    async def buy(http: httpx2.AsyncClient, path: str, note: str) -> None:
        authorization = credential(challenge_of(await http.get(path)), note)
        headers = {"Authorization": authorization, "Idempotency-Key": "k-e-y"}
        secrets.extend([note, authorization.partition(" ")[2]])
        for _ in range(2):
            await http.get(path, headers=headers)
        await http.get("/elsewhere", headers=headers)
        await http.get(path, headers={"Authorization": authorization + "AAAA"})

    def leak(note: str) -> Settlement:
        raise RuntimeError(f"the mint does not know {note}")

    async with a_paywall(mint) as paywall, visit(shop(paywall)) as http:
        await buy(http, "/x", mint.issue(1))
        await buy(http, "/broken", mint.issue(1))
        await buy(http, "/x", "no such note, which is as secret as any")
        for fault in (leak, lambda _: NotSent(reason="no"), lambda _: Unknown(reason="no")):
            mint.before = fault
            await buy(http, "/x", mint.issue(1))
        mint.before, mint.after = None, leak
        await buy(http, "/x", mint.issue(1))
        mint.after = None
        mint.is_down = True
        await buy(http, "/x", mint.issue(1))
        await paywall.office.reconcile()
        mint.is_down = False
        await paywall.office.reconcile()
        await asyncio.sleep(0)
    said = "\n".join(
        json.dumps({name: repr(value) for name, value in vars(record).items()}) + record.getMessage()
        for record in caplog.records
    )
    assert len(caplog.records) > 20
    for secret in secrets:
        assert secret not in said
    assert not re.search(r"k-e-y|Payment ey", said)
    assert "note" not in repr(Recovery(b"note"))
