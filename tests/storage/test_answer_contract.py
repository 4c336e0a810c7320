"""What `coinslot.payments.answers.Answers` promises, asked of every ledger."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from coinslot.payments.answers import MAX_ANSWER
from coinslot.payments.ledger import Ledger
from ledgers import Clock, make_answer


async def test_an_answer_is_found_as_it_was_kept(ledger: Ledger) -> None:
    """Every byte survives, of the largest body too; headers keep their order and may occur twice."""
    headers = ((b"set-cookie", b"a"), (b"content-type", b"text/\xff"), (b"set-cookie", b"b"))
    answer = make_answer(headers=headers, body=bytes(range(256)) * (MAX_ANSWER // 256))
    assert await ledger.keep_answer(answer)
    assert await ledger.find_answer(answer.challenge_id) == answer
    assert await ledger.find_answer("nobody's") is None


async def test_a_payment_has_one_answer(ledger: Ledger) -> None:
    """A second one is refused, and the first one stays."""
    first = make_answer()
    assert await ledger.keep_answer(first)
    assert not await ledger.keep_answer(replace(first, body=b"second"))
    assert await ledger.find_answer(first.challenge_id) == first


async def test_of_fifty_answers_at_once_one_is_kept(ledger: Ledger) -> None:
    """Fifty for one payment: one is kept and found."""
    answers = [make_answer(challenge_id="the one", body=bytes([n])) for n in range(50)]
    kept = await asyncio.gather(*(ledger.keep_answer(answer) for answer in answers))
    assert kept.count(True) == 1
    assert await ledger.find_answer("the one") == answers[kept.index(True)]


async def test_an_answer_ends_at_its_time(ledger: Ledger, clock: Clock) -> None:
    """It is found until its last moment, and from then on there may be another."""
    answer = make_answer(until=clock.now + 10)
    assert await ledger.keep_answer(answer)
    clock.now += 9.75
    assert await ledger.find_answer(answer.challenge_id) == answer
    clock.now += 0.25
    assert await ledger.find_answer(answer.challenge_id) is None
    second = replace(answer, body=b"second", key=b"other", status=201, until=clock.now + 10)
    assert await ledger.keep_answer(second)
    assert await ledger.find_answer(answer.challenge_id) == second
