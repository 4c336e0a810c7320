"""What `coinslot.payments.ledger.Ledger` promises, asked of every implementation."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from coinslot.errors import AlreadyClaimed
from coinslot.payments.ledger import Ledger
from coinslot.payments.method import Recovery
from coinslot.payments.payment import Payment, State
from ledgers import NOW, make_payment, settled


async def claim(ledger: Ledger, payment: Payment) -> str:
    """Insert, and say how it went."""
    try:
        await ledger.insert(payment)
    except AlreadyClaimed as error:
        return error.by
    return "written"


async def test_an_unknown_challenge_has_no_payment(ledger: Ledger) -> None:
    """`find` answers None for a challenge that nobody paid."""
    assert await ledger.find("nobody's") is None


async def test_a_payment_is_found_as_it_was_written(ledger: Ledger) -> None:
    """Every member of a payment survives, the optional ones set."""
    payment = make_payment(
        recipient="0xrecipient",
        payer="0xpäyer",
        external_id="order 7\x00",
        recovery=Recovery(b"\x00\xffrecovery"),
        receipt="receipt",
        reason="reason",
        settled_at=1.1,
        delivered_at=2.2,
        attempts=3,
        disputed=True,
        revision=4,
    )
    await ledger.insert(payment)
    assert await ledger.find(payment.challenge_id) == payment


async def test_a_payment_is_found_by_its_proof(ledger: Ledger) -> None:
    """By the proof it came with, in whatever state it is by now."""
    payment = make_payment()
    await ledger.insert(payment)
    assert await ledger.find_by_proof(payment.proof_key) == payment
    after = settled(payment)
    assert await ledger.replace(payment, after)
    assert await ledger.find_by_proof(payment.proof_key) == after
    assert await ledger.find_by_proof("nobody's") is None


async def test_a_payment_is_found_by_the_reference_that_it_has_now(ledger: Ledger) -> None:
    """The world's name for it may change; the old one finds it no more."""
    payment = make_payment(reference="before")
    await ledger.insert(payment)
    assert await ledger.find_by_reference("before") == payment
    after = replace(settled(payment), reference="after")
    assert await ledger.replace(payment, after)
    assert await ledger.find_by_reference("after") == after
    assert await ledger.find_by_reference("before") is None


async def test_of_one_reference_the_newest_payment_is_found(ledger: Ledger) -> None:
    """Should the world use a name twice, the later one is meant."""
    payments = [make_payment(reference="twice", created_at=NOW + at) for at in (1, 3, 2)]
    for payment in payments:
        await ledger.insert(payment)
    assert await ledger.find_by_reference("twice") == payments[1]


async def test_absent_members_stay_absent(ledger: Ledger) -> None:
    """Every optional member that was left out is left out when it is found."""
    payment = make_payment()
    await ledger.insert(payment)
    assert await ledger.find(payment.challenge_id) == payment


@pytest.mark.parametrize("amount", [0, 2**63, 10**77, 10**300 + 1])
async def test_amounts_of_any_size_are_exact(ledger: Ledger, amount: int) -> None:
    """An amount comes back to the last base unit, beyond 64 bits too."""
    payment = make_payment(amount=amount)
    await ledger.insert(payment)
    found = await ledger.find(payment.challenge_id)
    assert found is not None
    assert found.amount == amount


@pytest.mark.parametrize("state", list(State))
async def test_every_state_can_be_kept(ledger: Ledger, state: State) -> None:
    """There is no state that a ledger refuses."""
    payment = make_payment(state=state)
    await ledger.insert(payment)
    found = await ledger.find(payment.challenge_id)
    assert found is not None
    assert found.state is state


async def test_a_challenge_has_one_payment(ledger: Ledger) -> None:
    """A second payment for a challenge is refused by the challenge, and the first one stays."""
    first = make_payment()
    await ledger.insert(first)
    assert await claim(ledger, make_payment(challenge_id=first.challenge_id)) == "challenge"
    assert await ledger.find(first.challenge_id) == first


async def test_a_proof_pays_once(ledger: Ledger) -> None:
    """A proof that paid one challenge is refused for another, which stays unpaid."""
    first = make_payment()
    second = make_payment(proof_key=first.proof_key)
    await ledger.insert(first)
    assert await claim(ledger, second) == "proof"
    assert await ledger.find(second.challenge_id) is None


async def test_a_payment_that_clashes_twice_is_claimed_by_its_challenge(ledger: Ledger) -> None:
    """The same payment again, even after it failed, is refused by the challenge."""
    payment = make_payment()
    await ledger.insert(payment)
    assert await ledger.replace(payment, replace(payment, state=State.FAILED, revision=1))
    assert await claim(ledger, payment) == "challenge"


async def test_of_fifty_payments_for_one_challenge_one_is_written(ledger: Ledger) -> None:
    """Fifty at once, with fifty proofs: one is written and found, all others are refused."""
    payments = [make_payment(challenge_id="the one") for _ in range(50)]
    answers = await asyncio.gather(*(claim(ledger, payment) for payment in payments))
    assert sorted(answers) == ["challenge"] * 49 + ["written"]
    assert await ledger.find("the one") == payments[answers.index("written")]


