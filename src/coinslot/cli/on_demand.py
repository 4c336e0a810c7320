"""What a command pays with: methods that come to what they need only when there is something to pay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, Protocol

from msgspec import Struct

from coinslot.cli.interruption import held
from coinslot.cli.keys import NoAccount
from coinslot.cli.output import plain
from coinslot.cli.payer import Payer
from coinslot.methods import tempo
from coinslot.payments.method import ClientMethod, Payload, Quote
from coinslot.protocol import Challenge

_DONE: Final = {
    "transaction": "signed a transaction",
    "hash": "broadcast a transaction",
    "proof": "signed a proof",
}


class Settings(Struct, frozen=True, kw_only=True):
    """How to pay: what `tempo.account` is told beside the key."""

    network: str | None = None
    rpc_url: str | None = None
    mode: Literal["pull", "push"] | None = None
    auto_swap: bool = False
    slippage: str = "0.01"

    def account(self, key: tempo.SigningKey) -> tempo.TempoAccount:
        """What pays with `key`. Raises `ConfigurationError`."""
        return tempo.account(
            key,
            network=self.network,
            rpc_url=self.rpc_url,
            mode=self.mode,
            auto_swap=self.auto_swap,
            slippage=self.slippage,
        )


class Spending(Struct, frozen=True, kw_only=True):
    """A spend request that is to be paid with, and the Link that has it."""

    identifier: str
    auth_url: str
    api_url: str


class OnDemand(ClientMethod, Protocol):
    """A method of the command line's.

    `quotes` has the prices that were asked for, by challenge id, the last one last.
    """

    quotes: dict[str, Quote]

    def payer(self) -> str | None:
        """Who would pay, for people; None if there is nobody yet."""
        ...

    async def is_dead(self, payload: Payload) -> bool:
        """Whether a payment that was made took nothing and never will."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


def recipients(quote: Quote) -> str:
    """Who gets the money, as far as one line goes."""
    others = len(quote.shares)
    also = f" and {others} {'others' if others > 1 else 'other'}" if others else ""
    return f"{quote.recipient}{also}"


class TempoOnDemand:
    """`tempo/charge` for the account that `find_payer` finds, which is looked for when it is needed.

    A free answer and a price above the limit never ask for a passphrase, nor need an account.
    """

    name = "tempo"
    intent = "charge"

    def __init__(
        self, find_payer: Callable[[], Payer], settings: Settings, *, show: Callable[[str], None]
    ) -> None:
        """`show` takes a line for each step. Raises `ConfigurationError`."""
        self.quotes: dict[str, Quote] = {}
        self._find_payer = find_payer
        self._settings = settings
        self._show = show
        # Neither a price nor the fate of a transaction depends on who pays: a throw-away key will do to ask.
        self._onlooker = settings.account(tempo.PrivateKey.generate())
        self._account: tempo.TempoAccount | None = None

    def payer(self) -> str | None:
        """The account's address."""
        try:
            return self._find_payer().address
        except NoAccount:
            return None

    async def quote(self, challenge: Challenge) -> Quote | None:
        """What the challenge would cost."""
        quote = await self._onlooker.quote(challenge)
        if quote is not None:
            self.quotes[challenge.id] = quote
            self._show(
                f"* asked for {plain(quote.amount)} {quote.asset} to {recipients(quote)} on {quote.network},"
                f" by {challenge.expires or 'any time'}"
            )
        return quote

    async def pay(self, challenge: Challenge) -> Payload:
        """Pay. May ask for a passphrase, and raise what `find_payer` and `Payer.unlock` raise."""
        if self._account is None:
            payer = self._find_payer()
            self._show(f"* paying from {payer.label} ({payer.address})")
            self._account = self._settings.account(payer.unlock())
        with held():
            payload = await self._account.pay(challenge)
        reference = "" if payload.reference is None else f", {payload.reference}"
        self._show(f"* {_DONE[str(payload.payload['type'])]}{reference}")
        return payload

    async def is_dead(self, payload: Payload) -> bool:
        """Whether a transaction that was signed moved nothing and never will."""
        return await self._onlooker.is_dead(payload)

    async def aclose(self) -> None:
        """Close the connections to the nodes."""
        await self._onlooker.aclose()
        if self._account is not None:
            await self._account.aclose()
