"""The ledgers are the same thing: whatever is asked of them, in any order, they answer alike."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import ClassVar, TypeVar

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from msgspec.structs import replace

from coinslot.errors import AlreadyClaimed, LedgerError
from coinslot.payments.books import Query
from coinslot.payments.ledger import Ledger
from coinslot.payments.payment import Payment, State
from coinslot.payments.refunds import REFUND_MOVES, Refund, RefundState, advance_refund
from coinslot.storage import MemoryLedger, PostgresLedger, SQLiteLedger
from ledgers import NOW, Clock, empty, make_answer, make_payment, make_record, make_refund
from postgres import PostgresServer

T = TypeVar("T")

challenges = st.sampled_from(["a", "b", "c"])
proofs = st.sampled_from(["p", "q", "r"])
owners = st.sampled_from(["one", "two"])
states = st.sampled_from(State)
amounts = st.integers(1, 5)


@pytest.fixture(scope="module", autouse=True)
def database(postgres: PostgresServer) -> Iterator[None]:
    """A database for the machine below, which can ask for no fixture."""
    Ledgers.url = postgres.new_database()
    yield
    del Ledgers.url


class Ledgers(RuleBasedStateMachine):
    """Asks all ledgers the same and compares."""

    url: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.clock = Clock()
        self.seen: list[Payment] = []
        self.refunds: list[Refund] = []
        postgres = PostgresLedger(self.url, patience=30, clock=self.clock)
        self.ledgers: list[Ledger] = [
            MemoryLedger(clock=self.clock),
            SQLiteLedger(Path(self.directory.name) / "ledger.db", clock=self.clock),
            postgres,
        ]
        self.runner.run(self.open(postgres))

    async def open(self, postgres: PostgresLedger) -> None:
        """Every ledger, with nothing in it."""
        for ledger in self.ledgers:
            await ledger.open()
        await empty(postgres)

    async def close(self) -> None:
        """Every ledger."""
        for ledger in self.ledgers:
            await ledger.close()

    def teardown(self) -> None:
        self.runner.run(self.close())
        self.runner.close()
        self.directory.cleanup()

    def ask(self, question: Callable[[Ledger], Awaitable[T]]) -> T | str:
        """All ledgers' answer, which is one and the same."""

        async def answer(ledger: Ledger) -> T | str:
            try:
                return await question(ledger)
            except AlreadyClaimed as error:
                return error.by
            except LedgerError as error:
                return str(error)

        first, *others = [self.runner.run(answer(ledger)) for ledger in self.ledgers]
        assert others == [first] * len(others)
        return first

    @rule(challenge=challenges, proof=proofs, state=states)
    def insert(self, challenge: str, proof: str, state: State) -> None:
        """A new payment, which may clash."""
        payment = make_payment(challenge_id=challenge, proof_key=proof, state=state)
        if self.ask(lambda ledger: ledger.insert(payment)) is None:
            self.seen.append(payment)

    @rule(data=st.data(), state=states, amount=st.integers(0, 2**256))
    def replace(self, data: st.DataObject, state: State, amount: int) -> None:
        """A move from a revision that was once seen, and may be stale."""
        if self.seen:
            before = data.draw(st.sampled_from(self.seen))
            after = replace(before, state=state, amount=amount, revision=before.revision + 1)
            if self.ask(lambda ledger: ledger.replace(before, after)) is True:
                self.seen.append(after)

    @rule(challenge=challenges)
    def find(self, challenge: str) -> None:
        """What a challenge has."""
        self.ask(lambda ledger: ledger.find(challenge))

    @rule(challenge=challenges, owner=owners, seconds=st.sampled_from([1.0, 2.5, 10.0]))
    def lease(self, challenge: str, owner: str, seconds: float) -> None:
        """Take or renew."""
        self.ask(lambda ledger: ledger.lease(challenge, owner, seconds))

    @rule(challenge=challenges, owner=owners)
    def release(self, challenge: str, owner: str) -> None:
        """Give back."""
        self.ask(lambda ledger: ledger.release(challenge, owner))

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.5, 10.0]))
    def wait(self, seconds: float) -> None:
        """Time goes by."""
        self.clock.now += seconds

    @rule(data=st.data(), amount=amounts)
    def refund(self, data: st.DataObject, amount: int) -> None:
        """A refund of a payment, which may be too much."""
        if self.seen:
            refund = make_refund(data.draw(st.sampled_from(self.seen)), amount=amount)
            if self.ask(lambda ledger: ledger.insert_refund(refund)) is True:
                self.refunds.append(refund)

    @rule(data=st.data(), to=st.sampled_from(RefundState))
    def move_refund(self, data: st.DataObject, to: RefundState) -> None:
        """A move from a revision that was once seen, and may be stale."""
        if self.refunds:
            before = data.draw(st.sampled_from(self.refunds))
            if to in REFUND_MOVES[before.state]:
                after = advance_refund(before, to, at=self.clock.now)
                if self.ask(lambda ledger: ledger.replace_refund(before, after)) is True:
                    self.refunds.append(after)

    @rule(challenge=challenges)
    def select_refunds(self, challenge: str) -> None:
        """What goes back of a payment, and what of all is on its way."""
        self.ask(lambda ledger: ledger.select_refunds(challenge))
        self.ask(lambda ledger: ledger.select_open_refunds(until=self.clock.now, limit=2))

    @rule(some=st.frozensets(states), newest_first=st.booleans(), limit=st.integers(1, 3))
    def books(self, some: frozenset[State], newest_first: bool, limit: int) -> None:
        """A page, and the sums."""
        query = Query(states=some)
        self.ask(lambda ledger: ledger.select(query, newest_first=newest_first, limit=limit))
        self.ask(lambda ledger: ledger.totals(query))

    @rule(challenge=challenges, seconds=st.sampled_from([1.0, 2.5, 10.0]))
    def answer(self, challenge: str, seconds: float) -> None:
        """Keep an answer."""
        kept = make_answer(challenge_id=challenge, until=self.clock.now + seconds)
        self.ask(lambda ledger: ledger.keep_answer(kept))

    @rule(challenge=challenges)
    def find_answer(self, challenge: str) -> None:
        """What is kept for a challenge."""
        self.ask(lambda ledger: ledger.find_answer(challenge))

    @rule(key=challenges, state=owners, revision=st.integers(0, 2), gone=st.booleans())
    def record(self, key: str, state: str, revision: int, gone: bool) -> None:
        """A record: new, replaced or deleted."""
        record = make_record(key=key, state=state, revision=revision)
        after = None if gone else replace(record, revision=revision + 1)
        self.ask(lambda ledger: ledger.insert_record(record))
        self.ask(lambda ledger: ledger.replace_record(record, after))
        self.ask(lambda ledger: ledger.select_records(record.kind, state, until=NOW, limit=2))
        self.ask(lambda ledger: ledger.count_records(record.kind, state))

    @rule()
    def restart(self) -> None:
        """All are closed and opened; the one in memory has nothing to do."""
        for ledger in self.ledgers:
            self.runner.run(ledger.close())
            self.runner.run(ledger.open())


Ledgers.TestCase.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)
TestLedgersAnswerAlike = Ledgers.TestCase
