"""Who is paid: an address of the seller's own, or one that somebody else has ready for each challenge.

`charge(recipient=…)` takes either. What hands out addresses is asked for them while a payer waits who has
paid nothing yet, so it has them ready: it never asks the world then. That it does in the background.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from coinslot.methods.tempo.arrivals import Arrival
from coinslot.payments.method import Proof

if TYPE_CHECKING:
    from coinslot.payments.desk import Desk

_NEVER: Final = 24 * 3600.0  # seconds after which who has nothing to do is asked again


class Chain(Protocol):
    """What the chain tells whoever hands out addresses on it. Its calls may raise `CoinslotError`."""

    async def latest_block(self) -> tuple[int, int]:
        """The number of the latest block, and its timestamp in Unix seconds."""
        ...

    def transfers(self, *, to: Iterable[str], since_block: int, until_block: int) -> AsyncIterator[Arrival]:
        """The transfers of any token to these addresses, from block to block, inclusive."""
        ...


@runtime_checkable
class Recipients(Protocol):
    """Hands out an address for each challenge, and looks after what comes in there."""

    def serve(self, chain: Chain, *, chain_id: int, currency: str, decimals: int) -> None:
        """Hand out addresses on this chain, for this token, from now on. Raises `ConfigurationError`."""
        ...

    def takes(self, amount: int, /) -> bool:
        """Whether so many base units can be paid to it at all. It may get addresses ready for them."""
        ...

    def draw(self, amount: int, /) -> str | None:
        """An address for one challenge over so many base units. None: there is none to be had right now."""
        ...

    def keep(self, desk: Desk) -> None:
        """Have this desk from now on (`Keeps`)."""
        ...

    async def tend(self) -> float:
        """Do what is due (`Tends`)."""
        ...

    async def settling(self, proof: Proof) -> None:
        """A payment to one of its addresses is about to be settled. Raises `LedgerError`."""
        ...

    async def aclose(self) -> None:
        """Let go of connections."""
        ...


class OneRecipient:
    """An address of the seller's own: for every challenge the same, and nothing to look after."""

    def __init__(self, address: str) -> None:
        self.address = address

    def serve(self, chain: Chain, *, chain_id: int, currency: str, decimals: int) -> None:
        """It is an address on any chain."""

    def takes(self, _amount: int, /) -> bool:
        """Anything, and also nothing."""
        return True

    def draw(self, _amount: int, /) -> str:
        """The address."""
        return self.address

    def keep(self, desk: Desk) -> None:
        """Nothing to keep."""

    async def tend(self) -> float:
        """Nothing to do."""
        return _NEVER

    async def settling(self, proof: Proof) -> None:
        """Nothing to note."""

    async def aclose(self) -> None:
        """Nothing to let go of."""
