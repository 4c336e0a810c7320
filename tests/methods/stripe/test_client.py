"""The buyer's half: what it quotes, what it refuses, and where its tokens come from."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from coinslot.errors import (
    ChallengeExpired,
    ConfigurationError,
    NoAcceptableChallenge,
    UnexpectedTerms,
    WalletError,
)
from coinslot.methods import stripe
from coinslot.payments.method import ClientMethod, Closes, Payload, Quote, Revokes
from coinslot.protocol import Challenge, format_timestamp
from stripe_payments import Clock, Stripe

SELLER = "profile_test_1"


class Purse:
    """A source of tokens that a test can look into."""

    def __init__(self, token: str = "spt_1") -> None:
        self.token = token
        self.asked: list[stripe.TokenTerms] = []
        self.is_closed = False

    async def __call__(self, terms: stripe.TokenTerms, /) -> str:
        self.asked.append(terms)
        return self.token

    async def aclose(self) -> None:
        self.is_closed = True


def challenge(*, expires_in: float | None = 300, method: str = "stripe", **request: Any) -> Challenge:
    """A challenge over 1.50 USD; `request` has what is different."""
    details = {"networkId": SELLER, "paymentMethodTypes": ["card"], "metadata": {"plan": "pro"}}
    usual: dict[str, Any] = {"amount": "150", "currency": "usd", "methodDetails": details}
    made = Challenge.create(
        id="c1", realm="shop.example", method=method, intent="charge", request={**usual, **request}
    )
    if expires_in is None:
        return made
    return replace(made, expires=format_timestamp(time.time() + expires_in))


async def test_a_quote_is_the_price() -> None:
    """In the currency's unit, with no fee; nobody is asked for a token."""
    purse = Purse()
    account = stripe.account(spt=purse)
    assert isinstance(account, ClientMethod)
    assert await account.quote(challenge()) == Quote(
        amount=Decimal("1.50"),
        base_units=150,
        asset="USD",
        currency="usd",
        network="stripe",
        recipient=SELLER,
    )
    assert purse.asked == []


@pytest.mark.parametrize(("currency", "price"), [("jpy", "150"), ("kwd", "0.150"), ("eur", "1.50")])
async def test_a_quote_knows_the_currencys_decimals(currency: str, price: str) -> None:
    """150 minor units are 150 yen, and less than a fifth of a dinar."""
    account = stripe.account(spt=Purse(), currencies=["usd", currency])
    quote = await account.quote(challenge(currency=currency))
    assert quote is not None
    assert quote.amount == Decimal(price)


@pytest.mark.parametrize(
    "other",
    [
        challenge(method="tempo"),
        replace(challenge(), intent="session"),
        challenge(amount="0"),
        challenge(amount="1.50"),
        challenge(methodDetails={"paymentMethodTypes": ["card"]}),
        challenge(methodDetails={"networkId": SELLER}),
    ],
)
async def test_other_challenges_are_not_quoted(other: Challenge) -> None:
    """Another method or intent, nothing to pay, or no seller to pay it to."""
    account = stripe.account(spt=Purse())
    assert await account.quote(other) is None
    with pytest.raises(NoAcceptableChallenge):
        await account.pay(other)


async def test_terms_that_were_not_expected_are_refused() -> None:
    """A currency that limits were not set for, and a seller who is not among those that are paid."""
    account = stripe.account(spt=Purse(), sellers=["profile_other"])
    with pytest.raises(UnexpectedTerms, match="sellers"):
        await account.quote(challenge())
    for ask in (stripe.account(spt=Purse()).quote, stripe.account(spt=Purse()).pay):
        with pytest.raises(UnexpectedTerms, match="currency"):
            await ask(challenge(currency="kwd"))


async def test_a_token_is_asked_for_on_the_challenges_terms() -> None:
    """Exactly the price, for this seller, until shortly after the challenge's end."""
    purse = Purse()
    asked = challenge(description="Access", externalId="order-7")
    payload = await stripe.account(spt=purse).pay(asked)
    assert payload.payload == {"spt": "spt_1", "externalId": "order-7"}
    assert "spt_1" not in repr(payload)
    (terms,) = purse.asked
    ends = asked.expires_at() or 0
    assert ends + 60 <= terms.expires_at <= ends + 61
    assert replace(terms, expires_at=0) == stripe.TokenTerms(
        amount=150,
        currency="usd",
        network_id=SELLER,
        expires_at=0,
        payment_method_types=("card",),
        challenge_id="c1",
        realm="shop.example",
        description="Access",
        external_id="order-7",
        metadata={"plan": "pro"},
    )


async def test_a_challenge_without_an_end_is_paid_within_minutes() -> None:
    """The token's time is limited all the same."""
    purse = Purse()
    payload = await stripe.account(spt=purse).pay(challenge(expires_in=None))
    assert payload.payload == {"spt": "spt_1"}
    assert time.time() < purse.asked[0].expires_at <= time.time() + 361


async def test_a_challenge_that_has_expired_is_not_paid() -> None:
    """Nobody is asked for a token."""
    purse, clock = Purse(), Clock()
    clock.ahead = 299
    with pytest.raises(ChallengeExpired):
        await stripe.account(spt=purse, clock=clock).pay(challenge())
    assert purse.asked == []


@pytest.mark.parametrize("token", ["", "tok_1", "spt_1 ", "spt_\n"])
async def test_what_is_no_token_is_not_presented(token: str) -> None:
    """A function that returns something else is told so."""
    with pytest.raises(WalletError, match="Nothing was paid"):
        await stripe.account(spt=Purse(token)).pay(challenge())


async def test_closing_closes_the_source() -> None:
    """If it can be closed; a plain function need not be."""
    purse = Purse()
    account = stripe.account(spt=purse)
    assert isinstance(account, Closes)
    await account.aclose()
    assert purse.is_closed

    async def plain(terms: stripe.TokenTerms) -> str:
        return "spt_1"

    await stripe.account(spt=plain).aclose()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"secret_key": "sk_test_1"},
        {"secret_key": "sk_test_1", "payment_method": "card"},
        {"payment_method": "pm_card_visa"},
        {"secret_key": "sk_test_1", "payment_method": "pm_card_visa", "spt": Purse()},
        {"spt": Purse(), "api_base": "http://127.0.0.1"},
        {"spt": Purse(), "currencies": "usd"},
        {"spt": Purse(), "currencies": ["dollars"]},
        {"spt": Purse(), "sellers": "profile_1"},
    ],
)
def test_a_mistake_is_found_at_start_up(settings: dict[str, Any]) -> None:
    """One source of tokens, with all that it needs, and lists that are lists."""
    with pytest.raises(ConfigurationError):
        stripe.account(**settings)


async def test_a_payment_is_dead_if_its_token_is_taken_back(world: Stripe) -> None:
    """Then the wallet may pay anew."""
    account = stripe.account(world.buyer.secret_key, payment_method="pm_card_visa", api_base=world.url)
    assert isinstance(account, Revokes)
    details = {"networkId": world.seller.profile, "paymentMethodTypes": ["card"]}
    payload = await account.pay(challenge(methodDetails=details))
    assert await account.is_dead(payload)
    assert not await account.is_dead(Payload(payload={"hash": "0x"}))
    await account.aclose()


async def test_a_token_of_a_function_s_is_never_known_to_be_dead() -> None:
    """Whoever gave it may have given it to others, and cannot be asked."""
    account = stripe.account(spt=Purse())
    assert not await account.is_dead(await account.pay(challenge()))
