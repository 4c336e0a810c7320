"""Coinslot and the other implementations, as published, pay each other with shared payment tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

import pytest
from fastapi import FastAPI

import stripe_peers
from coinslot import Paywall, Receipt, Wallet
from coinslot.methods import stripe
from coinslot.sandbox.tempo import ThreadedDevnet
from peer_programs import Peer
from serving import serving
from stripe_payments import Stripe

CLIENTS: Final = {"mppx": "mppx_client.mjs", "pympp": "pympp_client.py"}
SERVERS: Final = {"mppx": "mppx_server.mjs", "pympp": "pympp_server.py"}
PEERS: Final = ["mppx", "pympp"]


def program(peer: str, name: str) -> list[str]:
    """The command line of a peer's program."""
    return [stripe_peers.node() if peer == "mppx" else stripe_peers.pympp_python(), name]


@pytest.fixture
def shop(charge: stripe.StripeCharge) -> Iterator[str]:
    """The URL of what a paywall sells for a dollar, with a reference of the seller's own."""
    app = FastAPI()
    paywall = Paywall([charge], secret_key="s" * 32, realm="127.0.0.1", ledger="memory:")
    paywall.attach(app)

    @app.get("/paid")
    @paywall.charge("1.00", external_id="order-7")
    async def paid() -> str:
        return "the goods"

    with serving(app) as url:
        yield f"{url}/paid"


@pytest.mark.parametrize("peer", PEERS)
async def test_a_peers_client_pays_a_paywall(
    peer: str, shop: str, world: Stripe, devnet: ThreadedDevnet, mppx: Peer
) -> None:
    """It reads our challenge, has a token issued on its terms, and gets the goods and a receipt."""
    command = program(peer, CLIENTS[peer])
    settings = {"stripe_url": world.url, "stripe_key": world.buyer.secret_key, "rpc_url": devnet.rpc_url}
    report = await asyncio.to_thread(stripe_peers.run, command, url=shop, **settings)
    assert report["status"] == 200, report
    receipt = Receipt.parse(report["receipt"])
    assert receipt.external_id == "order-7"
    paid = await world.ask("GET", f"/v1/payment_intents/{receipt.reference}", world.seller)
    assert (paid["status"], paid["amount_received"]) == ("succeeded", 100)


@pytest.mark.parametrize("peer", PEERS)
async def test_a_wallet_pays_a_peers_server(
    peer: str, world: Stripe, devnet: ThreadedDevnet, mppx: Peer
) -> None:
    """It picks the token among the peer's offers, and the peer charges it."""
    account = stripe.account(world.buyer.secret_key, payment_method="pm_card_visa", api_base=world.url)
    settings = {
        "stripe_url": world.url,
        "stripe_key": world.seller.secret_key,
        "network_id": world.seller.profile,
        "rpc_url": devnet.rpc_url,
    }
    with stripe_peers.serving_program(program(peer, SERVERS[peer]), **settings) as url:
        async with Wallet([account], max_amount="1.00") as wallet:
            response = await wallet.aget(f"{url}/spt")
    assert response.status_code == 200, response.text
    receipt = Receipt.parse(response.headers["payment-receipt"])
    paid = await world.ask("GET", f"/v1/payment_intents/{receipt.reference}", world.seller)
    assert (paid["status"], paid["amount_received"]) == ("succeeded", 100)
