"""Four workers of uvicorn's own at one PostgreSQL, and each credential sent five times at once.

`PAYMENTS=1000` has a thousand of them.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from pathlib import Path

import pytest

from coinslot.methods.tempo.keys import PrivateKey
from coinslot.methods.tempo.networks import TESTNET
from coinslot.payments.payment import State
from coinslot.sandbox.stripe import SELLER, Keys, ThreadedStripeSandbox
from coinslot.sandbox.tempo import ThreadedDevnet
from debian import free_port
from faults.evidence import read_ledger
from faults.journal import read_journal
from faults.rush import COPIES, present, sign, tally, workers
from faults.shop import Settings
from postgres import PostgresServer
from redis_server import RedisServer
from tempo_buying import balance
from tempo_payments import new_address

PAYMENTS = int(os.environ.get("PAYMENTS", "200"))
WORKERS = 4
PRICE = 1_000_000


@pytest.fixture
def accounts(devnet: ThreadedDevnet) -> list[PrivateKey]:
    """Who pays: many, since the sandbox sends one account's transactions one after the other."""
    made = [PrivateKey.generate() for _ in range(10)]
    for account in made:
        devnet.fund(account.address)
    return [*devnet.accounts, *made]


@pytest.mark.parametrize("cached", [False, True], ids=["postgres", "postgres and redis"])
async def test_each_payment_settles_and_is_delivered_once(
    devnet: ThreadedDevnet,
    postgres: PostgresServer,
    redis_server: RedisServer,
    accounts: list[PrivateKey],
    tmp_path: Path,
    cached: bool,
) -> None:
    """As many are settled and delivered as were paid; the other copies wait, or hear that it was used.

    Redis is emptied in the middle. That costs nobody money.
    """
    with ThreadedStripeSandbox() as stripe:
        settings = Settings(
            port=free_port(),
            folder=tmp_path,
            ledger=postgres.new_database(),
            cache=redis_server.url if cached else None,
            rpc_url=devnet.rpc_url,
            stripe_url=stripe.url,
            recipient=new_address(),
            seller=Keys(SELLER).name,
        )

        async def flush() -> None:
            await asyncio.to_thread(redis_server.flush)

        flushes = {PAYMENTS * part // 10: flush for part in (3, 5, 7)} if cached else {}
        async with workers(settings, WORKERS) as url:
            signed = await sign(url, accounts, PAYMENTS)
            began = time.monotonic()
            outcomes = await present(url, signed, at=flushes)
            seconds = time.monotonic() - began
    rows, _ = await read_ledger(settings.ledger)
    assert Counter(row.state for row in rows.values()) == {State.DELIVERED: PAYMENTS}
    assert await balance(devnet, settings.recipient, TESTNET.currency.address) == PAYMENTS * PRICE
    assert {row.challenge_id for row in rows.values()} == {outcome.challenge_id for outcome in outcomes}
    replies = tally(outcomes)
    print(f"{PAYMENTS} payments in {seconds:.1f} s: {dict(replies)}")
    assert replies.total() == COPIES * PAYMENTS
    assert set(replies) <= {"200", "409 payment-in-progress", "402 invalid-challenge"}
    completions = Counter(completion.challenge_id for completion in read_journal(settings.journal))
    assert completions.keys() == rows.keys()
    if not cached:
        assert replies["200"] == PAYMENTS
        assert completions.total() == PAYMENTS
