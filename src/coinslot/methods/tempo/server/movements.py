"""What the chain knows of the seller's money: transfers to its recipients, and its refunds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable
from typing import Final

from msgspec.structs import replace

from coinslot.methods.tempo.arrivals import Arrival
from coinslot.methods.tempo.node import Node
from coinslot.methods.tempo.wire.memo import is_refund
from coinslot.payments.method import Movement

_WINDOW: Final = 5_000  # blocks that are read at once: most of an hour


class Movements:
    """Reads them from `node`.

    `recipients` are the seller's own. `partners` are those whose parts of a payment count as the seller's,
    since the ledger has the payment as a whole. `refund_account` is where refunds come from.
    """

    def __init__(
        self,
        node: Node,
        *,
        recipients: Collection[str],
        partners: Collection[str],
        refund_account: str | None,
    ) -> None:
        self._node = node
        self._recipients = frozenset(recipients)
        self._partners = frozenset(partners) - self._recipients
        self._refund_account = refund_account

    async def read(
        self, *, since: float, until: float, recipients: frozenset[str]
    ) -> AsyncIterator[Movement]:
        """Every payment that was made from `since` to `until`, in Unix seconds. Raises `RpcError`."""
        await self._node.check_chain()
        recipients |= self._recipients
        latest, _ = await self._node.latest_block()
        first = await self._node.first_block(since, latest)
        last = await self._node.first_block(until, latest) - 1
        for start in range(first, last + 1, _WINDOW):
            end = min(start + _WINDOW - 1, last)
            arrivals = [(one, False) for one in await self._payments(start, end, recipients)]
            arrivals += [(one, True) for one in await self._refunds(start, end)]
            times = await self._node.block_times(one.block for one, _ in arrivals if one.at is None)
            for one, is_back in arrivals:
                yield Movement(
                    reference=one.transaction,
                    amount=one.amount,
                    currency=one.token,
                    at=times[one.block] if one.at is None else one.at,
                    payer=one.recipient if is_back else one.sender,
                    is_refund=is_back,
                )

    async def _payments(self, start: int, end: int, recipients: frozenset[str]) -> Iterable[Arrival]:
        """What came in, in these blocks: of each transaction, token and payer all that is the seller's."""
        paid: dict[tuple[str, str, str], Arrival] = {}
        for one in await self._arrivals(start, end, to=recipients):
            _add(paid, one)
        if paid and self._partners:
            for one in await self._arrivals(start, end, to=self._partners - recipients):
                if _payment(one) in paid:
                    _add(paid, one)
        return paid.values()

    async def _arrivals(self, start: int, end: int, *, to: Collection[str]) -> list[Arrival]:
        if not to:
            return []
        found = self._node.transfers(to=to, since_block=start, until_block=end)
        return [one async for one in found if one.amount > 0]

    async def _refunds(self, start: int, end: int) -> list[Arrival]:
        """What went back. The account may send other transfers: a refund is known by its memo."""
        if self._refund_account is None:
            return []
        found = self._node.transfers(
            sent_by=[self._refund_account], since_block=start, until_block=end, with_memo=True
        )
        return [one async for one in found if one.memo is not None and is_refund(one.memo)]


def _payment(one: Arrival) -> tuple[str, str, str]:
    """What transfers have in common that are one payment."""
    return one.transaction, one.token, one.sender


def _add(paid: dict[tuple[str, str, str], Arrival], one: Arrival) -> None:
    known = paid.get(_payment(one))
    paid[_payment(one)] = one if known is None else replace(known, amount=known.amount + one.amount)
