"""The ledger: where the truth about every payment is kept, and the contract that a store of it fulfils.

Beside the payments a ledger keeps their refunds, answers to be given again, what methods note for themselves
(`Records`), and the leases that keep concurrent work on one challenge out.
"""

from __future__ import annotations

from typing import Protocol

from coinslot.payments.answers import Answers
from coinslot.payments.books import Books
from coinslot.payments.leases import Leases
from coinslot.payments.payment import Payment
from coinslot.payments.records import Records
from coinslot.payments.refunds import RefundLedger


class Ledger(RefundLedger, Answers, Records, Books, Leases, Protocol):
    """A store of payments. Those that come with Coinslot are in `coinslot.storage`.

    Calls may come from any number of tasks and event loops, and from several processes where the store can be
    shared. Each is atomic, and sees every write that had returned before it was made.

    Any may raise `LedgerError` when the store cannot answer. A write that ended so, or whose caller was
    cancelled, may still have been done: `find` tells.

    What a call wrote is durable when it returns: it survives a crash of the process and, where the store has
    a disk, of the machine. Leases are not: one need only survive the processes that it keeps out. What is
    written is read as it was, to the last base unit and the last character; what a store cannot hold (text
    that is not Unicode, say) is a `LedgerError`, and nobody else's.

    Payments, refunds and records stay until somebody deletes them. Leases and answers end, by the store's
    clock: that of the machine in memory and SQLite, the database's own in PostgreSQL. What has ended is
    cleared away by what comes.
    """

    async def open(self) -> None:
        """Connect and migrate. Called before anything else; calling it again does nothing.

        Raises `ConfigurationError` for a store that this release cannot use.
        """
        ...

    async def close(self) -> None:
        """Finish what was asked for and let go. `open` may follow."""
        ...

    async def find(self, challenge_id: str) -> Payment | None:
        """The payment for this challenge."""
        ...

    async def find_by_proof(self, proof_key: str) -> Payment | None:
        """The payment with this proof."""
        ...

    async def find_by_reference(self, reference: str) -> Payment | None:
        """The payment that the world knows by this reference; the newest, should there be several."""
        ...

    async def insert(self, payment: Payment) -> None:
        """Write down a new payment. Raises `AlreadyClaimed` if its challenge or its proof has one.

        Of any number of payments for the same challenge, or with the same proof, one is written. A payment
        that clashes on both is `AlreadyClaimed` by `"challenge"`.
        """
        ...

    async def replace(self, before: Payment, after: Payment) -> bool:
        """Compare-and-set: write `after` if the payment is still at `before.revision`, else return False.

        `after` has the same challenge and proof, and a revision of one more; `ValueError` if it does not. Of
        any number of replacements of one revision, one is written.
        """
        ...
