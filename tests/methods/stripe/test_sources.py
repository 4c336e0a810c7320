"""Tokens from an account of one's own, at the sandbox."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

import pytest
from msgspec.structs import replace

from coinslot.errors import WalletError
from coinslot.methods.stripe.sources import OwnAccount, TokenTerms, own_account
from coinslot.sandbox.stripe import Keys
from stripe_payments import Stripe

OpenAccount: TypeAlias = Callable[..., OwnAccount]


@pytest.fixture
async def open_account(world: Stripe) -> AsyncIterator[OpenAccount]:
    """Makes sources, and closes them after the test."""
    opened: list[OwnAccount] = []

    def open_account(keys: Keys, **settings: Any) -> OwnAccount:
        usual = {
            "secret_key": keys.secret_key,
            "client": None,
            "payment_method": "pm_card_visa",
            "api_version": None,
            "api_base": world.url,
            "timeout": 5.0,
        }
        opened.append(own_account(**{**usual, **settings}))
        return opened[-1]

    yield open_account
    for source in opened:
        await source.aclose()


def terms(world: Stripe) -> TokenTerms:
    """1.50 USD for the sandbox's seller, on a challenge of its own."""
    return TokenTerms(
        amount=150,
        currency="usd",
        network_id=world.seller.profile,
        expires_at=int(time.time()) + 300,
        payment_method_types=("card",),
        challenge_id=f"c-{time.time_ns()}",
        realm="shop.example",
    )


async def test_a_token_is_good_for_the_terms_and_no_more(open_account: OpenAccount, world: Stripe) -> None:
    """The seller sees the price as its limit, the currency, and the end."""
    wanted = terms(world)
    token = await open_account(world.buyer)(wanted)
    granted = await world.ask("GET", f"/v1/shared_payment/granted_tokens/{token}", world.seller)
    assert granted["usage_limits"] == {"currency": "usd", "max_amount": 150, "expires_at": wanted.expires_at}


async def test_the_same_terms_are_the_same_token(open_account: OpenAccount, world: Stripe) -> None:
    """Asked for again after a lost answer, there is one token; another challenge has another."""
    source, wanted = open_account(world.buyer), terms(world)
    await world.fault("drop", path="/v1/shared_payment/issued_tokens", when="after")
    with pytest.raises(WalletError, match="Nothing was paid"):
        await source(wanted)
    token = await source(wanted)
    assert await source(wanted) == token
    assert await source(replace(wanted, challenge_id="another")) != token


async def test_ones_own_shop_is_paid_by_the_test_helper(open_account: OpenAccount, world: Stripe) -> None:
    """Stripe issues no token to oneself; in test mode the helper makes one, and the seller can charge it."""
    token = await open_account(world.seller)(terms(world))
    granted = await world.ask("GET", f"/v1/shared_payment/granted_tokens/{token}", world.seller)
    assert granted["usage_limits"]["max_amount"] == 150


@pytest.mark.parametrize(
    "settings",
    [{"payment_method": "pm_nobody"}, {"secret_key": "sk_test_wrong"}, {"api_base": "http://127.0.0.1:9"}],
    ids=["payment method", "key", "unreachable"],
)
async def test_no_token_is_a_wallet_error(
    open_account: OpenAccount, world: Stripe, settings: dict[str, Any]
) -> None:
    """It says why, in Stripe's codes, and that nothing was paid."""
    with pytest.raises(WalletError, match=r"no token was issued: .* Nothing was paid") as error:
        await open_account(world.buyer, **settings)(terms(world))
    assert "sk_test" not in str(error.value)


async def test_a_seller_that_there_is_not(open_account: OpenAccount, world: Stripe) -> None:
    """The test helper is not tried for somebody else's shop: its token would be good for nothing."""
    with pytest.raises(WalletError, match="no token was issued"):
        await open_account(world.buyer)(replace(terms(world), network_id="profile_test_nobody"))


class TestTakenBack:
    """A token is dead if it was not charged, and cannot be any more."""

    async def test_one_that_nobody_charged(self, open_account: OpenAccount, world: Stripe) -> None:
        """It is revoked, and stays dead however often that is asked."""
        source = open_account(world.buyer)
        token = await source(terms(world))
        assert [await source.take_back(token) for _ in range(2)] == [True, True]
        granted = await world.ask("GET", f"/v1/shared_payment/granted_tokens/{token}", world.seller)
        assert granted["deactivated_reason"] == "revoked"

    async def test_one_that_was_declined(self, open_account: OpenAccount, world: Stripe) -> None:
        """The bank's no took nothing, and after this nobody tries again."""
        source = open_account(world.buyer, payment_method="pm_card_visa_chargeDeclined")
        token = await source(terms(world))
        await redeem(world, token, status=402)
        assert await source.take_back(token)

    async def test_one_that_was_charged(self, open_account: OpenAccount, world: Stripe) -> None:
        """It is not dead: it took money."""
        source = open_account(world.buyer)
        token = await source(terms(world))
        await redeem(world, token, status=200)
        assert not await source.take_back(token)

    async def test_one_whose_payer_may_still_authenticate(
        self, open_account: OpenAccount, world: Stripe
    ) -> None:
        """Its PaymentIntent could succeed yet."""
        source = open_account(world.buyer, payment_method="pm_card_threeDSecure2Required")
        token = await source(terms(world))
        await redeem(world, token, status=200)
        assert not await source.take_back(token)

    async def test_one_of_the_test_helper_s(self, open_account: OpenAccount, world: Stripe) -> None:
        """The same for one's own shop, in test mode."""
        source = open_account(world.seller)
        token = await source(terms(world))
        assert await source.take_back(token)
        another = await source(terms(world))
        await redeem(world, another, status=200)
        assert not await source.take_back(another)

    @pytest.mark.parametrize("method", ["GET", "POST"])
    async def test_one_that_could_not_be_asked_about(
        self, open_account: OpenAccount, world: Stripe, method: str
    ) -> None:
        """Nobody knows, so it is not dead."""
        source = open_account(world.buyer)
        token = await source(terms(world))
        path = "/v1/shared_payment/issued_tokens/*"
        await world.fault("rate_limit", method=method, path=path, times=5)
        assert not await source.take_back(token)

    async def test_one_of_somebody_else_s(self, open_account: OpenAccount, world: Stripe) -> None:
        """It is not this account's to take back."""
        token = await open_account(world.buyer)(terms(world))
        stranger = open_account(await world.open_account(f"stranger{time.time_ns()}"))
        assert not await stranger.take_back(token)


async def redeem(world: Stripe, token: str, *, status: int) -> None:
    """The seller charges a token."""
    form = {
        "amount": "150",
        "currency": "usd",
        "confirm": "true",
        "automatic_payment_methods[enabled]": "true",
        "automatic_payment_methods[allow_redirects]": "never",
        "shared_payment_granted_token": token,
    }
    await world.ask("POST", "/v1/payment_intents", world.seller, form, status=status)
