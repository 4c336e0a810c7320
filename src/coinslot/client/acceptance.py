"""Which challenges a wallet may pay, and why not the others.

Each function looks at one rule and raises a `WalletError` whose message is the reason. None of them asks
the world: what needs the method (its terms, its price) comes as a `Quote`.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal

from coinslot.client.origin import Origin
from coinslot.errors import (
    ChallengeExpired,
    CoinslotError,
    NoAcceptableChallenge,
    OverLimit,
    UnsafeOrigin,
    WalletError,
)
from coinslot.payments.method import Quote
from coinslot.protocol import Challenge, digest_matches

TIME_TO_PAY = 3.0
"""Seconds that a challenge must still be good for when the wallet starts to pay it."""

# More digits than an amount of 256 bits has, with as many decimals as there can be: sums are exact.
_exact = Context(prec=400)

_FIELDS = {"authorization": "Authorization", "payment-authorization": "Payment-Authorization"}


def credential_field(challenge: Challenge) -> str:
    """The header field that the credential goes into.

    The `header` auth-param may name `Payment-Authorization`. Any other name is refused: a server could have
    the credential overwrite a cookie, or sent where it is logged.
    """
    if challenge.header is None:
        return "Authorization"
    field = _FIELDS.get(challenge.header.lower())
    if field is None:
        raise NoAcceptableChallenge(f"it wants the credential in the header field {challenge.header[:40]!r}")
    return field


def check_time(challenge: Challenge, now: float) -> None:
    """It is not expired, nor about to be. One without `expires` always passes. `now` is in Unix seconds."""
    expires_at = challenge.expires_at()
    if expires_at is not None and expires_at - now < TIME_TO_PAY:
        raise ChallengeExpired(
            f"it expired at {challenge.expires}"
            if expires_at <= now
            else f"it expires at {challenge.expires}, too soon to pay it"
        )


def check_digest(challenge: Challenge, body: bytes) -> None:
    """A challenge that is bound to a body is bound to this one (draft-httpauth-payment §digest)."""
    if challenge.digest is not None and not digest_matches(challenge.digest, body):
        raise NoAcceptableChallenge("its digest is not that of the body that was sent")


def check_price(quote: Quote, limit: Decimal) -> None:
    """Price and fee together are within `limit`, in the asset's own unit."""
    price = _exact.add(quote.amount, quote.fee)
    if not price <= limit:
        fee = f" with up to {quote.fee:f} of fees" if quote.fee else ""
        raise OverLimit(
            f"it asks for {quote.amount:f} {quote.asset}{fee}, and this wallet pays at most {limit:f} at once"
            " (max_amount)",
            price=price,
            limit=limit,
        )


def check_realm(challenge: Challenge, quote: Quote, origin: Origin, trusted: frozenset[str]) -> None:
    """A payment of nothing is a proof of who pays, so its realm must be the host that asked for it.

    Otherwise one shop could hand out another's challenge, and log in there as whoever answers it.
    """
    if quote.base_units == 0 and not origin.goes_by(challenge.realm) and challenge.realm not in trusted:
        raise UnsafeOrigin(
            f"it asks {origin} for a proof of identity towards {challenge.realm[:80]!r}, another host"
            " (trusted_realms)"
        )


def refusal(origin: Origin, refused: Sequence[tuple[Challenge, CoinslotError]]) -> WalletError:
    """What to raise when nothing was acceptable, given the reason for each challenge in the server's order.

    If only one challenge stood a chance, its own reason says most; otherwise a `NoAcceptableChallenge`
    lists them.
    """
    telling = [
        error
        for _, error in refused
        if isinstance(error, WalletError) and not isinstance(error, NoAcceptableChallenge)
    ]
    if len(telling) == 1 and all(isinstance(error, WalletError) for _, error in refused):
        return telling[0]
    reasons = "; ".join(
        f"{challenge.method}/{challenge.intent[:40]}: {error}" for challenge, error in refused
    )
    return NoAcceptableChallenge(
        f"nothing that {origin} asks for can be paid by this wallet. {reasons}",
        refusals=tuple(error for _, error in refused),
    )
