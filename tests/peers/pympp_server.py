"""A server of pympp, the Python implementation, unmodified.

    GET /paid, POST /paid    sell {"paid": true, "method": …, "body": …}, the last being what was posted

Environment:
    SECRET          the key that challenges are bound with, 32 characters or more (required)
    PORT            default 0: any; the host is 127.0.0.1

Environment, or the query of /paid, in lower case: what it is sold for. One process serves any number of
queries, each as a shop of its own.
    RPC_URL         the chain's JSON-RPC endpoint (required)
    RECIPIENT       the address that is paid (required)
    AMOUNT          decimal string, default "0.01"
    CURRENCY        token address, default pathUSD
    CHAIN_ID        42431 (default) or 4217
    REALM           default "127.0.0.1"
    FEE_PAYER_KEY   private key of an account that pays the fees (default: the payer does)
    MODES           handed on to pympp, which knows no modes (default: not)
    SPLITS          JSON array of {"amount", "recipient", "memo"?}, amounts in decimal strings (default: none)
    EXTERNAL_ID     the seller's own reference (default: none)
    RELAY_URL       a relay that checks and broadcasts for the server (default: it does that itself), and
    RELAY_KEY       the API key for that
    EXPIRES_IN      for how many seconds a challenge can be paid (default: pympp's, five minutes)

Prints {"port": n} in one line when it listens, and nothing else on stdout. Ends with SIGTERM. What goes wrong
is answered with 500 and the reason.

Runs in an environment of its own, not in Coinslot's.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import threading
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from mpp.methods.tempo import TempoAccount, server as tempo
from mpp.methods.tempo.relay import Relay
from mpp.server import Mpp, Request, Response

PATH_USD = "0x20c0000000000000000000000000000000000000"
DECIMALS = 6

loop = asyncio.new_event_loop()


@functools.cache
def shop_of(query: str) -> Callable[[Request], Awaitable[Any]]:
    """What decides of requests that come with this query."""
    settings = {**os.environ, **{name.upper(): value for name, value in parse_qsl(query)}}
    fee_payer_key = settings.get("FEE_PAYER_KEY")
    mpp = Mpp(
        methods=tempo.charge(
            recipient=settings["RECIPIENT"],
            chain_id=int(settings.get("CHAIN_ID", "42431")),
            rpc_url=settings["RPC_URL"],
            currencies=[settings.get("CURRENCY", PATH_USD)],
            fee_payer=TempoAccount.from_key(fee_payer_key) if fee_payer_key else None,
            relay=Relay(settings["RELAY_KEY"], settings["RELAY_URL"]) if "RELAY_URL" in settings else None,
        ),
        realm=settings.get("REALM", "127.0.0.1"),
        secret_key=settings["SECRET"],
    )
    return mpp.charge(**options_of(settings))


def options_of(settings: dict[str, str]) -> dict[str, Any]:
    """The route's own settings, as pympp takes them."""
    options: dict[str, Any] = {"amount": settings.get("AMOUNT", "0.01")}
    if "FEE_PAYER_KEY" in settings:
        options["fee_payer"] = True
    if "MODES" in settings:
        options["supported_modes"] = settings["MODES"].split(",")
    if "SPLITS" in settings:
        options["splits"] = [
            {**split, "amount": str(int(Decimal(split["amount"]).scaleb(DECIMALS)))}
            for split in json.loads(settings["SPLITS"])
        ]
    if "EXTERNAL_ID" in settings:
        options["external_id"] = settings["EXTERNAL_ID"]
    if "EXPIRES_IN" in settings:
        options["expires_in"] = timedelta(seconds=float(settings["EXPIRES_IN"]))
    return options


async def decide(request: Request, query: str) -> Response:
    """The challenge, or what was bought."""
    result = await shop_of(query)(request)
    if result.status != 200:
        return result.challenge
    body = request.body.decode() if request.body else None
    return result.with_receipt(Response.json({"paid": True, "method": request.method, "body": body}))


class Handler(BaseHTTPRequestHandler):
    """One connection of the standard library's server, handed to the event loop."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer a GET, or whatever else came."""
        body = self.rfile.read(int(self.headers.get("content-length", 0))) or None
        response = self._answer(body)
        self.send_response(response.status)
        for name, value in response.headers.multi_items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body or b"")))
        self.end_headers()
        self.wfile.write(response.body or b"")

    do_POST = do_GET

    def _answer(self, body: bytes | None) -> Response:
        path, _, query = self.path.partition("?")
        if path != "/paid":
            return Response(404)
        url = f"http://{self.headers['host']}{self.path}"
        request = Request(self.command, url, list(self.headers.items()), body)
        try:
            return asyncio.run_coroutine_threadsafe(decide(request, query), loop).result()
        except Exception as error:
            return Response(500, body=f"{type(error).__name__}: {error}".encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    threading.Thread(target=loop.run_forever, daemon=True).start()
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "0"))), Handler)
    print(json.dumps({"port": server.server_address[1]}), flush=True)
    server.serve_forever()
