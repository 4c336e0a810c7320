"""What a wallet may pay: the rules one by one."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest

from coinslot.client.acceptance import (
    TIME_TO_PAY,
    check_digest,
    check_price,
    check_time,
    credential_field,
    refusal,
)
from coinslot.client.origin import Origin
from coinslot.errors import (
    AmountError,
    ChallengeExpired,
    NoAcceptableChallenge,
    OverLimit,
    UnexpectedTerms,
)
from coinslot.payments.method import Quote
from coinslot.protocol import format_timestamp
from stall import offer

SHOP = Origin("https", "shop.example")


def quote(amount: str, fee: str = "0") -> Quote:
    """A price."""
    return Quote(
        amount=Decimal(amount), base_units=1, asset="coin", currency="c", network="n", fee=Decimal(fee)
    )


@pytest.mark.parametrize(
    ("header", "field"),
    [
        (None, "Authorization"),
        ("Authorization", "Authorization"),
        ("PAYMENT-authorization", "Payment-Authorization"),
    ],
)
def test_the_fields_there_are(header: str | None, field: str) -> None:
    """The credential's field is `Authorization`, or the one other that a challenge may ask for."""
    assert credential_field(offer(header=header)) == field


def test_time_to_pay() -> None:
    """A challenge is good until shortly before it expires."""
    now = float(int(time.time()))
    challenge = offer(expires=format_timestamp(now + 60))
    check_time(challenge, now + 60 - TIME_TO_PAY)
    with pytest.raises(ChallengeExpired, match="too soon"):
        check_time(challenge, now + 60 - TIME_TO_PAY + 0.1)
    with pytest.raises(ChallengeExpired, match="expired"):
        check_time(challenge, now + 60)
    check_time(offer(expires_in=None), now)


def test_a_challenge_without_a_digest_is_for_any_body() -> None:
    """A digest binds only where there is one."""
    check_digest(offer(), b"anything")


def test_sums_are_exact() -> None:
    """A price of very many digits is not rounded into the limit."""
    check_price(quote("0.99", "0.01"), Decimal("1.00"))
    with pytest.raises(OverLimit):
        check_price(quote("1", "1E-200"), Decimal("1.00"))
    with pytest.raises(OverLimit):
        check_price(quote(f"{2**256 - 1}"), Decimal("1.00"))


def test_the_one_that_stood_a_chance_speaks() -> None:
    """If all but one challenge are for somebody else, that one's reason is the error."""
    reason = OverLimit("too dear")
    others = NoAcceptableChallenge("no such method")
    assert refusal(SHOP, [(offer(), others), (offer(), reason), (offer(), others)]) is reason


@pytest.mark.parametrize(
    "errors",
    [
        [OverLimit("a"), UnexpectedTerms("b")],
        [OverLimit("a"), AmountError("b")],
        [AmountError("a")],
        [NoAcceptableChallenge("a")],
    ],
)
def test_otherwise_all_are_listed(errors: list[OverLimit]) -> None:
    """With more than one reason, or one that is no wallet's, the error is a list of them in order."""
    error = refusal(SHOP, [(offer(), reason) for reason in errors])
    assert isinstance(error, NoAcceptableChallenge)
    assert error.refusals == tuple(errors)
    assert all(f"coin/charge: {reason}" in str(error) for reason in errors)
    assert "https://shop.example" in str(error)
