"""A deposit: a PaymentIntent in deposit mode, and the address at which it waits for exactly its amount.

Theory of operation. Deposits are made ahead and handed out one after the other, each to one challenge at a
time. They are records that all workers share, moved from state to state by compare-and-set:

    draft ──▶ free ◀──────▶ reserved          a worker has it, to hand out or handed out already
                │ ╲             │
                │  ╲────────╮   │
                ▼           ▼   ▼
             closing ◀─── touched             money came: it is never handed out again
                │           │
                ▼           ▼
              closed ◀──────╯                 the PaymentIntent is paid or cancelled

    draft      its idempotency key is written down, and Stripe is asked (`deposit_making`)
    free       nobody has its address
    reserved   until `lapses`; an address that is drawn is never drawn again within one reservation
    touched    Stripe has matched the money, or will, or cannot
    closing    it is to be cancelled, which is written down first
    closed     nobody should pay it any more; the chain is watched for those who do, and then it is forgotten

A deposit goes from reserved to free only if the reservation has lapsed, the time is over within which
payments that were made before can still be shown, the chain has got to a later block than that and shows no
transfer of any token to the address, and the PaymentIntent still waits.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct

from coinslot.errors import ConfigurationError

NETWORK: Final = "tempo"
"""Stripe's name for the chain that deposits are taken on."""

CURRENCY: Final = "usd"
"""What stablecoins are at Stripe."""

CENT_DECIMALS: Final = 2

LATE: Final = 3600.0
"""Seconds after a challenge's expiry for which a payment that was made in time can still be shown."""


class State(StrEnum):
    """Where a deposit is in its life."""

    FREE = "free"
    RESERVED = "reserved"
    TOUCHED = "touched"
    CLOSING = "closing"
    CLOSED = "closed"


class Deposit(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One deposit. `amount` is in cents, times are in Unix seconds.

    `intent` is the PaymentIntent's id; `lapses` is the end of its last reservation, 0 if it never had one.
    `touched` is when money was first seen at the address, and `paid_by` the challenge that it was for.
    `is_labelled` says that the PaymentIntent has been told so.
    """

    intent: str
    address: str
    amount: int
    created: float
    lapses: float = 0.0
    touched: float = 0.0
    paid_by: str | None = None
    is_labelled: bool = False

    @property
    def key(self) -> str:
        """What its record is named: an address is the same in any case."""
        return key_of(self.address)


def key_of(address: str) -> str:
    """An address as records are named after it."""
    return address.lower()


class Policy(Struct, frozen=True, kw_only=True):
    """How many deposits there are, and for how long. Times are in seconds; `deposits` explains them.

    Raises `ConfigurationError` for what would lose money, or cannot work.
    """

    pool: int = 20
    prices: int = 50
    hold: float = 900.0
    grace: float = 5400.0
    lifetime: float = 12 * 3600.0
    idle: float = 24 * 3600.0
    watch: float = 30 * 24 * 3600.0

    def __post_init__(self) -> None:
        for name in ("pool", "prices"):
            if not 0 <= getattr(self, name) <= 1000:
                raise ConfigurationError(f"{name} is a number from 0 to 1000")
        for name in ("hold", "lifetime", "idle", "watch"):
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"{name} is a number of seconds, and more than none")
        if not self.grace > LATE:
            raise ConfigurationError(
                f"grace has to be more than {LATE:g} s: for so long after a challenge's expiry a payment can "
                "be shown that was made before"
            )
        if not self.lifetime > self.reservation:
            raise ConfigurationError("lifetime has to be more than three times hold")

    @property
    def reservation(self) -> float:
        """How long a worker reserves: for long enough to hand an address out for a while."""
        return 3 * self.hold

    @property
    def settles_after(self) -> float:
        """Seconds after a transfer from which on nobody can show it for a challenge any more."""
        return self.hold + self.grace


class Site(Struct, frozen=True, kw_only=True):
    """Where deposits are paid: the chain, and the token there, whose base units have so many `decimals`."""

    chain_id: int
    currency: str
    decimals: int

    @property
    def units_per_cent(self) -> int:
        """Base units in a cent."""
        units: int = 10 ** (self.decimals - CENT_DECIMALS)
        return units

    def cents(self, units: int) -> int | None:
        """Base units in cents, if that is exact and not nothing."""
        cents, rest = divmod(units, self.units_per_cent)
        return cents if cents > 0 and rest == 0 else None
