"""The page on writing a method, followed to the letter: its code is run, and sells and buys."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx2

from coinslot import Paywall, Wallet
from coinslot.server.asgi import Receive, Scope, Send

PAGE = Path(__file__).parents[2] / "docs" / "methods.md"


def run_page() -> dict[str, Any]:
    """Every code block of the page, run in order, in one namespace."""
    namespace: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), namespace)
    return namespace


async def resource(scope: Scope, receive: Receive, send: Send) -> None:
    """What is sold."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"a good read"})


async def test_a_method_written_from_the_docs_works() -> None:
    """The page's paywall takes the page's wallet's voucher, once."""
    page = run_page()
    paywall, wallet = page["paywall"], page["wallet"]
    assert isinstance(paywall, Paywall)
    assert isinstance(wallet, Wallet)
    shop = httpx2.ASGITransport(app=paywall.charge("5.00").asgi(resource))
    transport = wallet.async_transport(shop)
    async with httpx2.AsyncClient(transport=transport, base_url="https://shop.example") as http:
        response = await http.get("/book")
    assert (response.status_code, response.text) == (200, "a good read")
    assert response.extensions["payment"].receipt.reference == "SPRING"
    payment = await paywall.ledger.find(response.extensions["payment"].challenge.id)
    assert payment is not None
    assert (payment.state, payment.proof_key, payment.amount) == ("delivered", "voucher:SPRING", 500)
    await paywall.aclose()
