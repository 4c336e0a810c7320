"""The balance: what was paid is pending, and available two days later."""

from __future__ import annotations

import asyncio

from coinslot.sandbox.stripe import StripeSandbox
from stripe_api import StripeApi


async def test_money_becomes_available() -> None:
    """By itself, in the balance and in its entries."""
    now = 1_800_000_000.0
    async with StripeSandbox(clock=lambda: now) as sandbox:
        api = StripeApi(sandbox.url, sandbox.account().secret_key)
        await asyncio.to_thread(api.charge)
        before = await asyncio.to_thread(api.get, "/v1/balance")
        now += 2 * 24 * 3600
        after = await asyncio.to_thread(api.get, "/v1/balance")
        (entry,) = (await asyncio.to_thread(api.get, "/v1/balance_transactions"))["data"]
        one = await asyncio.to_thread(api.get, f"/v1/balance_transactions/{entry['id']}")
        api.close()
    assert [before[name][0]["amount"] for name in ("available", "pending")] == [0, 455]
    assert [after[name][0]["amount"] for name in ("available", "pending")] == [455, 0]
    assert (entry["status"], one["status"]) == ("available", "available")
