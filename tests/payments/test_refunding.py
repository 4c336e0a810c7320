"""Refunds: written down before they are sent, never more than was paid, found out after a crash."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from coinslot.errors import LedgerError, OutcomeUnknown, RefundError
from coinslot.payments.back_office import BackOffice
from coinslot.payments.events import Event, Events, RefundEnded
from coinslot.payments.method import Failed, NotSent, Settled, Settlement, Unknown
from coinslot.payments.payment import Payment, State
from coinslot.payments.refunds import Refund, RefundState
from coinslot.payments.till import Policy, Till
from coinslot.storage.sqlite import SQLiteLedger
from ledgers import NOW, make_payment
from scrip import Mint, RefundingScrip, ScripCharge


class Desk:
    """A back office over one ledger, and what it tells."""

    def __init__(self, path: Path) -> None:
        self.ledger = SQLiteLedger(path)
        self.events = Events()
        self.told: list[Event] = []
        self.events.subscribe(RefundEnded, self.told.append)
        self.scrip = RefundingScrip(Mint())
        self.till = Till(self.ledger, policy=Policy(settle_timeout=5), events=self.events, clock=lambda: NOW)
        self.office = BackOffice(self.till, [self.scrip], self.events, clock=lambda: NOW)

    async def payment(self, state: State, amount: int = 100) -> Payment:
        """One in the ledger, in this state."""
        payment = make_payment(state=state, amount=amount, settled_at=NOW)
        await self.ledger.insert(payment)
        return payment


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(tmp_path / "ledger.db")
    await made.till.open()
    yield made
    await made.till.close()


@pytest.mark.parametrize("state", [State.SETTLED, State.DELIVERED, State.UNDELIVERED, State.UNAPPLIED])
async def test_money_that_came_goes_back(desk: Desk, state: State) -> None:
    """A payment whose money is here is refunded in whole; the row says so, and everybody is told."""
    payment = await desk.payment(state)
    refund = await desk.office.refund(payment.challenge_id)
    assert (refund.state, refund.amount) == (RefundState.DONE, 100)
    assert refund.reference == f"back-{refund.key}"
    assert desk.scrip.repaid == {refund.key: 100}
    assert await desk.ledger.select_refunds(payment.challenge_id) == [refund]
    assert [type(event) for event in desk.told] == [RefundEnded]


async def test_a_refund_closes_delivery(desk: Desk) -> None:
    """A settled payment that is refunded, even in part, is not handed over any more."""
    payment = await desk.payment(State.SETTLED)
    await desk.office.refund(payment.challenge_id, 1)
    after = await desk.ledger.find(payment.challenge_id)
    assert after is not None
    assert after.state is State.UNDELIVERED


async def test_never_more_than_was_paid(desk: Desk) -> None:
    """Parts may be refunded until nothing is left; what is too much is refused with what is left."""
    payment = await desk.payment(State.DELIVERED)
    await desk.office.refund(payment.challenge_id, 60)
    for amount in (41, 0, -1):
        with pytest.raises(RefundError, match="between 1 and 40"):
            await desk.office.refund(payment.challenge_id, amount)
    await desk.office.refund(payment.challenge_id)
    with pytest.raises(RefundError, match="all of the payment"):
        await desk.office.refund(payment.challenge_id)
    assert sum(desk.scrip.repaid.values()) == 100


async def test_ten_refunds_at_once_send_the_money_once(desk: Desk) -> None:
    """Of ten refunds of everything, one is made."""
    payment = await desk.payment(State.DELIVERED)
    asked = (desk.office.refund(payment.challenge_id) for _ in range(10))
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(result, Refund) for result in results) == 1
    assert all(isinstance(result, Refund | RefundError) for result in results)
    assert list(desk.scrip.repaid.values()) == [100]


async def test_one_key_makes_one_refund(desk: Desk) -> None:
    """Asked again under the same key, the first refund is returned; for another amount it is refused."""
    payment, other = await desk.payment(State.DELIVERED), await desk.payment(State.DELIVERED)
    refund = await desk.office.refund(payment.challenge_id, 30, key="ticket 7")
    assert await desk.office.refund(payment.challenge_id, 30, key="ticket 7") == refund
    assert await desk.office.refund(payment.challenge_id, key="ticket 7") == refund
    with pytest.raises(RefundError, match="used for a refund of 30"):
        await desk.office.refund(payment.challenge_id, 31, key="ticket 7")
    await desk.office.refund(payment.challenge_id, 30, key="ticket 8")
    await desk.office.refund(other.challenge_id, 30, key="ticket 7")
    assert list(desk.scrip.repaid.values()) == [30, 30, 30]


@pytest.mark.parametrize("state", [State.SETTLING, State.UNKNOWN, State.FAILED])
async def test_without_money_there_is_no_refund(desk: Desk, state: State) -> None:
    """A payment whose money is not known to be here is not refunded."""
    payment = await desk.payment(state)
    with pytest.raises(RefundError, match=state.value):
        await desk.office.refund(payment.challenge_id)
    with pytest.raises(RefundError, match="no such payment"):
        await desk.office.refund("nobody's")


async def test_a_method_that_cannot_send_back_says_so(tmp_path: Path) -> None:
    """No row is written for a method without refunds."""
    desk = Desk(tmp_path / "other.db")
    office = BackOffice(desk.till, [ScripCharge(Mint())], desk.events)
    await desk.till.open()
    payment = await desk.payment(State.DELIVERED)
    with pytest.raises(RefundError, match="cannot send money back"):
        await office.refund(payment.challenge_id)
    assert await desk.ledger.select_refunds(payment.challenge_id) == []
    await desk.till.close()


async def test_what_cannot_be_drafted_changes_nothing(desk: Desk) -> None:
    """When the method refuses beforehand, the payment is still to be delivered and there is no row."""
    payment = await desk.payment(State.SETTLED)
    desk.scrip.mint.is_down = True
    with pytest.raises(RefundError, match="mint is down"):
        await desk.office.refund(payment.challenge_id)
    assert await desk.ledger.find(payment.challenge_id) == payment
    assert await desk.ledger.select_refunds(payment.challenge_id) == []


async def test_a_failed_refund_can_be_made_again(desk: Desk) -> None:
    """A refund that failed takes nothing of what is left."""
    payment = await desk.payment(State.DELIVERED)
    desk.scrip.before = lambda _: Failed(reason="The account is closed.")
    refund = await desk.office.refund(payment.challenge_id)
    assert (refund.state, refund.reason) == (RefundState.FAILED, "The account is closed.")
    desk.scrip.before = None
    assert (await desk.office.refund(payment.challenge_id)).state is RefundState.DONE


async def test_a_lost_answer_is_found_out_and_nothing_is_sent_twice(desk: Desk) -> None:
    """A refund whose answer was lost is unknown, and done once the world is asked again."""
    payment = await desk.payment(State.DELIVERED)
    desk.scrip.after = lambda _: Unknown(reason="cut off")
    refund = await desk.office.refund(payment.challenge_id)
    assert refund.state is RefundState.UNKNOWN
    desk.scrip.after = None
    found = await desk.office.reconcile()
    assert [finding.after.state for finding in found.findings] == [RefundState.DONE]
    assert desk.scrip.repaid == {refund.key: 100}


async def test_what_was_never_sent_is_drafted_anew_and_sent(desk: Desk) -> None:
    """A row that was written by a process that died before it asked the world is carried out later."""
    payment = await desk.payment(State.DELIVERED)

    def die(key: str) -> Settlement | None:
        raise ConnectionResetError("the process ends here")

    desk.scrip.before = die
    refund = await desk.office.refund(payment.challenge_id)
    assert refund.state is RefundState.UNKNOWN
    assert desk.scrip.repaid == {}
    desk.scrip.before = None
    await desk.office.reconcile()
    (after,) = await desk.ledger.select_refunds(payment.challenge_id)
    assert after.state is RefundState.DONE
    assert (desk.scrip.drafted, desk.scrip.repaid) == (2, {refund.key: 100})


async def test_one_that_is_on_its_way_is_known_by_its_reference(desk: Desk) -> None:
    """`Unknown` with a reference is a refund that was sent; the world's word on it ends it."""
    payment = await desk.payment(State.DELIVERED)
    desk.scrip.after = lambda key: Unknown(reason="pending", reference=f"back-{key}")
    refund = await desk.office.refund(payment.challenge_id)
    assert (refund.state, refund.reference) == (RefundState.SENT, f"back-{refund.key}")
    after = await desk.office.reconsider_refund(f"back-{refund.key}")
    assert after is not None
    assert after.state is RefundState.DONE
    assert await desk.office.reconsider_refund("nobody's") is None


