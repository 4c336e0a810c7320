"""Two ways of sending money back: whoever hands out the addresses may have it, or else the seller sends it.

Which of them has begun a refund is told by what was drafted, or by what the world calls it: a transfer by its
transaction. It stays with that one, whatever the other could do by now.
"""

from __future__ import annotations

import re
from typing import Final, Protocol, runtime_checkable

from coinslot.methods.tempo.wire.transaction import TRANSACTION_TYPE
from coinslot.payments.method import Recovery, Repayment, Repays, Settlement

_HASH: Final = re.compile(r"0x[0-9a-f]{64}")


@runtime_checkable
class RepaysWhatItHas(Repays, Protocol):
    """Hands out addresses, and sends back money that came there, if it has got it."""

    async def has(self, repayment: Repayment) -> bool:
        """Whether it has. Raises `RefundError` if it cannot find out."""
        ...


def choose_repayer(recipients: object, account: Repays) -> Repays:
    """Who sends back what came to `recipients`: they, if they can, and `account` what they have not got."""
    if isinstance(recipients, RepaysWhatItHas):
        return Repayers(recipients, account)
    return recipients if isinstance(recipients, Repays) else account


class Repayers:
    """`holder` sends back what it has, and `account` the rest, by transfers."""

    def __init__(self, holder: RepaysWhatItHas, account: Repays) -> None:
        self._holder = holder
        self._account = account

    async def draft_repayment(self, repayment: Repayment) -> Recovery:
        """What it takes to send it back once. Raises `RefundError`."""
        repayer = self._begun_by(repayment)
        if repayer is None:
            repayer = self._holder if await self._holder.has(repayment) else self._account
        return await repayer.draft_repayment(repayment)

    async def repay(self, repayment: Repayment) -> Settlement:
        """Send it back."""
        return await (self._begun_by(repayment) or self._account).repay(repayment)

    async def look_up_repayment(self, repayment: Repayment) -> Settlement:
        """What became of it."""
        return await (self._begun_by(repayment) or self._account).look_up_repayment(repayment)

    def _begun_by(self, repayment: Repayment) -> Repays | None:
        if repayment.recovery.data:
            is_transfer = repayment.recovery.data[0] == TRANSACTION_TYPE
        elif repayment.reference is not None:
            is_transfer = _HASH.fullmatch(repayment.reference) is not None
        else:
            return None
        return self._account if is_transfer else self._holder
