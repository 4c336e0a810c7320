"""The ledger compared with a world that the tests make up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from coinslot.errors import LedgerError
from coinslot.payments import comparison
from coinslot.payments.audit import audit
from coinslot.payments.differences import Difference, Kind, Summary, Sums
from coinslot.payments.ledger import Ledger
from coinslot.payments.method import Movement
from coinslot.payments.payment import Payment, State
from coinslot.payments.refunds import Refund, RefundState
from coinslot.storage.memory import MemoryLedger
from coinslot.storage.postgres import PostgresLedger
from coinslot.storage.sqlite import SQLiteLedger
from ledgers import NOW, make_payment, make_refund
from scrip import Mint, ScripCharge

DAY = 86_400.0


class Witness(ScripCharge):
    """A method that says what the world knows: these movements, and how often it was asked."""

    def __init__(self, *movements: Movement, name: str = "scrip") -> None:
        super().__init__(Mint(), name=name)
        self.world = list(movements)
        self.asked: list[tuple[float, float]] = []
        self.recipients: frozenset[str] = frozenset()
        self.fails: Exception | None = None

    async def movements(
        self, *, since: float, until: float, recipients: frozenset[str]
    ) -> AsyncIterator[Movement]:
        """Those of the time, in the order in which they were made up."""
        self.asked.append((since, until))
        self.recipients |= recipients
        for movement in self.world:
            if since <= movement.at < until:
                yield movement
        if self.fails is not None:
            raise self.fails


def came(payment: Payment, **members: Any) -> Movement:
    """The money of a payment, a second after it was written down."""
    return Movement(
        **{
            "reference": payment.reference,
            "amount": payment.amount,
            "currency": payment.currency,
            "at": payment.created_at + 1,
            "payer": payment.payer,
            **members,
        }
    )


def went(payment: Payment, refund: Refund, **members: Any) -> Movement:
    """The money of a refund."""
    assert refund.reference is not None
    return Movement(
        **{
            "reference": refund.reference,
            "amount": refund.amount,
            "currency": payment.currency,
            "at": refund.updated_at,
            "is_refund": True,
            **members,
        }
    )


def paid(number: int, **members: Any) -> Payment:
    """A delivered payment, the one of this number, a minute after the one before."""
    defaults = {"reference": f"note {number}", "created_at": NOW + 60 * number, "state": State.DELIVERED}
    return make_payment(**{"payer": "bearer", "recipient": "shop", **defaults, **members})


def sent_back(payment: Payment, number: int = 0, **members: Any) -> Refund:
    """A refund that is done, ten minutes after its payment."""
    at = payment.created_at + 600
    defaults = {"reference": f"back {number}", "created_at": at, "updated_at": at, "state": RefundState.DONE}
    return make_refund(payment, **{**defaults, **members})


async def book(*rows: Payment | Refund) -> MemoryLedger:
    ledger = MemoryLedger()
    await ledger.open()
    for row in rows:
        if isinstance(row, Payment):
            await ledger.insert(row)
        else:
            assert await ledger.insert_refund(row)
    return ledger


async def found(
    ledger: Ledger,
    *methods: Any,
    since: float = NOW - DAY,
    until: float = NOW + DAY,
    summary: Summary | None = None,
) -> list[Difference]:
    return [
        difference async for difference in audit(ledger, methods, since=since, until=until, summary=summary)
    ]


def kinds(differences: Sequence[Difference]) -> list[Kind]:
    return [difference.kind for difference in differences]


class TestPayments:
    """What came in."""

    async def test_what_both_know_is_no_difference(self) -> None:
        """Whatever has become of the payment since, and however many base units it was of."""
        rows = [
            paid(number, state=state, amount=10**30 + number)
            for number, state in enumerate((State.SETTLED, State.DELIVERED, State.UNDELIVERED))
        ]
        summary = Summary()
        assert await found(await book(*rows), Witness(*map(came, rows)), summary=summary) == []
        total = 3 * 10**30 + 3
        assert summary == Summary(
            payments=3, movements=3, sums={("scrip", "credits"): Sums(recorded=total, received=total)}
        )

    async def test_money_that_the_ledger_does_not_know(self) -> None:
        """It is named with all that the world says of it."""
        row, stranger = paid(1), paid(2)
        (difference,) = await found(await book(row), Witness(came(row), came(stranger)))
        assert difference == Difference(
            kind=Kind.UNRECORDED,
            method="scrip",
            detail=difference.detail,
            reference="note 2",
            currency="credits",
            received=10_000,
            payer="bearer",
            at=stranger.created_at + 1,
        )

    async def test_money_that_the_world_does_not_know(self) -> None:
        """It was asked about three times, in ever wider ranges."""
        witness = Witness()
        (difference,) = await found(await book(paid(1)), witness)
        assert (difference.kind, difference.recorded, difference.received) == (Kind.UNCONFIRMED, 10_000, 0)
        assert len(witness.asked) == 3
        assert witness.asked == sorted(witness.asked, reverse=True)
        assert witness.recipients == {"shop"}

    async def test_money_that_came_long_before_it_was_shown(self) -> None:
        """The row is from today and the money from yesterday: nothing is missing."""
        row = paid(1)
        assert await found(await book(row), Witness(came(row, at=row.created_at - DAY))) == []

    async def test_money_from_the_other_side_of_the_range(self) -> None:
        """A payment is written down on one side of midnight, and its money moves on the other."""
        before, after = paid(1, created_at=NOW - 0.5), paid(2, created_at=NOW + 0.5)
        witness = Witness(came(before, at=NOW + 0.5), came(after, at=NOW - 0.5))
        ledger = await book(before, after)
        assert await found(ledger, witness, until=NOW) == []
        assert await found(ledger, witness, since=NOW) == []

    @pytest.mark.parametrize(
        "members", [{"amount": 9_999}, {"amount": 10_001}, {"currency": "francs"}], ids=repr
    )
    async def test_amounts_that_differ(self, members: dict[str, Any]) -> None:
        """By a base unit, or in what they are of."""
        row = paid(1)
        (difference,) = await found(await book(row), Witness(came(row, **members)))
        assert difference.kind is Kind.AMOUNT
        assert difference.recorded == 10_000
        assert difference.received == members.get("amount", 0)

    async def test_a_payment_that_had_failed(self) -> None:
        """The ledger says that no money moved, and the world has it."""
        row, still = paid(1, state=State.FAILED), paid(2, state=State.FAILED)
        (difference,) = await found(await book(row, still), Witness(came(row)))
        assert (difference.kind, difference.challenge_id) == (Kind.NOT_FAILED, row.challenge_id)
        assert difference.received == 10_000

    @pytest.mark.parametrize("state", [State.SETTLING, State.UNKNOWN])
    async def test_a_payment_that_is_not_decided(self, state: State) -> None:
        """It is told of whether its money is there or not, and once."""
        rows = [paid(1, state=state, reason="no answer"), paid(2, state=state)]
        differences = await found(await book(*rows), Witness(came(rows[0])))
        assert kinds(differences) == [Kind.UNDECIDED, Kind.UNDECIDED]
        assert "no answer" in differences[0].detail

    async def test_a_price_of_nothing(self) -> None:
        """Nothing moved, and nothing is missing."""
        assert await found(await book(paid(1, amount=0)), Witness()) == []

    async def test_several_payments_in_one_transaction(self) -> None:
        """Their sums are compared, however the world divides them."""
        rows = [paid(number, reference="one for all", amount=number) for number in (1, 2, 3)]
        ledger = await book(*rows)
        for world in ([came(rows[0], amount=6)], [came(row) for row in rows], [came(rows[0], amount=3)] * 2):
            assert await found(ledger, Witness(*world)) == []
        assert set(kinds(await found(ledger, Witness(came(rows[0], amount=7))))) == {Kind.AMOUNT}

    async def test_one_of_them_may_be_found_later(self) -> None:
        """It is in another page of the ledger, and counts all the same."""
        one, other = paid(1, reference="both"), paid(2, reference="both", created_at=NOW + DAY / 2)
        world = Witness(came(one, amount=20_000))
        assert await found(await book(one, other), world, until=NOW + DAY / 4) == []

    async def test_the_time_before_the_ledger_is_not_asked_about(self) -> None:
        """From the beginning of time on: that is from a few days before the first payment."""
        row = paid(1)
        witness = Witness(came(row), came(paid(2), at=row.created_at - 10 * DAY))
        assert await found(await book(row), witness, since=0.0) == []
        ((since, _),) = witness.asked
        assert row.created_at - 4 * DAY < since < row.created_at - DAY

    async def test_rows_outside_of_the_range_are_not_judged(self) -> None:
        """Nor is money that moved outside of it."""
        row = paid(1)
        assert await found(await book(row), Witness(), since=NOW + DAY, until=NOW + 2 * DAY) == []
        assert await found(await book(), Witness(came(row)), since=NOW + DAY, until=NOW + 2 * DAY) == []


class TestRefunds:
    """What went back."""

    async def test_what_both_know_is_no_difference(self) -> None:
        """In the range, or after it."""
        row = paid(1, state=State.UNDELIVERED)
        soon, late = sent_back(row, 1), sent_back(row, 2, updated_at=NOW + 5 * DAY)
        world = Witness(came(row), went(row, soon), went(row, late))
        summary = Summary()
        assert await found(await book(row, soon, late), world, summary=summary) == []
        sums = summary.sums["scrip", "credits"]
        assert (sums.refunds_recorded, sums.refunds_received) == (200, 100)

    async def test_money_that_is_to_go_back(self) -> None:
        """Unapplied money is owed until the last of it is through."""
        row = paid(1, state=State.UNAPPLIED)
        part, rest = sent_back(row, 1, amount=9_999), sent_back(row, 2, amount=1)
        world = [came(row), went(row, part), went(row, rest)]
        for rows, due in (([row], "10000 base"), ([row, part], "1 base")):
            (difference,) = await found(await book(*rows), Witness(*world[: len(rows)]))
            assert difference.kind is Kind.UNREFUNDED
            assert difference.detail.startswith(due)
        assert await found(await book(row, part, rest), Witness(*world)) == []

    async def test_a_refund_that_the_ledger_does_not_know(self) -> None:
        """Somebody sent money back past the ledger."""
        row = paid(1)
        stranger = sent_back(row)
        (difference,) = await found(await book(row), Witness(came(row), went(row, stranger)))
        assert (difference.kind, difference.reference) == (Kind.REFUND_UNRECORDED, "back 0")

    async def test_a_refund_that_the_world_does_not_know(self) -> None:
        """It is done by the ledger alone."""
        row = paid(1)
        refund = sent_back(row)
        (difference,) = await found(await book(row, refund), Witness(came(row)))
        assert (difference.kind, difference.refund_id) == (Kind.REFUND_UNCONFIRMED, refund.id)
        assert (difference.recorded, difference.received) == (100, 0)

    async def test_a_refund_that_the_world_does_not_answer_about(self) -> None:
        """It was made after the range, and what is not known is not judged."""
        row = paid(1)
        refund = sent_back(row, updated_at=NOW + 5 * DAY)

        class Forgetful(Witness):
            async def movements(self, **members: Any) -> AsyncIterator[Movement]:
                if members["until"] > NOW + 4 * DAY:
                    raise LedgerError("the archive is shut")
                async for movement in super().movements(**members):
                    yield movement

        (difference,) = await found(await book(row, refund), Forgetful(came(row)))
        assert difference.kind is Kind.NOT_AUDITED
        assert "about refunds: the archive is shut" in difference.detail

    @pytest.mark.parametrize("is_in_range", [True, False])
    async def test_a_refund_of_another_amount(self, is_in_range: bool) -> None:
        """Whether the payment is in the range or older than it."""
        row = paid(1)
        refund = sent_back(row)
        ledger = await book(row, refund)
        since = NOW - DAY if is_in_range else refund.updated_at - 1
        (difference,) = await found(ledger, Witness(came(row), went(row, refund, amount=99)), since=since)
        assert (difference.kind, difference.recorded, difference.received) == (Kind.REFUND_AMOUNT, 100, 99)

    async def test_a_refund_that_had_failed(self) -> None:
        """It went through, and the amount is not kept for it any more."""
        row = paid(1)
        refund = sent_back(row, state=RefundState.FAILED)
        (difference,) = await found(await book(row, refund), Witness(came(row), went(row, refund)))
        assert (difference.kind, difference.refund_id) == (Kind.REFUND_NOT_FAILED, refund.id)

    async def test_a_refund_that_is_not_decided(self) -> None:
        """However old it is."""
        row = paid(1)
        refund = sent_back(row, state=RefundState.UNKNOWN, reason="no answer")
        ledger = await book(row, refund)
        (difference,) = await found(ledger, Witness(came(row)), since=NOW + 2 * DAY, until=NOW + 3 * DAY)
        assert (difference.kind, difference.method, difference.currency) == (
            Kind.REFUND_UNDECIDED,
            "scrip",
            "credits",
        )
        assert "no answer" in difference.detail


class TestMethods:
    """Nothing is passed over in silence."""

    async def test_a_method_that_cannot_say(self) -> None:
        """It is not audited, and that is said."""
        (difference,) = await found(await book(), ScripCharge(Mint()))
        assert (difference.kind, difference.method) == (Kind.NOT_AUDITED, "scrip")

    async def test_payments_by_a_method_that_is_gone(self) -> None:
        """Of another name, or of another intent."""
        others = [paid(1, method="shells"), paid(2, intent="rent"), paid(3, intent="rent")]
        differences = await found(await book(*others), Witness())
        assert kinds(differences) == [Kind.NOT_AUDITED, Kind.NOT_AUDITED]
        assert "no such method" in differences[0].detail
        assert "scrip/rent" in differences[1].detail

    @pytest.mark.parametrize(
        ("error", "said"),
        [(LedgerError("the bank is shut"), "the bank is shut"), (ValueError("a secret"), "ValueError at")],
        ids=repr,
    )
    async def test_a_world_that_does_not_answer(self, error: Exception, said: str) -> None:
        """What it had said until then is nothing to judge by; what is not known stays named."""
        rows = [paid(1), paid(2), paid(3, state=State.UNKNOWN)]
        witness = Witness(came(rows[0]))
        witness.fails = error
        differences = await found(await book(*rows), witness)
        assert kinds(differences) == [Kind.UNDECIDED, Kind.NOT_AUDITED]
        assert said in differences[1].detail
        assert "secret" not in differences[1].detail

    async def test_several_methods(self) -> None:
        """Each is asked about its own."""
        one, other = paid(1), paid(2, method="shells")
        ledger = await book(one, other)
        assert await found(ledger, Witness(came(one)), Witness(came(other), name="shells")) == []
        differences = await found(ledger, Witness(came(other)), Witness(came(one), name="shells"))
        assert kinds(differences) == [Kind.UNCONFIRMED, Kind.UNCONFIRMED]


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_any_ledger_will_do(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A difference of each kind, from a ledger that is not in memory."""
    ledger: Ledger = SQLiteLedger(tmp_path / "ledger.db", patience=30)
    if kind == "postgres":
        ledger = PostgresLedger(request.getfixturevalue("postgres").new_database())
    await ledger.open()
    states = (State.DELIVERED, State.DELIVERED, State.UNKNOWN, State.FAILED, State.UNAPPLIED)
    rows = [paid(number, state=state) for number, state in enumerate(states)]
    fine, lost, _, failed, unapplied = rows
    backs = [
        sent_back(fine, 1),
        sent_back(fine, 2, state=RefundState.UNKNOWN),
        sent_back(unapplied, 3, amount=9_999),
    ]
    for row in rows:
        await ledger.insert(row)
    for refund in backs:
        assert await ledger.insert_refund(refund)
    world = [
        came(fine, amount=10_001),
        came(failed),
        came(unapplied),
        came(paid(7)),
        went(unapplied, backs[2], amount=9_998),
        went(fine, sent_back(fine, 4)),
    ]
    differences = await found(ledger, Witness(*world), ScripCharge(Mint(), name="shells"))
    assert {(one.kind, one.reference) for one in differences} == {
        (Kind.AMOUNT, fine.reference),
        (Kind.UNCONFIRMED, lost.reference),
        (Kind.UNDECIDED, "note 2"),
        (Kind.NOT_FAILED, failed.reference),
        (Kind.UNREFUNDED, unapplied.reference),
        (Kind.UNRECORDED, "note 7"),
        (Kind.REFUND_UNCONFIRMED, "back 1"),
        (Kind.REFUND_UNDECIDED, "back 2"),
        (Kind.REFUND_AMOUNT, "back 3"),
        (Kind.REFUND_UNRECORDED, "back 4"),
        (Kind.NOT_AUDITED, None),
    }
    await ledger.close()


