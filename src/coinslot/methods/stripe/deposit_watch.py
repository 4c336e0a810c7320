"""The watch on the chain: every transfer to an address that somebody was told, from block to block.

A transfer that is a payment of ours is matched with it. What is left when nobody can show it for a challenge
any more (too late, of another amount, in another token, or whose payer never came back) is kept as
unapplied: it is to be sent back, and the address is never handed out again.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from coinslot.errors import LedgerError
from coinslot.methods.stripe.deposit import Deposit, Policy, Site, State, key_of
from coinslot.methods.stripe.shelves import Item, Shelf
from coinslot.payments import payment as payments
from coinslot.payments.desk import Desk
from coinslot.payments.method import Proof
from coinslot.payments.payment import Payment

logger = logging.getLogger("coinslot.stripe")

WATCHED: Final = (State.FREE, State.RESERVED, State.TOUCHED, State.CLOSING, State.CLOSED)

_EVERY: Final = 60.0  # seconds between two looks at the chain
_SOONEST: Final = 5.0  # seconds, if somebody waits for a later block
_OVERLAP: Final = 120  # blocks that are looked at again: nodes behind one URL may lag
_SPAN: Final = 20_000  # blocks after which it is written down how far it got
_AGAIN: Final = 60.0  # seconds between two looks for a transfer's payment
_AT_ONCE: Final = 100  # transfers that are decided in one round
_TRIES: Final = 5

_DECIDED: Final = frozenset(
    (payments.State.SETTLED, payments.State.DELIVERED, payments.State.UNDELIVERED, payments.State.UNAPPLIED)
)
_NAME: Final = "cursor"
_HERE: Final = "here"
_OPEN: Final = "open"


class Transfer(Protocol):
    """A transfer on the chain."""

    @property
    def token(self) -> str:
        """The token's address."""
        ...

    @property
    def sender(self) -> str:
        """Whose tokens they were."""
        ...

    @property
    def recipient(self) -> str:
        """Whose they are."""
        ...

    @property
    def amount(self) -> int:
        """Base units."""
        ...

    @property
    def transaction(self) -> str:
        """The hash, in lower case."""
        ...

    @property
    def index(self) -> int:
        """The log's place in its block."""
        ...


class Chain(Protocol):
    """The chain that deposits are paid on. Its calls may raise `CoinslotError`."""

    async def latest_block(self) -> tuple[int, int]:
        """The number of the latest block, and its timestamp in Unix seconds."""
        ...

    def transfers(self, *, to: Iterable[str], since_block: int, until_block: int) -> AsyncIterator[Transfer]:
        """The transfers of any token to these addresses, from block to block, inclusive."""
        ...


class Cursor(Struct, frozen=True):
    """How far the chain was looked at: the block, and its timestamp in Unix seconds."""

    block: int
    time: int


class Arrival(Struct, frozen=True, kw_only=True):
    """A transfer whose payment is still looked for, until `deadline`, in Unix seconds.

    `twin` says that the same transaction made the same transfer before: it can be no payment.
    """

    token: str
    sender: str
    recipient: str
    amount: int
    transaction: str
    index: int
    twin: bool
    deadline: float


