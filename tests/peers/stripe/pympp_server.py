"""A server of pympp that sells through Stripe, with Stripe's own client for Python, both unmodified.

    GET /spt                    a dollar, by shared payment token
    GET /record?hash=…&amount=… record a transfer of so many base units, as pympp does after one

Environment:
    STRIPE_URL   where Stripe is (required)
    STRIPE_KEY   the seller's secret key (required)
    NETWORK_ID   the seller's business profile (required)
    SECRET       the key that challenges are bound with, 32 characters or more (required)

Prints {"port": n} in one line when it listens, and nothing else on stdout. Ends with SIGTERM.

Runs in an environment of its own, which has both.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import stripe
from mpp import Receipt
from mpp.methods.stripe import create
from mpp.methods.stripe.crypto_payment_recorder import record_crypto_payment
from mpp.server import Mpp, Request, Response
from mpp.store import MemoryStore

env = os.environ
client = stripe.StripeClient(env["STRIPE_KEY"], base_addresses={"api": env["STRIPE_URL"]})
payments = create(network_id=env["NETWORK_ID"], livemode=False, client=client, store=MemoryStore())
mpp = Mpp(methods=payments.default_methods(), realm="127.0.0.1", secret_key=env["SECRET"])
charge = mpp.charge(amount="1.00")
loop = asyncio.new_event_loop()


async def decide(request: Request) -> Response:
    """The challenge, or what was bought."""
    result = await charge(request)
    return result.challenge if result.status != 200 else result.with_receipt(Response.json({"paid": True}))


async def record(query: dict[str, list[str]]) -> Response:
    """Nothing, whatever came of it: pympp does not say."""
    receipt = Receipt.success(reference=query["hash"][0], method="tempo")
    await record_crypto_payment(
        client=client,
        network="tempo",
        metadata=None,
        credential=None,
        request={"amount": query["amount"][0]},
        receipt=receipt,
    )
    return Response.json({})


class Handler(BaseHTTPRequestHandler):
    """One connection of the standard library's server, handed to the event loop."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        parts = urlsplit(self.path)
        if parts.path == "/record":
            work = record(parse_qs(parts.query))
        else:
            url = f"http://{self.headers['host']}{self.path}"
            work = decide(Request(self.command, url, list(self.headers.items()), None))
        response = asyncio.run_coroutine_threadsafe(work, loop).result()
        self.send_response(response.status)
        for name, value in response.headers.multi_items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body or b"")))
        self.end_headers()
        self.wfile.write(response.body or b"")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    threading.Thread(target=loop.run_forever, daemon=True).start()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(json.dumps({"port": server.server_address[1]}), flush=True)
    server.serve_forever()