async def test_of_fifty_payments_with_one_proof_one_is_written(ledger: Ledger) -> None:
    """Fifty at once, for fifty challenges: one is written, all others are refused and leave nothing."""
    payments = [make_payment(proof_key="the one") for _ in range(50)]
    answers = await asyncio.gather(*(claim(ledger, payment) for payment in payments))
    assert sorted(answers) == ["proof"] * 49 + ["written"]
    found = await asyncio.gather(*(ledger.find(payment.challenge_id) for payment in payments))
    assert [payment for payment in found if payment] == [payments[answers.index("written")]]


async def test_a_refused_claim_does_not_spoil_its_neighbours(ledger: Ledger) -> None:
    """Among many that are written at once, only those that clash fail."""
    taken = make_payment()
    await ledger.insert(taken)
    payments = [
        make_payment(challenge_id=taken.challenge_id) if number % 3 == 0 else make_payment()
        for number in range(30)
    ]
    answers = await asyncio.gather(*(claim(ledger, payment) for payment in payments))
    assert answers == ["challenge" if number % 3 == 0 else "written" for number in range(30)]
    found = await asyncio.gather(*(ledger.find(payment.challenge_id) for payment in payments))
    assert found == [taken if number % 3 == 0 else payments[number] for number in range(30)]


async def test_replace_writes_the_next_revision(ledger: Ledger) -> None:
    """All members but the keys may change, and are found as they were given."""
    before = make_payment(recovery=Recovery(b"raw"))
    after = replace(
        settled(before),
        amount=10**40,
        reference="0xdef",
        payer="0xpayer",
        receipt="receipt",
        recovery=Recovery(),
        attempts=1,
    )
    await ledger.insert(before)
    assert await ledger.replace(before, after)
    assert await ledger.find(before.challenge_id) == after


async def test_replace_of_a_revision_that_is_gone_changes_nothing(ledger: Ledger) -> None:
    """Who comes second is told so, and the first one's move stands."""
    before = make_payment()
    first = settled(before)
    await ledger.insert(before)
    assert await ledger.replace(before, first)
    assert not await ledger.replace(before, replace(before, state=State.FAILED, revision=1))
    assert await ledger.find(before.challenge_id) == first


async def test_replace_of_nothing_writes_nothing(ledger: Ledger) -> None:
    """A payment that was never inserted cannot be replaced into being."""
    payment = make_payment()
    assert not await ledger.replace(payment, settled(payment))
    assert await ledger.find(payment.challenge_id) is None


async def test_of_fifty_moves_from_one_revision_one_is_made(ledger: Ledger) -> None:
    """Fifty workers that saw the same revision: one wins, and its move is what is found."""
    before = make_payment()
    await ledger.insert(before)
    moves = [replace(settled(before), reason=str(number)) for number in range(50)]
    answers = await asyncio.gather(*(ledger.replace(before, after) for after in moves))
    assert answers.count(True) == 1
    assert await ledger.find(before.challenge_id) == moves[answers.index(True)]


@pytest.mark.parametrize(
    "changes", [{"revision": 0}, {"revision": 2}, {"challenge_id": "other"}, {"proof_key": "other"}]
)
async def test_replace_refuses_what_is_not_the_next_revision(
    ledger: Ledger, changes: dict[str, object]
) -> None:
    """A caller's bug is a `ValueError`, and the payment stays as it was."""
    before = make_payment()
    await ledger.insert(before)
    with pytest.raises(ValueError, match=r"keeps its|comes next"):
        await ledger.replace(before, replace(settled(before), **changes))
    assert await ledger.find(before.challenge_id) == before


async def test_open_again_does_nothing(ledger: Ledger) -> None:
    """Opening a ledger that is open keeps what is in it."""
    payment = make_payment()
    await ledger.insert(payment)
    await asyncio.gather(ledger.open(), ledger.open())
    assert await ledger.find(payment.challenge_id) == payment


async def test_a_ledger_can_be_opened_after_it_was_closed(ledger: Ledger) -> None:
    """Closing twice is no error, and what was written is there after the next opening."""
    payment = make_payment()
    await ledger.insert(payment)
    await ledger.close()
    await ledger.close()
    await ledger.open()
    assert await ledger.find(payment.challenge_id) == payment


async def test_a_cancelled_write_is_done_and_harms_no_other(ledger: Ledger) -> None:
    """A caller that goes away after asking does not take its write along, nor its neighbours'."""
    payments = [make_payment() for _ in range(20)]
    tasks = [asyncio.create_task(ledger.insert(payment)) for payment in payments]
    await asyncio.sleep(0)  # each has asked
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for payment in payments:
        while await ledger.find(payment.challenge_id) != payment:
            await asyncio.sleep(0.001)