class Watch:
    """Looks at the chain. One worker at a time does."""

    def __init__(
        self,
        desk: Desk,
        chain: Chain,
        deposits: Shelf[Deposit],
        arrivals: Shelf[Arrival],
        cursors: Shelf[Cursor],
        *,
        policy: Policy,
        site: Site,
    ) -> None:
        self._desk = desk
        self._chain = chain
        self._deposits = deposits
        self._arrivals = arrivals
        self._cursors = cursors
        self._policy = policy
        self._site = site

    async def look(self, now: float, *, also: Iterable[str], is_urgent: bool) -> Cursor:
        """Take note of every transfer there was since the last look, if it is time for one.

        `also` are addresses that are watched beside those of deposits. Raises what the chain raises.
        """
        item = await self._cursors.find(_NAME)
        if item is not None and now < item.due - (_EVERY - _SOONEST if is_urgent else 0.0):
            return item.value
        # First the block, then the addresses: one that is not among them was told to nobody before it.
        block, time = await self._chain.latest_block()
        if item is None:
            start = Cursor(block, time)
            await self._cursors.put(_NAME, start, state=_HERE, due=now + _EVERY)
            return start
        told = [each.value for each in await self._deposits.select(*WATCHED) if each.value.lapses > 0]
        addresses = [*(deposit.address for deposit in told), *also]
        while True:
            last = min(item.value.block + _SPAN, block)
            if addresses:
                await self._read(addresses, item.value.block, last, now)
            if last >= block:
                break
            item = await self._move(item, replace(item.value, block=last), due=now)
        return (await self._move(item, Cursor(block, time), due=now + _EVERY)).value

    async def _move(self, item: Item[Cursor], to: Cursor, *, due: float) -> Item[Cursor]:
        moved = await self._cursors.change(item, value=to, due=due)
        if moved is None:
            raise LedgerError("two workers look at the chain at the same time")
        return moved

    async def _read(self, addresses: list[str], done: int, last: int, now: float) -> None:
        seen: Counter[tuple[str, str, str, int]] = Counter()
        async for made in self._chain.transfers(
            to=addresses, since_block=max(done + 1 - _OVERLAP, 0), until_block=last
        ):
            like = made.transaction, key_of(made.recipient), made.token.lower(), made.amount
            await self._take_note(made, twin=seen[like] > 0, now=now)
            seen[like] += 1

    async def _take_note(self, made: Transfer, *, twin: bool, now: float) -> None:
        """Match a transfer with its payment, or write it down to be looked for."""
        deposit = await self._touch(made.recipient, now)
        waits = deposit is None or deposit.lapses + self._policy.grace > now
        arrival = Arrival(
            token=made.token,
            sender=made.sender,
            recipient=made.recipient,
            amount=made.amount,
            transaction=made.transaction,
            index=made.index,
            twin=twin,
            deadline=now + self._policy.settles_after if waits else now,
        )
        if not await self._match(arrival):
            key = f"{arrival.transaction}:{arrival.index}"
            await self._arrivals.put(key, arrival, state=_OPEN, due=now)

    async def decide(self, now: float) -> None:
        """Match the transfers that were written down; keep those that are no payments as unapplied."""
        for item in await self._arrivals.select(_OPEN, until=now, limit=_AT_ONCE):
            arrival = item.value
            if not await self._match(arrival):
                if now < arrival.deadline or await self._is_undecided(arrival):
                    left = arrival.deadline - now
                    await self._arrivals.change(item, due=now + (left if 0 < left < _AGAIN else _AGAIN))
                    continue
                await self._keep(arrival)
            await self._arrivals.remove(item)

    async def _match(self, arrival: Arrival) -> bool:
        """Whether the transfer is a payment's, or kept as unapplied already. Notes whom it paid."""
        payment = await self._payment(arrival)
        if payment is None or payment.state not in _DECIDED:
            return False
        if payment.state is not payments.State.UNAPPLIED:
            await self._touch(arrival.recipient, None, paid_by=payment.challenge_id)
        return True

    async def _is_undecided(self, arrival: Arrival) -> bool:
        payment = await self._payment(arrival)
        return payment is not None and payment.state in (payments.State.SETTLING, payments.State.UNKNOWN)

    async def _payment(self, arrival: Arrival) -> Payment | None:
        """The payment that this transfer makes."""
        if arrival.twin:
            return None
        found = await self._desk.find(
            proof_key=f"tempo:{self._site.chain_id}:{arrival.transaction}", reference=arrival.transaction
        )
        if found is None or found.recipient is None or key_of(found.recipient) != key_of(arrival.recipient):
            return None
        is_same = (found.currency.lower(), found.amount) == (arrival.token.lower(), arrival.amount)
        return found if is_same else None

    async def _keep(self, arrival: Arrival) -> None:
        """Money that came and pays for nothing."""
        received = Proof(
            key=f"tempo:{self._site.chain_id}:{arrival.transaction}:{arrival.index}",
            reference=arrival.transaction,
            amount=arrival.amount,
            currency=arrival.token,
            recipient=arrival.recipient,
            payer=arrival.sender,
        )
        reason = await self._reason(arrival)
        if await self._desk.unapplied(received, reason) is not None:
            logger.warning("%s pays for nothing: %s", arrival.transaction, reason)

    async def _reason(self, arrival: Arrival) -> str:
        if arrival.token.lower() != self._site.currency.lower():
            return f"It came in {arrival.token}; {self._site.currency} is what was asked for."
        item = await self._deposits.find(key_of(arrival.recipient))
        asked = None if item is None else item.value.amount * self._site.units_per_cent
        if asked is not None and arrival.amount != asked:
            return f"It was {arrival.amount} base units; exactly {asked} were asked for."
        return "It came too late, or without the memo of a challenge, or nobody ever showed it."

    async def _touch(self, address: str, now: float | None, *, paid_by: str | None = None) -> Deposit | None:
        """Note that money came to a deposit's address, and what it paid for. None if it is no deposit's."""
        for _ in range(_TRIES):
            item = await self._deposits.find(key_of(address))
            if item is None:
                return None
            after = _touched(item, now, paid_by)
            if after is None:
                return item.value
            state = State.TOUCHED if item.state in (State.FREE, State.RESERVED) else None
            due = now if state is not None and now is not None else None
            changed = await self._deposits.change(item, value=after, state=state, due=due)
            if changed is not None:
                return changed.value
        raise LedgerError(f"the deposit at {address} is changed all the time")


def _touched(item: Item[Deposit], now: float | None, paid_by: str | None) -> Deposit | None:
    """The deposit after that; None if it is so already."""
    deposit = item.value
    after = replace(
        deposit,
        touched=deposit.touched or now or deposit.touched,
        paid_by=paid_by if paid_by is not None else deposit.paid_by,
    )
    return None if after == deposit and item.state not in (State.FREE, State.RESERVED) else after
