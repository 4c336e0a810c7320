"""The till: one credential, one payment, whatever goes wrong and whoever else tries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from msgspec.structs import replace

from coinslot.errors import (
    InvalidChallenge,
    LedgerError,
    NotHonoured,
    OutcomeUnknown,
    PaymentError,
    PaymentInProgress,
    PaymentUnavailable,
    VerificationFailed,
)
from coinslot.payments import lease
from coinslot.payments.events import Events, PaymentDelivered, PaymentSettled, PaymentUndelivered
from coinslot.payments.method import Failed, NotSent, Proof, Recovery, Settled, Settlement, Unknown
from coinslot.payments.order import Order, fingerprint
from coinslot.payments.payment import Payment, State
from coinslot.payments.till import Policy, Sale, Till
from coinslot.protocol import Binder, Challenge, Credential, JSONObject, Receipt, encode_object
from coinslot.storage.memory import MemoryLedger
from coinslot.storage.memory_cache import MemoryCache
from scrip import Mint, ScripCharge

BINDER = Binder([b"k" * 32])


@dataclass
class Counter:
    """A till, its world, and a clock that the test sets."""

    mint: Mint
    method: ScripCharge
    till: Till
    ledger: MemoryLedger
    now: float = 1_000_000.0

    def order(self, note: str, *, nonce: str = "1") -> Order:
        """An order that pays challenge `nonce` with `note`."""
        request = encode_object({"amount": "100", "currency": "scrip", "externalId": "order-7"})
        bound = {"request": request, "opaque": encode_object({"nonce": nonce})}
        challenge = Challenge(
            id=BINDER.issue(realm="shop", method="scrip", intent="charge", **bound),
            realm="shop",
            method="scrip",
            intent="charge",
            **bound,
        )
        credential = Credential(challenge=challenge, payload={"note": note})
        return Order(
            method=self.method,
            credential=credential,
            fingerprint=fingerprint(credential),
            request=challenge.decode_request(),
            route="GET /paid",
            expires_at=self.now + 300,
        )

    async def again(self, order: Order) -> Sale:
        """The same credential, presented again: known to the ledger by now."""
        known = await self.till.find(order.challenge_id)
        assert known is not None
        self.till.refuse_spent(known, order.fingerprint)
        return await self.till.take(replace(order, is_known=True))

    async def state(self, order: Order) -> State | None:
        """What the ledger says."""
        payment = await self.ledger.find(order.challenge_id)
        return payment.state if payment else None


@pytest.fixture
async def counter() -> AsyncIterator[Counter]:
    mint = Mint()
    ledger = MemoryLedger(clock=lambda: made.now)
    policy = Policy(settle_timeout=10, redeliveries=2, redelivery_window=3600)
    till = Till(ledger, policy=policy, events=Events(), clock=lambda: made.now)
    made = Counter(mint, ScripCharge(mint), till, ledger)
    yield made
    await till.close()


async def test_a_good_credential_is_settled_then_delivered(counter: Counter) -> None:
    """The plain course: settled with a receipt that names it, delivered once, then spent."""
    order = counter.order(counter.mint.issue(100))
    sale = await counter.till.take(order)
    assert sale.payment.state is State.SETTLED
    receipt = Receipt.parse(sale.payment.receipt or "")
    assert (receipt.method, receipt.reference, receipt.external_id) == (
        "scrip",
        sale.payment.reference,
        "order-7",
    )
    assert sale.payment.recovery.data == b""
    await sale.delivered()
    assert await counter.state(order) is State.DELIVERED
    with pytest.raises(InvalidChallenge, match="delivered"):
        await counter.again(order)
    assert counter.mint.spend_requests == 1


async def test_fifty_copies_at_once_spend_once(counter: Counter) -> None:
    """Of fifty concurrent copies of one credential one is served; the others wait or are refused."""
    order = counter.order(counter.mint.issue(100))
    counter.mint.delay = 0.02

    async def present() -> str:
        try:
            sale = await counter.till.take(order)
        except PaymentError as error:
            return error.slug
        await asyncio.sleep(0.01)
        await sale.delivered()
        return "served"

    answers = await asyncio.gather(*(present() for _ in range(50)))
    assert answers.count("served") == 1
    assert set(answers) == {"served", "payment-in-progress"}
    assert counter.mint.spend_requests == 1


async def test_a_second_credential_for_a_challenge_is_refused(counter: Counter) -> None:
    """One challenge is paid by one credential; another one for it is refused before anything is spent."""
    sale = await counter.till.take(counter.order(counter.mint.issue(100)))
    await sale.delivered()
    other = counter.mint.issue(100)
    with pytest.raises(InvalidChallenge, match="another credential"):
        await counter.till.take(counter.order(other))
    assert other not in counter.mint.spent


async def test_a_proof_pays_for_one_challenge(counter: Counter) -> None:
    """A note that is being spent for one challenge is refused for another before it is asked about again."""
    note = counter.mint.issue(100)
    counter.mint.after = lambda _: Unknown(reason="no answer")
    with pytest.raises(OutcomeUnknown):
        await counter.till.take(counter.order(note, nonce="1"))
    counter.mint.spent.clear()  # so that the method itself sees nothing wrong
    with pytest.raises(InvalidChallenge, match="already paid for another challenge"):
        await counter.till.take(counter.order(note, nonce="2"))
    assert counter.mint.spend_requests == 1


async def test_refused_proofs_leave_nothing_behind(counter: Counter) -> None:
    """A proof that does not verify leaves no row and no lease: the payer may try the challenge again."""
    order = counter.order("forged")
    with pytest.raises(VerificationFailed):
        await counter.till.take(order)
    assert await counter.state(order) is None
    sale = await counter.till.take(counter.order(counter.mint.issue(100)))
    await sale.delivered()


@pytest.mark.parametrize(
    "fault", [RuntimeError("a bug"), TimeoutError(), None], ids=["raises", "times out", "hangs"]
)
async def test_a_method_that_cannot_verify_is_unavailable(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, fault: Exception | None
) -> None:
    """A method that fails while it checks is 503: nothing was sent, and the proof is as good as it was."""

    async def verify(credential: Credential, request: object) -> Proof:
        if fault is not None:
            raise fault
        await asyncio.sleep(5)
        raise AssertionError("it was waited for")

    order = counter.order(counter.mint.issue(100))
    patient, counter.till.policy = counter.till.policy, Policy(settle_timeout=0.05)
    with monkeypatch.context() as broken:
        broken.setattr(counter.method, "verify", verify)
        with pytest.raises(PaymentUnavailable):
            await counter.till.take(order)
    assert counter.mint.spend_requests == 0
    counter.till.policy = patient
    await (await counter.till.take(order)).delivered()


async def test_what_is_learned_is_written_down(counter: Counter) -> None:
    """A settlement that is not decided can bring a new recovery, and the next look-up has it."""
    order = counter.order(counter.mint.issue(100))
    seen: list[bytes] = []

    async def look_up(proof: Proof) -> Settlement:
        seen.append(proof.recovery.data)
        return Unknown(reason="still nothing", recovery=Recovery(b"second") if len(seen) == 1 else None)

    counter.method.look_up = look_up  # type: ignore[method-assign]  # only here
    counter.mint.before = lambda _: NotSent(reason="refused", recovery=Recovery(b"first"))
    with pytest.raises(PaymentUnavailable):
        await counter.till.take(order)
    for _ in range(3):
        with pytest.raises(OutcomeUnknown):
            await counter.again(order)
    assert seen == [b"first", b"second", b"second"]


class SecretScrip(ScripCharge):
    """Scrip whose notes are never written down: they are put back for settling."""

    settled: ClassVar[list[Proof]] = []

    async def verify(self, credential: Credential, request: JSONObject) -> Proof:
        proof = await super().verify(credential, request)
        return replace(proof, key="scrip:hidden", reference="hidden", recovery=Recovery(b"nothing"))

    def complete(self, proof: Proof, credential: Credential) -> Proof:
        return replace(proof, reference=str(credential.payload["note"]))

    async def settle(self, proof: Proof) -> Settlement:
        self.settled.append(proof)
        return await super().settle(proof)

    async def look_up(self, proof: Proof) -> Settlement:
        return NotSent(reason="never heard of it")


async def test_a_secret_is_settled_with_and_never_kept(counter: Counter) -> None:
    """The credential completes the proof each time it is settled; the ledger has what was verified."""
    counter.method = SecretScrip(counter.mint)
    note = counter.mint.issue(100)
    order = counter.order(note)
    counter.mint.before = lambda _: Unknown(reason="no answer")
    with pytest.raises(OutcomeUnknown):
        await counter.till.take(order)
    payment = await counter.till.find(order.challenge_id)
    assert payment is not None
    assert note not in str(payment)
    assert payment.recovery.data == b"nothing"
    counter.mint.before = None
    await (await counter.again(order)).delivered()
    assert [proof.reference for proof in SecretScrip.settled] == [note, note]


async def test_a_failed_settlement_is_final(counter: Counter) -> None:
    """What failed for certain answers the same for ever, and is not asked again."""
    order = counter.order(counter.mint.issue(100))
    counter.mint.before = lambda _: Failed(reason="Reverted.", slug="payment-expired")
    with pytest.raises(PaymentError, match=r"Reverted\.") as first:
        await counter.till.take(order)
    counter.mint.before = None
    with pytest.raises(PaymentError, match=r"Reverted\.") as second:
        await counter.again(order)
    assert first.value.slug == second.value.slug == "payment-expired"
    assert counter.mint.spend_requests == 1


@pytest.mark.parametrize("spent", [True, False])
async def test_an_unknown_outcome_is_looked_up(counter: Counter, spent: bool) -> None:
    """No answer is 503; the same credential again finds what the world did, and spends only if it did not."""
    order = counter.order(counter.mint.issue(100))
    if spent:
        counter.mint.after = lambda _: Unknown(reason="the line broke")
    else:
        counter.mint.before = lambda _: Unknown(reason="the line broke")
    with pytest.raises(OutcomeUnknown):
        await counter.till.take(order)
    assert await counter.state(order) is State.UNKNOWN
    counter.mint.before = counter.mint.after = None
    sale = await counter.again(order)
    await sale.delivered()
    assert counter.mint.spend_requests == (1 if spent else 2)
    assert len(counter.mint.spent) == 1


async def test_an_unknown_outcome_stays_unknown_while_the_world_is_away(counter: Counter) -> None:
    """While nobody can tell, the answer stays 503 and nothing is sent again."""
    order = counter.order(counter.mint.issue(100))
    counter.mint.after = lambda _: Unknown(reason="the line broke")
    with pytest.raises(OutcomeUnknown):
        await counter.till.take(order)
    counter.mint.is_down = True
    for _ in range(3):
        with pytest.raises(OutcomeUnknown):
            await counter.again(order)
    assert counter.mint.spend_requests == 1


async def test_what_was_not_sent_may_be_sent_again(counter: Counter) -> None:
    """A settlement that never left is 503 `payment-unavailable`, and the credential is still good."""
    order = counter.order(counter.mint.issue(100))
    counter.mint.before = lambda _: NotSent(reason="connection refused")
    with pytest.raises(PaymentUnavailable):
        await counter.till.take(order)
    counter.mint.before = None
    await (await counter.again(order)).delivered()
    assert await counter.state(order) is State.DELIVERED


async def test_a_slow_settlement_is_unknown(counter: Counter) -> None:
    """A method that does not answer within `settle_timeout` leaves the outcome unknown, not failed."""
    counter.till.policy = Policy(settle_timeout=0.05)
    order = counter.order(counter.mint.issue(100))
    counter.mint.delay = 5
    with pytest.raises(OutcomeUnknown):
        await counter.till.take(order)
    assert await counter.state(order) is State.UNKNOWN


async def test_a_raising_settlement_is_unknown_and_says_nothing_secret(
    counter: Counter, caplog: pytest.LogCaptureFixture
) -> None:
    """A method that raises while moving money may have moved it; its message may quote a proof."""

    def fault(note: str) -> Settlement:
        raise RuntimeError(f"could not spend {note}")

    note = counter.mint.issue(100)
    counter.mint.after = fault
    with pytest.raises(OutcomeUnknown):
        await counter.till.take(counter.order(note))
    assert "RuntimeError" in caplog.text
    assert f"could not spend {note}" not in caplog.text


@pytest.mark.parametrize("nonsense", [None, "settled"])
async def test_an_answer_that_is_no_settlement_is_unknown(
    counter: Counter, nonsense: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A method that answers something else has not said that the money is here."""

    async def settle(proof: Proof) -> Any:
        return nonsense

    monkeypatch.setattr(counter.method, "settle", settle)
    order = counter.order(counter.mint.issue(100))
    with pytest.raises(OutcomeUnknown):
        await counter.till.take(order)
    assert await counter.state(order) is State.UNKNOWN


