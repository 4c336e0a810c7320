"""What `coinslot.payments.records.Records` promises, asked of every ledger."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from coinslot.payments.ledger import Ledger
from ledgers import NOW, make_record


async def test_a_record_is_found_as_it_was_written(ledger: Ledger) -> None:
    """Every member survives; another key and another kind have nothing."""
    record = make_record(data=b"\x00\xff", revision=4)
    assert await ledger.insert_record(record)
    assert await ledger.find_record(record.kind, record.key) == record
    assert await ledger.find_record(record.kind, "other") is None
    assert await ledger.find_record("other", record.key) is None


async def test_a_name_has_one_record(ledger: Ledger) -> None:
    """A second one of the same name is refused, and the first one stays; another kind is another name."""
    first = make_record()
    assert await ledger.insert_record(first)
    assert not await ledger.insert_record(make_record(key=first.key, data=b"second"))
    assert await ledger.insert_record(make_record(key=first.key, kind="other"))
    assert await ledger.find_record(first.kind, first.key) == first


async def test_of_fifty_records_of_one_name_one_is_written(ledger: Ledger) -> None:
    """Fifty at once: one is written and found."""
    records = [make_record(key="the one", data=bytes([n])) for n in range(50)]
    answers = await asyncio.gather(*(ledger.insert_record(record) for record in records))
    assert answers.count(True) == 1
    assert await ledger.find_record(records[0].kind, "the one") == records[answers.index(True)]


async def test_replace_writes_the_next_revision(ledger: Ledger) -> None:
    """State, time and data may change; the record moves from one list to the other."""
    before = make_record(state="free")
    after = replace(before, state="leased", due=NOW + 9, data=b"new", revision=1)
    assert await ledger.insert_record(before)
    assert await ledger.replace_record(before, after)
    assert await ledger.find_record(before.kind, before.key) == after
    assert await ledger.select_records(before.kind, "free", until=NOW + 10, limit=10) == []
    assert await ledger.select_records(before.kind, "leased", until=NOW + 10, limit=10) == [after]


async def test_of_fifty_moves_from_one_revision_one_is_made(ledger: Ledger) -> None:
    """Fifty workers that saw the same revision: one wins, be it to change the record or to delete it."""
    before = make_record()
    assert await ledger.insert_record(before)
    moves = [replace(before, data=bytes([n]), revision=1) if n % 2 else None for n in range(50)]
    answers = await asyncio.gather(*(ledger.replace_record(before, after) for after in moves))
    assert answers.count(True) == 1
    assert await ledger.find_record(before.kind, before.key) == moves[answers.index(True)]


async def test_a_deleted_record_leaves_its_name(ledger: Ledger) -> None:
    """After it is gone it is not found, counted or deleted again, and a new one can have its name."""
    record = make_record()
    assert await ledger.insert_record(record)
    assert await ledger.replace_record(record, None)
    assert not await ledger.replace_record(record, None)
    assert await ledger.find_record(record.kind, record.key) is None
    assert await ledger.count_records(record.kind, record.state) == 0
    assert await ledger.insert_record(record)


@pytest.mark.parametrize("changes", [{"revision": 0}, {"revision": 2}, {"kind": "other"}, {"key": "other"}])
async def test_replace_refuses_what_is_not_the_next_revision(
    ledger: Ledger, changes: dict[str, object]
) -> None:
    """A caller's bug is a `ValueError`, and the record stays as it was."""
    before = make_record()
    assert await ledger.insert_record(before)
    with pytest.raises(ValueError, match=r"keeps its|comes next"):
        await ledger.replace_record(before, replace(before, **({"revision": 1} | changes)))
    assert await ledger.find_record(before.kind, before.key) == before


async def test_records_are_listed_as_they_fall_due(ledger: Ledger) -> None:
    """Those of one kind and state that are due, the longest due first, no more than asked for."""
    due = [make_record(key=f"k{at}", due=NOW + at) for at in (2, 0, 1, 3)]
    for record in (*due, make_record(kind="other", due=NOW), make_record(state="other", due=NOW)):
        assert await ledger.insert_record(record)
    kind, state = due[0].kind, due[0].state
    assert await ledger.select_records(kind, state, until=NOW + 2, limit=10) == [due[1], due[2], due[0]]
    assert await ledger.select_records(kind, state, until=NOW + 2, limit=2) == [due[1], due[2]]
    assert await ledger.select_records(kind, state, until=NOW - 1, limit=10) == []
    assert await ledger.count_records(kind, state) == 4


async def test_records_that_fall_due_together_are_in_the_order_of_their_keys(ledger: Ledger) -> None:
    """Code points, not a language, decide: capitals come before small letters."""
    for key in ("b", "Ä", "a", "B"):
        assert await ledger.insert_record(make_record(key=key))
    record = make_record()
    found = await ledger.select_records(record.kind, record.state, until=NOW, limit=10)
    assert [each.key for each in found] == ["B", "a", "b", "Ä"]
