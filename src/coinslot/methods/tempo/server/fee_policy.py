"""What a seller's fee payer is willing to pay for: limits on one transaction, and on all of them together.

    FeePayerPolicy    the numbers
    check_sponsored   one transaction against them; pure
    FeeBudget         what is under way, and what was paid for nothing

A fee payer signs for a stranger's transaction, so it must be certain beforehand that the transaction is this
payment and nothing else, and that what it can cost is bounded even if the payer sees to it that it fails.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from msgspec import Struct

from coinslot.errors import AmountError, ConfigurationError, PaymentUnavailable, VerificationFailed
from coinslot.intents import format_amount, to_base_units
from coinslot.methods.tempo.networks import DECIMALS
from coinslot.methods.tempo.node import CHAIN_LAG
from coinslot.methods.tempo.wire import EXPIRING_NONCE_KEY, Transaction

logger = logging.getLogger("coinslot.tempo")

_GWEI: Final = 10**9
_ATTO: Final = 18  # fees are counted in attodollars, of which a dollar has 10**18
LOSS_PERIOD: Final = 3600.0
"""Seconds for which a loss counts."""

_QUIET: Final = 60.0


class FeePayerPolicy(Struct, frozen=True, kw_only=True):
    """The limits of a fee payer. Amounts are in the fee token's unit, fees per gas in attodollars.

    One transaction: `max_gas`, `max_fee_per_gas` and `max_priority_fee_per_gas` are what it may name,
    `max_fee` what they may come to, `max_validity` for how many seconds it may be good.

    All together: at most `max_in_flight` at once, of which one payer has `max_in_flight_per_payer`, and whose
    fees come to `max_in_flight_fee` at most. A transaction that is reverted costs its fee and brings nothing:
    within an hour no more than `max_lost_fee` can be lost like this, what is under way included, and a payer
    who had `max_reverts_per_payer` is not sponsored.
    """

    max_gas: int = 2_000_000
    max_fee_per_gas: int = 100 * _GWEI
    max_priority_fee_per_gas: int = 50 * _GWEI
    max_fee: str = "0.05"
    max_validity: int = 90
    max_in_flight: int = 100
    max_in_flight_fee: str = "0.50"
    max_in_flight_per_payer: int = 8
    max_lost_fee: str = "0.50"
    max_reverts_per_payer: int = 3

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            amount = attodollars(name, value) if isinstance(value, str) else value
            if amount <= 0:
                raise ConfigurationError(f"{name} has to be more than zero")


def check_sponsored(transaction: Transaction, policy: FeePayerPolicy, now: float) -> int:
    """The most attodollars that its fee can come to. Raises `VerificationFailed`, which names the limit.

    That its calls are the payment and nothing else is checked before, as for every transaction.
    """
    if transaction.nonce_key != EXPIRING_NONCE_KEY:
        raise _beyond("it has to use the lane of expiring nonces")
    if transaction.gas_limit > policy.max_gas:
        raise _beyond(f"its gas limit is more than {policy.max_gas}")
    if transaction.max_fee_per_gas > policy.max_fee_per_gas:
        raise _beyond(f"its fee per gas may be more than {policy.max_fee_per_gas} attodollars")
    if transaction.max_priority_fee_per_gas > policy.max_priority_fee_per_gas:
        raise _beyond(f"its priority fee per gas is more than {policy.max_priority_fee_per_gas} attodollars")
    fee = transaction.gas_limit * transaction.max_fee_per_gas
    if fee > attodollars("max_fee", policy.max_fee):
        raise _beyond(f"its fee may come to {format_amount(fee, _ATTO)}, more than {policy.max_fee}")
    if (transaction.valid_before or 0) > now + policy.max_validity:
        raise _beyond(f"it is valid for longer than {policy.max_validity} s")
    return fee


class _Reservation(Struct, frozen=True):
    payer: str
    fee: int
    until: float


class FeeBudget:
    """What a fee payer has at stake, as far as this process knows (`SharedBudget` knows of others).

    A transaction that nobody found out the end of counts as lost once it cannot come any more. `name` is the
    fee payer's, the same in every process.
    """

    def __init__(self, policy: FeePayerPolicy, clock: Callable[[], float], *, name: str = "") -> None:
        self.name = name
        self._policy = policy
        self._clock = clock
        self._in_flight: dict[str, _Reservation] = {}
        self._warned_at = 0.0
        self._losses: deque[tuple[float, str, int]] = deque()
        self._fee_limit = attodollars("max_in_flight_fee", policy.max_in_flight_fee)
        self._loss_limit = attodollars("max_lost_fee", policy.max_lost_fee)

    @property
    def at_stake(self) -> int:
        """Attodollars that the transactions under way can cost."""
        return sum(reservation.fee for reservation in self._in_flight.values())

    def check(self, payer: str, fee: int) -> None:
        """Whether there is room for so many attodollars more. Raises `PaymentUnavailable`."""
        now = self._clock()
        self._forget(now)
        self._check_losses(payer, fee, now)
        others = [held for held in self._in_flight.values() if held.payer == payer]
        if len(others) >= self._policy.max_in_flight_per_payer:
            raise busy("Too many sponsored payments of this account are under way.")
        if len(self._in_flight) >= self._policy.max_in_flight or self.at_stake + fee > self._fee_limit:
            self.warn("the fee payer's budget for payments under way is used up")
            raise busy("Too many sponsored payments are under way.")

    def reserve(self, key: str, payer: str, fee: int, until: float) -> bool:
        """Set aside so many attodollars for the transaction `key`, which is valid before `until`.

        They are free again when it is released. False if they have been set aside before, by somebody else
        who presents the same. Raises `PaymentUnavailable`, which says when to come again.
        """
        if key in self._in_flight:
            return False
        self.check(payer, fee)
        self._in_flight[key] = _Reservation(payer, fee, until + CHAIN_LAG)
        return True

    def release(self, key: str) -> None:
        """The transaction is on the chain and paid, or was never sent."""
        self._in_flight.pop(key, None)

    def lose(self, key: str, fee: int | None = None) -> None:
        """The transaction was reverted: its fee is gone, and it brought nothing.

        `fee` are the attodollars that it came to, if that is known; else they are the most it could be.
        """
        held = self._in_flight.pop(key, None)
        if held is not None:
            lost = held.fee if fee is None else min(fee, held.fee)
            self._losses.append((self._clock(), held.payer, lost))

    def check_funds(self, balance: int, fee: int, token: str, fee_payer: str) -> None:
        """Whether so many base units of the fee token cover so many attodollars beside what is at stake.

        Raises `PaymentUnavailable`.
        """
        if balance * 10 ** (_ATTO - DECIMALS) >= self.at_stake + fee:
            return
        held = format_amount(balance, DECIMALS)
        raise PaymentUnavailable(
            "The seller cannot pay the fee right now. Nothing was taken; send it again.",
            log=f"the fee payer {fee_payer} holds {held} of {token}: too little for the fees under way",
        )

    def _check_losses(self, payer: str, fee: int, now: float) -> None:
        """Whether there would be too many, if all that is under way were reverted as well."""
        of_payer = [when for when, who, _ in self._losses if who == payer]
        if len(of_payer) >= self._policy.max_reverts_per_payer:
            raise busy(
                "Payments of this account were reverted at the seller's expense; "
                "it is not sponsored for a while.",
                retry_after=self._until_forgotten(of_payer[0], now),
            )
        lost = sum(lost for _, _, lost in self._losses)
        if lost + self.at_stake + fee > self._loss_limit:
            self.warn("the fee payer could lose more than it may within the hour: it rests")
            raise busy(
                "Payments are not sponsored right now.",
                retry_after=self._until_forgotten(self._losses[0][0], now) if lost else 2,
            )

    def _until_forgotten(self, when: float, now: float) -> int:
        return max(1, int(when + LOSS_PERIOD - now))

    def _forget(self, now: float) -> None:
        """What nobody found out the end of, and which cannot come any more, is taken for lost."""
        for key in [key for key, held in self._in_flight.items() if held.until < now]:
            self.lose(key)
        while self._losses and self._losses[0][0] + LOSS_PERIOD <= now:
            self._losses.popleft()

    def warn(self, what: str) -> None:
        """Tell the operator, once a minute at most: whoever tries again and again fills no log."""
        now = self._clock()
        if now >= self._warned_at + _QUIET:
            self._warned_at = now
            logger.warning(what)


def _beyond(what: str) -> VerificationFailed:
    return VerificationFailed(f"The seller does not pay the fee of this transaction: {what}.")


def busy(detail: str, retry_after: int = 2) -> PaymentUnavailable:
    """What a payer is told when the budget is used up."""
    return PaymentUnavailable(f"{detail} Nothing was taken; send it again later.", retry_after=retry_after)


def attodollars(name: str, amount: str | Decimal) -> int:
    """A setting's amount, in attodollars. Raises `ConfigurationError`, which begins with its name."""
    try:
        return to_base_units(str(amount), _ATTO)
    except AmountError as error:
        raise ConfigurationError(f"{name}: {error}") from error
