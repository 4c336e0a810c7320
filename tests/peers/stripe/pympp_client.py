"""A client of pympp, unmodified, which pays with a shared payment token: makes one request.

Environment:
    URL          what to request (required)
    STRIPE_URL   where Stripe is (required)
    STRIPE_KEY   the agent's secret key (required)

Prints one line: {"status", "body", "receipt"}.
"""

from __future__ import annotations

import asyncio
import json
import os

import stripe
from mpp.client import Mpp
from mpp.methods.stripe import client as methods
from mpp.methods.stripe.client import OnChallengeParameters

env = os.environ
agent = stripe.StripeClient(
    env["STRIPE_KEY"], base_addresses={"api": env["STRIPE_URL"]}, stripe_version="2026-07-29.preview"
)


async def issue(challenge: OnChallengeParameters) -> str:
    """A token for what is asked."""
    response = await agent.raw_request_async(
        "post",
        "/v1/shared_payment/issued_tokens",
        payment_method=challenge.payment_method,
        seller_details={"network_business_profile": challenge.network_id},
        usage_limits={
            "currency": challenge.currency,
            "max_amount": challenge.amount,
            "expires_at": challenge.expires_at,
        },
    )
    return str(agent.deserialize(response, api_mode="V1")["id"])


async def main() -> None:
    """Ask, pay, report."""
    paying = methods.charge(create_token=issue, payment_method="pm_card_visa")
    async with Mpp(methods=[paying]) as mpp:
        response = await mpp.fetch(env["URL"])
    receipt = response.headers.get("payment-receipt")
    print(json.dumps({"status": response.status_code, "body": response.text, "receipt": receipt}))


asyncio.run(main())
