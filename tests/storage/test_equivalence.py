"""The ledgers are the same thing: whatever is asked of them, in any order, they answer alike."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from msgspec.structs import replace

from coinslot.errors import AlreadyClaimed
from coinslot.payments.ledger import Ledger, Payment, State
from coinslot.storage import MemoryLedger, SQLiteLedger
from ledgers import Clock, make_payment

T = TypeVar("T")

challenges = st.sampled_from(["a", "b", "c"])
proofs = st.sampled_from(["p", "q", "r"])
owners = st.sampled_from(["one", "two"])
states = st.sampled_from(State)


class Ledgers(RuleBasedStateMachine):
    """Asks both ledgers the same and compares."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.clock = Clock()
        self.seen: list[Payment] = []
        self.sqlite = SQLiteLedger(Path(self.directory.name) / "ledger.db", clock=self.clock)
        self.memory = MemoryLedger(clock=self.clock)
        self.loop.run_until_complete(self.sqlite.open())

    def teardown(self) -> None:
        self.loop.run_until_complete(self.sqlite.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self.directory.cleanup()

    def ask(self, question: Callable[[Ledger], Awaitable[T]]) -> T | str:
        """Both ledgers' answer, which is one and the same."""

        async def answer(ledger: Ledger) -> T | str:
            try:
                return await question(ledger)
            except AlreadyClaimed as error:
                return error.by

        answers = [self.loop.run_until_complete(answer(ledger)) for ledger in (self.memory, self.sqlite)]
        assert answers[0] == answers[1]
        return answers[0]

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
            if self.ask(lambda ledger: ledger.replace(before, after)):
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

    @rule()
    def restart(self) -> None:
        """The SQLite ledger is closed and opened; the other has nothing to do."""
        self.loop.run_until_complete(self.sqlite.close())
        self.loop.run_until_complete(self.sqlite.open())


Ledgers.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestLedgersAnswerAlike = Ledgers.TestCase
