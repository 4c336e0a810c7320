"""The SDK's requests over httpx2."""

from __future__ import annotations

import asyncio
import logging
from typing import NoReturn

import pytest
import stripe as sdk

from coinslot.errors import ConfigurationError
from coinslot.methods import stripe
from coinslot.methods.stripe.api import StripeApi
from coinslot.methods.stripe.failures import NotDone
from coinslot.methods.stripe.transport import Transport, check_api_base
from stripe_payments import Purchase, Stripe


async def test_it_carries_what_the_sdk_asks(world: Stripe) -> None:
    """Typed calls of the SDK work over it: verbs, forms, pages, errors."""
    transport = Transport(5)
    client = sdk.StripeClient(
        world.seller.secret_key, base_addresses={"api": world.url}, http_client=transport
    )
    made = await client.v1.customers.create_async({"email": "a@example.com"})
    found = await client.v1.customers.retrieve_async(made.id)
    assert found.email == "a@example.com"
    assert made.id in [each.id for each in (await client.v1.customers.list_async({"limit": 5})).data]
    with pytest.raises(sdk.InvalidRequestError, match="No such customer"):
        await client.v1.customers.retrieve_async("cus_nobody")
    await transport.close_async()


def test_each_event_loop_has_connections_of_its_own(world: Stripe) -> None:
    """Loops that come and go one after the other are all served by one charge."""
    method = stripe.charge(
        secret_key=world.seller.secret_key, network_id=world.seller.profile, api_base=world.url
    )

    async def look() -> str:
        purchase = await Purchase.begin(method, "spt_any")
        return type(await purchase.look_up()).__name__

    async def look_and_close() -> str:
        answer = await look()
        await method.aclose()
        return answer

    assert [asyncio.run(look_and_close()) for _ in range(2)] == ["NotSent"] * 2


@pytest.mark.parametrize(
    "url",
    ["https://api.stripe.com", "https://stripe.example:8443/", "http://127.0.0.1:12111", "http://[::1]:1",
     "http://localhost:12111/"],
)  # fmt: skip
def test_a_key_goes_over_tls_or_stays_here(url: str) -> None:
    """Stripe, something that speaks for it, or this machine."""
    assert check_api_base(url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    ["", "stripe.com", "http://stripe.com", "http://10.0.0.1", "ftp://127.0.0.1", "https://", "https://a@b",
     "https://a?b", "http://localhost.example", "https://[::1"],
)  # fmt: skip
def test_a_key_goes_nowhere_else(url: str) -> None:
    """Not over the network in the clear, and to no URL that is none."""
    with pytest.raises(ConfigurationError, match="api_base"):
        check_api_base(url)


async def test_no_log_has_a_token(
    charge: stripe.StripeCharge, world: Stripe, caplog: pytest.LogCaptureFixture
) -> None:
    """Not the SDK's, not httpx2's and not ours, even where the token is in the path that is asked for."""
    token = await world.token(amount=50)
    with caplog.at_level(logging.DEBUG):
        await (await Purchase.begin(charge, token)).settle()
    said = [record.getMessage() for record in caplog.records]
    assert any("shared_payment/granted_tokens" in line for line in said)
    assert token not in "\n".join(said)
    assert world.seller.secret_key not in "\n".join(said)


async def test_a_client_that_cannot_do_it_says_what_is_missing() -> None:
    """A `StripeClient` whose HTTP client makes synchronous calls alone: nothing is sent."""
    client = sdk.StripeClient("sk_test_1", http_client=sdk.RequestsClient(async_fallback_client=Missing()))
    api = StripeApi(secret_key=None, client=client, api_version=None, api_base=None, timeout=1)
    with pytest.raises(NotDone, match=r"stripe\[async\]"):
        await api.own_profile()


class Missing(sdk.HTTPClient):
    """What the SDK falls back to where neither httpx nor aiohttp is installed."""

    async def request_async(self, *_: object) -> NoReturn:
        raise ImportError("neither is installed")
