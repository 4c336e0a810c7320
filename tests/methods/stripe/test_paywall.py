"""Stripe at a paywall: every way in which a charge can go is one clear answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeAlias

import httpx2
import pytest
from fastapi import FastAPI

from coinslot import Credential, Paywall, Receipt, Wallet
from coinslot.methods import stripe
from serving import serving
from shopping import challenge_of, problem, visit
from stripe_payments import Stripe

Served: TypeAlias = "tuple[FastAPI, httpx2.AsyncClient]"
Open: TypeAlias = Callable[..., Any]


@pytest.fixture
async def open_app(world: Stripe, tmp_path: Path) -> AsyncIterator[Open]:
    """Opens a paid app, on one ledger however often it is restarted: the app, and a client of it."""
    stack = AsyncExitStack()

    async def open_app(**settings: Any) -> Served:
        charge = stripe.charge(
            **{
                "secret_key": world.seller.secret_key,
                "network_id": world.seller.profile,
                "api_base": world.url,
                "settle_timeout": 1,
                **settings,
            }
        )
        paywall = Paywall(
            [charge],
            secret_key="a secret of at least thirty-two bytes",
            realm="127.0.0.1",
            ledger=f"sqlite:///{tmp_path / 'ledger.db'}",
        )
        app = FastAPI()
        paywall.attach(app)

        @app.get("/paid")
        @paywall.charge("1.00", external_id="order-7")
        async def paid() -> str:
            return "the goods"

        await stack.enter_async_context(paywall)
        return app, await stack.enter_async_context(visit(app))

    async with stack:
        yield open_app


async def order(http: httpx2.AsyncClient, token: str) -> str:
    """The credential that pays for the goods with a token."""
    challenge = challenge_of(await http.get("/paid"))
    return Credential(challenge=challenge, payload={"spt": token}).to_header()


async def present(http: httpx2.AsyncClient, credential: str) -> httpx2.Response:
    """Ask for the goods with that credential."""
    return await http.get("/paid", headers={"Authorization": credential})


def reference(response: httpx2.Response) -> str:
    """The PaymentIntent that the receipt names."""
    assert response.status_code == 200, response.text
    receipt = Receipt.parse(response.headers["payment-receipt"])
    assert (receipt.method, receipt.external_id) == ("stripe", "order-7")
    return receipt.reference


async def test_a_wallet_pays(open_app: Open, world: Stripe) -> None:
    """The buyer's account and the seller's, over HTTP: one token, one PaymentIntent, one receipt."""
    app, _ = await open_app()
    account = stripe.account(world.buyer.secret_key, payment_method="pm_card_visa", api_base=world.url)
    with serving(app) as url:
        async with Wallet([account], max_amount="1.00") as wallet:
            response = await wallet.aget(f"{url}/paid")
    assert response.json() == "the goods"
    assert reference(response).startswith("pi_")


CARDS = {
    "pm_card_visa_chargeDeclinedInsufficientFunds": "verification-failed",
    "pm_card_authenticationRequired": "payment-action-required",
}


@pytest.mark.parametrize(("card", "slug"), CARDS.items())
async def test_a_refused_card_is_told_and_another_can_pay(
    open_app: Open, world: Stripe, card: str, slug: str
) -> None:
    """402 with the reason and a fresh challenge, for good; and the fresh challenge can be paid."""
    _, http = await open_app()
    credential = await order(http, await world.token(card=card))
    for _ in range(2):
        response = await present(http, credential)
        assert (response.status_code, problem(response)) == (402, slug)
        assert "payment-receipt" not in response.headers
    challenge = challenge_of(response)
    another = Credential(challenge=challenge, payload={"spt": await world.token()}).to_header()
    assert reference(await present(http, another)).startswith("pi_")


async def test_a_token_pays_for_one_challenge(open_app: Open, world: Stripe) -> None:
    """Presented for another, it is refused by the ledger, before Stripe is asked."""
    _, http = await open_app()
    token = await world.token()
    reference(await present(http, await order(http, token)))
    await world.fault("drop")
    response = await present(http, await order(http, token))
    assert (response.status_code, problem(response)) == (402, "invalid-challenge")


@pytest.mark.parametrize("kind", ["rate_limit", "drop"])
async def test_a_stripe_in_trouble_keeps_the_credential_good(
    open_app: Open, world: Stripe, kind: str
) -> None:
    """503 without a challenge, and the same credential is paid and served when the trouble is over."""
    _, http = await open_app()
    credential = await order(http, await world.token())
    await world.fault(kind)
    response = await present(http, credential)
    slug = "payment-unavailable" if kind == "rate_limit" else "payment-outcome-unknown"
    assert (response.status_code, problem(response)) == (503, slug)
    assert "www-authenticate" not in response.headers
    assert int(response.headers["retry-after"]) > 0
    assert reference(await present(http, credential)).startswith("pi_")


async def test_a_lost_answer_is_delivered_after_a_restart(
    open_app: Open, world: Stripe, tmp_path: Path
) -> None:
    """Charged, and nobody heard: the next process finds it, and the ledger's files never had the token."""
    _, http = await open_app()
    token = await world.token()
    credential = await order(http, token)
    await world.fault("delay", seconds=1.2)
    response = await present(http, credential)
    assert (response.status_code, problem(response)) == (503, "payment-outcome-unknown")
    ledger = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"mpp_challenge_id" in ledger
    assert token.removeprefix("spt_").encode() not in ledger
    _, restarted = await open_app()
    found = reference(await present(restarted, credential))
    challenge = Credential.parse(credential).challenge
    assert [intent["id"] for intent in await world.intents(challenge)] == [found]
    assert problem(await present(restarted, credential)) == "invalid-challenge"


async def test_a_create_that_never_arrived_is_repeated_after_a_restart(open_app: Open, world: Stripe) -> None:
    """With the parameters that were written down, whatever the settings are by now."""
    _, http = await open_app()
    credential = await order(http, await world.token())
    await world.fault("drop")
    assert (await present(http, credential)).status_code == 503
    _, restarted = await open_app(receipt_email="new@example.com")
    reference(await present(restarted, credential))
    (intent,) = await world.intents(Credential.parse(credential).challenge)
    assert intent["receipt_email"] is None
