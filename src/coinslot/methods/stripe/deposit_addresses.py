"""Stripe's deposit addresses, as whom `tempo.charge` pays: stablecoins that end up at Stripe."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from coinslot.errors import ConfigurationError, LedgerError
from coinslot.methods.stripe.api import StripeApi
from coinslot.methods.stripe.deposit import CENT_DECIMALS, Policy, Site, key_of
from coinslot.methods.stripe.deposit_rounds import Rounds
from coinslot.methods.stripe.deposit_stock import Stocks
from coinslot.methods.stripe.deposit_watch import Chain
from coinslot.methods.stripe.metadata import check_metadata
from coinslot.methods.stripe.sdk import stripe
from coinslot.payments.method import Proof, Recovery, Repayment, Settlement

if TYPE_CHECKING:
    from coinslot.payments.desk import Desk

_TIMEOUT: Final = 10.0
_MAINNET: Final = 4217  # Tempo's, where money is real

_ROUND_EVERY: Final = 5.0  # seconds between two rounds, unless somebody says that something has happened
_NEXT_ROUND: Final = 0.5  # if there is more to do: with five deposits a round, far below Stripe's rate limit
_LOOK_EVERY: Final = 1.0  # seconds between two looks at a stock that is asked for
_RECENTLY: Final = 60.0


def deposits(
    *,
    secret_key: str | None = None,
    client: stripe.StripeClient | None = None,
    pool: int = 20,
    prices: int = 50,
    hold: float = 900.0,
    reusable: bool = True,
    metadata: Mapping[str, str] | None = None,
    grace: float = 5400.0,
    lifetime: float = 12 * 3600.0,
    idle: float = 24 * 3600.0,
    watch: float = 30 * 24 * 3600.0,
    api_version: str | None = None,
    api_base: str | None = None,
    timeout: float = _TIMEOUT,
    clock: Callable[[], float] = time.time,
) -> Deposits:
    """Deposit addresses for `tempo.charge(recipient=stripe.deposits(…), network=…)`.

    Each fixed price has a pool of at most `pool` PaymentIntents in deposit mode, shared by all workers; at
    most `prices` prices have one. A challenge gets an address out of it, or the `reusable` one if there is
    none left, or if the price is made by a callable; without a reusable one, it is not offered then.

    Times are in seconds. `hold` is for how long an address is promised to one challenge: at least the
    paywall's `expires_in`. It is used again only `grace` after that, if the chain shows that nothing came.
    A PaymentIntent is cancelled when it is `lifetime` old or its price was not asked for in `idle`, and the
    chain is watched for late deposits to its address for another `watch`.

    `metadata` is put on each PaymentIntent. `secret_key` or `client`, `api_version` and `api_base` are those
    of `stripe.charge`; `timeout` is for each request to Stripe, none of which a payer waits for. `clock`
    tells the time in Unix seconds.

    Raises `ConfigurationError`.
    """
    return Deposits(
        api=StripeApi(
            secret_key=secret_key,
            client=client,
            api_version=api_version,
            api_base=api_base,
            timeout=timeout,
        ),
        policy=Policy(
            pool=pool, prices=prices, hold=hold, grace=grace, lifetime=lifetime, idle=idle, watch=watch
        ),
        reusable=reusable,
        metadata=check_metadata(metadata or {}),
        is_emulated=api_base is not None,
        clock=clock,
    )


class Deposits:
    """Hands out deposit addresses. Made by `deposits`; looked after by the paywall that it serves."""

    def __init__(
        self,
        *,
        api: StripeApi,
        policy: Policy,
        reusable: bool,
        metadata: dict[str, str],
        is_emulated: bool,
        clock: Callable[[], float],
    ) -> None:
        self._api = api
        self._policy = policy
        self._has_reusable = reusable
        self._metadata = metadata
        self._is_emulated = is_emulated
        self._clock = clock
        self._stocks = Stocks(policy, clock)
        self._site: Site | None = None
        self._chain: Chain | None = None
        self._rounds: Rounds | None = None
        self._next_round = 0.0
        self._expected = 0.0

    def serve(self, chain: Chain, *, chain_id: int, currency: str, decimals: int) -> None:
        """Hand out addresses on this chain, for this token. Raises `ConfigurationError`."""
        if self._site is not None:
            raise ConfigurationError("stripe.deposits(…) serves one tempo.charge: make another for another")
        if decimals < CENT_DECIMALS:
            raise ConfigurationError(
                f"a currency with {decimals} decimals has no cents, which Stripe counts in"
            )
        if chain_id == _MAINNET and self._api.livemode is False and not self._is_emulated:
            raise ConfigurationError(
                "this is a key of Stripe's test mode: what is paid to its addresses on mainnet is lost"
            )
        self._site = Site(chain_id=chain_id, currency=currency, decimals=decimals)
        self._chain = chain

    def takes(self, amount: int, /) -> bool:
        """Whether Stripe can be paid so many base units: whole cents, and not none.

        A price that is known before the paywall opens is a fixed one, and gets a pool.
        """
        assert self._site is not None
        cents = self._site.cents(amount)
        if cents is not None and self._rounds is None and self._policy.pool > 0:
            self._stocks.open(cents)
        return cents is not None

    def draw(self, amount: int, /) -> str | None:
        """An address for one challenge; None if there is none to be had right now. Asks nobody."""
        assert self._site is not None
        cents = self._site.cents(amount)
        address = None if cents is None else self._stocks.draw(cents)
        if address is None and self._has_reusable and self._rounds is not None:
            address = self._rounds.reusable.address
        return address

    def keep(self, desk: Desk) -> None:
        """Keep the pool, and what is on its way to Stripe, in this ledger."""
        assert self._site is not None
        assert self._chain is not None
        self._rounds = Rounds(
            desk,
            self._api,
            self._chain,
            site=self._site,
            policy=self._policy,
            metadata=self._metadata,
            has_reusable=self._has_reusable,
        )
        self._next_round = 0.0

    async def tend(self) -> float:
        """Have addresses ready; now and then, or if something has happened, a round of everything."""
        rounds, now = self._rounds, self._clock()
        if rounds is None:
            return _ROUND_EVERY
        await rounds.prices.tell(self._stocks.asked(), now)
        await self._replenish(rounds)
        if now >= self._next_round or now < self._expected:  # it was woken
            self._next_round = now + _ROUND_EVERY
            if await rounds.run(now):
                self._next_round = now + _NEXT_ROUND
            await self._replenish(rounds)
        pause = min(self._next_round - now, _LOOK_EVERY if self._is_busy(now) else _ROUND_EVERY)
        self._expected = now + 0.9 * pause
        return pause

    async def settling(self, proof: Proof) -> None:
        """Note a payment to the reusable address, which Stripe is to be told of. Raises `LedgerError`."""
        rounds = self._rounds
        if rounds is None or proof.recipient is None:
            return
        await rounds.reusable.read()
        address = rounds.reusable.address
        if address is not None and key_of(address) == key_of(proof.recipient):
            await rounds.outbox.note(proof, self._clock())

    async def has(self, repayment: Repayment) -> bool:
        """Whether Stripe has the money that is to go back. Raises `RefundError` if it cannot be asked."""
        return await self._opened().refunds.has(repayment)

    async def draft_repayment(self, repayment: Repayment) -> Recovery:
        """A refund by Stripe. Raises `RefundError`."""
        return await self._opened().refunds.draft_repayment(repayment)

    async def repay(self, repayment: Repayment) -> Settlement:
        """Ask Stripe for the refund. It is `Unknown` for as long as it is on its way."""
        return await self._opened().refunds.repay(repayment)

    async def look_up_repayment(self, repayment: Repayment) -> Settlement:
        """What Stripe knows of the refund."""
        return await self._opened().refunds.look_up_repayment(repayment)

    async def aclose(self) -> None:
        """Give back the addresses that nobody was told, if the ledger still takes them, and hang up."""
        if self._rounds is not None:
            with suppress(LedgerError):
                await self._stocks.release(self._rounds.deposits)
        await self._api.aclose()

    def _opened(self) -> Rounds:
        assert self._rounds is not None, "refunds are made by a paywall that has opened"
        return self._rounds

    async def _replenish(self, rounds: Rounds) -> None:
        await rounds.reusable.read()
        await self._stocks.replenish(rounds.deposits)

    def _is_busy(self, now: float) -> bool:
        return any(at + _RECENTLY > now for at in self._stocks.asked().values())
