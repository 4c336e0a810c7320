"""The stock: the deposits that this worker has reserved, to be handed out of memory.

Drawing asks nobody: whoever is asked for a price has a caller waiting who has paid nothing. What is drawn
stays reserved until it lapses. What is not is reserved anew in time, as long as somebody asks for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from msgspec.structs import replace

from coinslot.methods.stripe.deposit import Deposit, Policy, State
from coinslot.methods.stripe.shelves import Item, Shelf

_SHARE: Final = 10  # of a pool, what a worker has ready while nobody asks
_CHECK_EVERY: Final = 30.0  # seconds between two looks whether money has come to what is ready


class Stock:
    """What is ready for one price. `asked` is when it was last asked for, in Unix seconds."""

    def __init__(self, *, now: float) -> None:
        self.asked = now
        self._ready: deque[Item[Deposit]] = deque()
        self._drawn = 0

    def __len__(self) -> int:
        return len(self._ready)

    def draw(self, until: float) -> str | None:
        """An address that is reserved until then; None if there is none."""
        self._drawn += 1
        while True:
            try:
                deposit = self._ready.popleft().value
            except IndexError:
                return None
            if deposit.lapses >= until:
                return deposit.address

    def put(self, item: Item[Deposit]) -> None:
        """One more."""
        self._ready.append(item)

    def take(self) -> Item[Deposit] | None:
        """The one that lapses first, which then is not there to be drawn."""
        try:
            return self._ready.popleft()
        except IndexError:
            return None

    def wanted(self, pool: int) -> int:
        """How many there should be: a share, and more where they go fast. Asked once a round."""
        drawn, self._drawn = self._drawn, 0
        return min(max(1, pool // _SHARE, 2 * drawn), pool)


class Stocks:
    """The stocks of all prices, by cents. `clock` tells the time in Unix seconds."""

    def __init__(self, policy: Policy, clock: Callable[[], float]) -> None:
        self._policy = policy
        self._clock = clock
        self._stocks: dict[int, Stock] = {}
        self._checked = clock()

    def open(self, amount: int) -> None:
        """Have a stock for this price."""
        self._stocks.setdefault(amount, Stock(now=self._clock()))

    def draw(self, amount: int) -> str | None:
        """An address for one challenge over so many cents; None if there is none."""
        stock = self._stocks.get(amount)
        if stock is None:
            return None
        now = stock.asked = self._clock()
        return stock.draw(now + self._policy.hold)

    def asked(self) -> dict[int, float]:
        """When each price was last asked for."""
        return {amount: stock.asked for amount, stock in self._stocks.items()}

    async def replenish(self, shelf: Shelf[Deposit]) -> bool:
        """Reserve anew what is about to lapse, and more where there is little. Whether something is short."""
        if self._clock() >= self._checked + _CHECK_EVERY:
            self._checked = self._clock()
            await self._check(shelf)
        short: dict[int, int] = {}
        for amount, stock in self._stocks.items():
            if stock.asked + self._policy.idle <= self._clock():
                await self._release(stock, shelf)
                continue
            await self._renew(stock, shelf)
            if (missing := stock.wanted(self._policy.pool) - len(stock)) > 0:
                short[amount] = missing
        if not short:
            return False
        for item in await shelf.select(State.FREE):
            amount = item.value.amount
            if short.get(amount, 0) > 0 and await self._reserve(item, self._stocks[amount], shelf):
                short[amount] -= 1
        return any(missing > 0 for missing in short.values())

    async def release(self, shelf: Shelf[Deposit]) -> None:
        """Give back all that nobody has drawn."""
        for stock in self._stocks.values():
            await self._release(stock, shelf)

    async def _check(self, shelf: Shelf[Deposit]) -> None:
        """Drop what is ours no more: somebody who was told an address long ago may have paid there."""
        if any(self._stocks.values()):
            ours = {item.key: item.record.revision for item in await shelf.select(State.RESERVED)}
            for stock in self._stocks.values():
                for item in _taken(stock, len(stock)):
                    if ours.get(item.key) == item.record.revision:
                        stock.put(item)

    async def _renew(self, stock: Stock, shelf: Shelf[Deposit]) -> None:
        """The first half of a reservation is for handing out; then it is made anew, or given back."""
        soon = self._clock() + self._policy.reservation / 2
        for item in _taken(stock, len(stock)):
            if item.value.lapses > soon:
                stock.put(item)
            elif not await self._reserve(item, stock, shelf):
                await shelf.change(item, state=State.FREE, due=self._end(item))

    async def _release(self, stock: Stock, shelf: Shelf[Deposit]) -> None:
        for item in _taken(stock, len(stock)):
            await shelf.change(item, state=State.FREE, due=self._end(item))

    async def _reserve(self, item: Item[Deposit], stock: Stock, shelf: Shelf[Deposit]) -> bool:
        lapses = self._clock() + self._policy.reservation
        if lapses > self._end(item):
            return False
        reserved = await shelf.change(
            item,
            state=State.RESERVED,
            due=lapses + self._policy.grace,
            value=replace(item.value, lapses=lapses),
        )
        if reserved is not None:
            stock.put(reserved)
        return reserved is not None

    def _end(self, item: Item[Deposit]) -> float:
        """From when on a deposit is too old: Stripe may cancel its PaymentIntent some time."""
        return item.value.created + self._policy.lifetime


def _taken(stock: Stock, count: int) -> Iterable[Item[Deposit]]:
    """So many, one after the other, each taken out first: it cannot be drawn while it is worked on."""
    for _ in range(count):
        item = stock.take()
        if item is None:
            return
        yield item