class TestPages:
    """The ledger is never read as a whole."""

    async def test_slices_of_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The world is asked once for each page, about its time and a little more."""
        monkeypatch.setattr(comparison, "_PAGE", 10)
        rows = [paid(number) for number in range(25)]
        witness = Witness(*map(came, reversed(rows)))
        assert await found(await book(*rows), witness) == []
        margin = 120.0
        bounds = [NOW - DAY, rows[9].created_at, rows[19].created_at, NOW + DAY]
        assert witness.asked == [(start - margin, end + margin) for start, end in pairwise(bounds)]

    @settings(max_examples=60)
    @given(data=st.data())
    async def test_every_difference_is_found_and_no_other(self, data: st.DataObject) -> None:
        """A few things are wrong somewhere among many that are right, whatever the pages are."""
        rows, movements, expected = [], [], set[tuple[Kind, str]]()
        at = NOW
        for number in range(data.draw(st.integers(0, 12), label="payments")):
            at += data.draw(st.sampled_from([0.0, 1.0, 500.0, 9_000.0]))
            row = paid(number, created_at=at)
            fault = data.draw(st.sampled_from([None, None, *list(Kind)[:5]]), label="fault")
            if fault in (Kind.NOT_FAILED, Kind.UNDECIDED):
                state = State.FAILED if fault is Kind.NOT_FAILED else State.UNKNOWN
                row = paid(number, created_at=at, state=state)
            if fault is not Kind.UNRECORDED:
                rows.append(row)
            if fault is not Kind.UNCONFIRMED:
                amount = row.amount + (fault is Kind.AMOUNT)
                moved = at + data.draw(st.sampled_from([0.0, 1.0, -3_000.0]))
                movements.append(came(row, amount=amount, at=moved))
            if fault is not None:
                expected.add((fault, row.reference))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(comparison, "_PAGE", data.draw(st.integers(1, 5), label="page"))
            differences = await found(await book(*rows), Witness(*data.draw(st.permutations(movements))))
        assert {(one.kind, one.reference) for one in differences} == expected
        unique = [one for one in differences if one.kind is not Kind.NOT_FAILED]
        assert len(unique) == len({(one.kind, one.reference) for one in unique})
