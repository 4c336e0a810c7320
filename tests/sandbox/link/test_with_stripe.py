"""Tokens that a Link user approved are good at the Stripe that issued them, for what was approved."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import stripe

from coinslot.sandbox.link import LinkSandbox
from coinslot.sandbox.link.tokens import Draw
from coinslot.sandbox.link.wallet import PAYMENT_METHODS
from coinslot.sandbox.stripe import StripeSandbox
from link_parties import Program, logged_in

PREVIEW = "2026-07-29.preview"


@pytest.fixture
async def bank() -> AsyncIterator[StripeSandbox]:
    """A Stripe with a seller and a buyer."""
    async with StripeSandbox() as bank:
        yield bank


@pytest.fixture(params=["issued", "granted"])
async def program(bank: StripeSandbox, request: pytest.FixtureRequest) -> AsyncIterator[Program]:
    """A program let into a Link that draws its tokens there, in either way."""
    draw: Draw = request.param
    key = bank.account("buyer" if draw == "issued" else "seller").secret_key
    async with LinkSandbox(stripe_url=bank.url, stripe_key=key, draw=draw) as sandbox:
        program = await logged_in(sandbox)
        yield program
        await program.aclose()


async def approve(bank: StripeSandbox, program: Program, **terms: object) -> dict[str, Any]:
    """A request for the bank's seller, after its user's yes."""
    made = await program.ask(network_id=bank.account("seller").profile, **terms)
    await program.press(made["approval_url"], yes=True)
    return await program.look(made["id"])


async def charge(bank: StripeSandbox, token: str, amount: int) -> stripe.PaymentIntent:
    """Have the seller charge the token."""
    client = stripe.StripeClient(bank.account("seller").secret_key, base_addresses={"api": bank.url})
    # The released SDK knows neither the parameter nor the version that has it.
    form: Any = {
        "amount": amount,
        "currency": "usd",
        "confirm": True,
        "payment_method_data": {"shared_payment_granted_token": token},
    }
    return await asyncio.to_thread(client.v1.payment_intents.create, form, {"stripe_version": PREVIEW})


async def test_seller_can_charge_what_was_approved(bank: StripeSandbox, program: Program) -> None:
    """The token pays the amount once: not more, and not again."""
    found = await approve(bank, program)
    token = found["shared_payment_token"]["id"]
    with pytest.raises(stripe.InvalidRequestError, match="exceeds"):
        await charge(bank, token, 501)
    assert (await charge(bank, token, 500)).status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError, match="consumed"):
        await charge(bank, token, 500)


async def test_cancelled_request_pays_nothing(bank: StripeSandbox, program: Program) -> None:
    """Cancelling at Link revokes the token at Stripe."""
    found = await approve(bank, program)
    await program.call("POST", f"/spend_requests/{found['id']}/cancel")
    with pytest.raises(stripe.InvalidRequestError, match="revoked"):
        await charge(bank, found["shared_payment_token"]["id"], 500)


async def test_declined_card_is_declined_at_the_till(bank: StripeSandbox, program: Program) -> None:
    """Link approves it; its bank does not."""
    found = await approve(bank, program, payment_details="csmrpd_declined")
    with pytest.raises(stripe.CardError):
        await charge(bank, found["shared_payment_token"]["id"], 500)


@pytest.mark.parametrize("method", [m.id for m in PAYMENT_METHODS if m.attention is None])
async def test_every_payment_method_gives_a_token(bank: StripeSandbox, program: Program, method: str) -> None:
    """Stripe knows all that the wallet holds."""
    assert (await approve(bank, program, payment_details=method))["status"] == "approved"


async def test_seller_that_there_is_none_of_fails(bank: StripeSandbox) -> None:
    """A token cannot be issued for a profile that Stripe does not know; the request says Stripe's reason."""
    async with LinkSandbox(stripe_url=bank.url, stripe_key=bank.account("buyer").secret_key) as sandbox:
        program = await logged_in(sandbox)
        made = await program.ask(network_id="profile_test_nobody")
        await program.press(made["approval_url"], yes=True)
        found = await program.look(made["id"])
        await program.aclose()
    assert found["status"] == "failed"
    assert found["payment_status_details"]["code"]