async def test_a_refund_that_comes_back_is_failed(desk: Desk) -> None:
    """The world may give back what it had taken: then the money is the seller's again, to refund anew."""
    payment = await desk.payment(State.DELIVERED)
    refund = await desk.office.refund(payment.challenge_id)

    async def gone(_: object) -> Settlement:
        return Failed(reason="The card is closed.")

    desk.scrip.look_up_repayment = gone  # type: ignore[method-assign,assignment]  # the world changes its mind
    after = await desk.office.reconsider_refund(refund.reference or "")
    assert after == replace(
        refund, state=RefundState.FAILED, reason="The card is closed.", revision=refund.revision + 1
    )


@pytest.mark.parametrize(
    "said", [Failed(reason="again"), Settled(reference="back"), NotSent(reason="?"), Unknown(reason="?")]
)
async def test_a_failed_refund_stays_failed_whatever_is_said_of_it(desk: Desk, said: Settlement) -> None:
    """The world may tell of a failed refund any number of times: the row is final, and nothing is raised."""
    payment = await desk.payment(State.DELIVERED)
    desk.scrip.before = lambda _: Failed(reason="The account is closed.")
    refund = await desk.office.refund(payment.challenge_id)
    failed = replace(refund, reference="back", revision=refund.revision + 1)
    assert await desk.ledger.replace_refund(refund, failed)

    async def say(_: object) -> Settlement:
        return said

    desk.scrip.look_up_repayment = say  # type: ignore[method-assign,assignment]  # the world, once more
    assert await desk.office.reconsider_refund("back") == failed
    assert len(desk.told) == 1


@pytest.mark.parametrize("write", ["insert_refund", "replace_refund"])
async def test_a_write_that_is_not_answered_may_be_a_refund(
    desk: Desk, write: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asked is told that it may be on its way, and not that it may be asked for again."""
    payment = await desk.payment(State.DELIVERED)
    done = getattr(desk.ledger, write)

    async def lose_the_answer(*rows: Refund) -> bool:
        await done(*rows)
        raise LedgerError("cut off")

    monkeypatch.setattr(desk.ledger, write, lose_the_answer)
    with pytest.raises(OutcomeUnknown, match="may be on its way"):
        await desk.office.refund(payment.challenge_id, 50)
    monkeypatch.undo()
    await desk.office.reconcile()
    (refund,) = await desk.ledger.select_refunds(payment.challenge_id)
    assert (refund.state, desk.scrip.repaid) == (RefundState.DONE, {refund.key: 50})