async def test_a_receipt_that_cannot_be_written_is_written_plainer(counter: Counter) -> None:
    """What a method adds to its receipts must not cost the payer what they paid for."""
    counter.mint.after = lambda note: Settled(reference=note, extra={"status": "reserved", "x": "\ud800"})
    sale = await counter.till.take(counter.order(counter.mint.issue(100)))
    assert Receipt.parse(sale.payment.receipt or "").extra == {}
    await sale.delivered()


async def test_a_delivery_that_cannot_be_written_down_is_not_the_app_s_fault(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After the last byte there is nobody to tell but the operator."""
    sale = await counter.till.take(counter.order(counter.mint.issue(100)))

    async def replace(before: Payment, after: Payment) -> bool:
        raise LedgerError("disk full")

    monkeypatch.setattr(counter.ledger, "replace", replace)
    await sale.delivered()
    assert "disk full" in caplog.text


async def test_a_caller_who_goes_away_leaves_a_settled_payment(counter: Counter) -> None:
    """Cancelling the request does not cancel the money: the payer finds it settled, and free to take."""
    order = counter.order(counter.mint.issue(100))
    counter.mint.delay = 0.05
    request = asyncio.create_task(counter.till.take(order))
    await asyncio.sleep(0.02)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    await asyncio.sleep(0.1)
    assert await counter.state(order) is State.SETTLED
    await (await counter.again(order)).delivered()
    assert counter.mint.spend_requests == 1


async def test_a_payment_is_redelivered_a_few_times_then_given_up(counter: Counter) -> None:
    """A delivery that fails may be tried again `redeliveries` times; then it is listed as undelivered."""
    order = counter.order(counter.mint.issue(100))
    heard: list[object] = []
    counter.till.events.subscribe(PaymentUndelivered, heard.append)
    await (await counter.till.take(order)).returned()
    for _ in range(2):
        await (await counter.again(order)).returned()
    assert await counter.state(order) is State.UNDELIVERED
    assert len(heard) == 1
    with pytest.raises(NotHonoured, match="refund"):
        await counter.again(order)
    assert counter.mint.spend_requests == 1


async def test_redelivery_ends_with_its_window(counter: Counter) -> None:
    """A settled payment that is presented after the window is given up, and says so."""
    order = counter.order(counter.mint.issue(100))
    await (await counter.till.take(order)).returned()
    counter.now += 3601
    with pytest.raises(NotHonoured, match="refund"):
        await counter.again(order)
    assert await counter.state(order) is State.UNDELIVERED


async def test_one_delivery_at_a_time(counter: Counter) -> None:
    """While a settled payment is being delivered, its credential gets 409."""
    order = counter.order(counter.mint.issue(100))
    sale = await counter.till.take(order)
    with pytest.raises(PaymentInProgress):
        await counter.again(order)
    await sale.returned()
    await (await counter.again(order)).delivered()


async def test_a_lapsed_lease_makes_way_for_a_look_up(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that died while settling leaves a lease that lapses and a row that says what to look up."""
    monkeypatch.setattr(lease, "RENEW_AFTER", 3600.0)  # as good as dead
    order = counter.order(counter.mint.issue(100))
    asked, answered = asyncio.Event(), asyncio.Event()
    spend = counter.mint.spend

    async def spend_later(note: str) -> Settlement:
        asked.set()
        await answered.wait()
        return await spend(note)

    monkeypatch.setattr(counter.mint, "spend", spend_later)
    worker = asyncio.create_task(counter.till.take(order))
    await asked.wait()
    assert await counter.state(order) is State.SETTLING
    with pytest.raises(PaymentInProgress):
        await counter.again(order)
    counter.now += lease.SECONDS + 1
    monkeypatch.setattr(counter.mint, "spend", spend)
    await (await counter.again(order)).delivered()
    answered.set()
    with pytest.raises(PaymentInProgress):  # the first one comes back and finds its move taken
        await worker
    assert await counter.state(order) is State.DELIVERED
    assert len(counter.mint.spent) == 1


async def test_a_lease_is_renewed_while_work_goes_on(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A delivery longer than the lease keeps it."""
    monkeypatch.setattr(lease, "RENEW_AFTER", 0.001)
    order = counter.order(counter.mint.issue(100))
    sale = await counter.till.take(order)
    for _ in range(5):
        counter.now += lease.SECONDS * 0.9
        await asyncio.sleep(0.05)
    with pytest.raises(PaymentInProgress):
        await counter.again(order)
    await sale.delivered()


async def test_an_abandoned_lease_lapses_even_if_it_is_being_renewed(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sale that nobody ended while its lease was renewed does not keep its payer out for ever."""
    monkeypatch.setattr(lease, "RENEW_AFTER", 0.001)
    renewing, renewed = asyncio.Event(), asyncio.Event()
    renewals = 0
    take = counter.ledger.lease

    async def renew(name: str, owner: str, seconds: float) -> bool:
        nonlocal renewals
        renewals += 1
        renewing.set()
        await renewed.wait()
        return await take(name, owner, seconds)

    held = lease.Lease(counter.ledger, "a name")
    await held.take()
    monkeypatch.setattr(counter.ledger, "lease", renew)
    await renewing.wait()
    held.abandon()
    renewed.set()
    await asyncio.sleep(0.05)
    assert renewals == 1


class BreaksOnReplace(MemoryLedger):
    """A ledger that cannot write the outcome down."""

    broken = True

    async def replace(self, before: Payment, after: Payment) -> bool:
        """Fails while it is broken."""
        if self.broken:
            raise LedgerError("disk full")
        return await super().replace(before, after)


async def test_an_outcome_that_cannot_be_written_is_unknown() -> None:
    """If the ledger fails after the money moved the answer is 503, and the next try finds the money."""
    mint, ledger = Mint(), BreaksOnReplace()
    counter = Counter(mint, ScripCharge(mint), Till(ledger, policy=Policy(), events=Events()), ledger)
    order = counter.order(mint.issue(100))
    with pytest.raises(OutcomeUnknown):
        await counter.till.take(order)
    ledger.broken = False
    await (await counter.again(order)).delivered()
    assert mint.spend_requests == 1
    await counter.till.close()


class IsAway(MemoryLedger):
    """A ledger that cannot be reached."""

    async def lease(self, challenge_id: str, owner: str, seconds: float) -> bool:
        """Never answers."""
        raise LedgerError("gone")


async def test_without_a_ledger_nothing_is_asked_of_the_world() -> None:
    """A ledger that is away is 503 before anything is verified or sent."""
    mint, ledger = Mint(), IsAway()
    counter = Counter(mint, ScripCharge(mint), Till(ledger, policy=Policy(), events=Events()), ledger)
    with pytest.raises(PaymentUnavailable):
        await counter.till.take(counter.order(mint.issue(100)))
    assert (mint.spend_requests, counter.method.verified) == (0, 0)
    await counter.till.close()


async def test_a_copy_that_verifies_too_late_is_judged_by_the_ledger(counter: Counter) -> None:
    """A copy whose proof no longer verifies, because another copy just spent it, is told what is so."""
    order = counter.order(counter.mint.issue(100))
    await (await counter.till.take(order)).delivered()
    with pytest.raises(InvalidChallenge, match="delivered"):
        await counter.till.take(order)  # admitted before the first was written down


async def test_subscribers_hear_what_happened_and_cannot_break_it(counter: Counter) -> None:
    """Events come in order, to plain and async subscribers, and a subscriber's fault goes no further."""
    heard: list[str] = []

    def broken(_: object) -> None:
        raise RuntimeError("not my payment")

    async def note_down(event: object) -> None:
        heard.append(type(event).__name__)

    counter.till.events.subscribe(PaymentSettled, broken)
    counter.till.events.subscribe(PaymentSettled, note_down)
    counter.till.events.subscribe(PaymentDelivered, note_down)
    await (await counter.till.take(counter.order(counter.mint.issue(100)))).delivered()
    await asyncio.sleep(0)
    assert heard == ["PaymentSettled", "PaymentDelivered"]


async def test_an_answer_from_look_up_of_a_settled_payment_carries_the_world_s_payer(
    counter: Counter,
) -> None:
    """Who paid is what the world says, not what the credential says."""
    counter.mint.after = lambda note: Settled(reference=f"block-{note}", payer="alice")
    sale = await counter.till.take(counter.order(counter.mint.issue(100)))
    assert sale.payment.payer == "alice"
    assert sale.payment.reference.startswith("block-")
    await sale.delivered()


async def test_a_cache_that_is_away_does_not_keep_a_worker_from_starting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The till opens, and says what is missing; payments wait for the cache and are not taken without it."""

    class Away(MemoryCache):
        """Nobody answers."""

        async def open(self) -> None:
            raise LedgerError("nobody answers")

        async def lease(self, name: str, owner: str, seconds: float) -> bool:
            raise LedgerError("nobody answers")

    mint = Mint()
    till = Till(MemoryLedger(), policy=Policy(), events=Events(), cache=Away())
    made = Counter(mint, ScripCharge(mint), till, MemoryLedger())
    await till.open()
    assert "nobody answers" in caplog.text
    with pytest.raises(PaymentUnavailable):
        await till.take(made.order(mint.issue(100)))
    assert mint.spent == {}
    await till.close()
