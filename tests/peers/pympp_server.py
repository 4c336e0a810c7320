"""A server of pympp, the Python implementation, unmodified.

    GET /paid, POST /paid    sell {"paid": true, "method": …, "body": …}, the last being what was posted

Environment:
    RPC_URL         the chain's JSON-RPC endpoint (required)
    RECIPIENT       the address that is paid (required)
    SECRET          the key that challenges are bound with, 32 characters or more (required)
    PORT            default 0: any; the host is 127.0.0.1
    AMOUNT          decimal string, default "0.01"
    CURRENCY        token address, default pathUSD
    CHAIN_ID        42431 (default) or 4217
    REALM           default "127.0.0.1"
    FEE_PAYER_KEY   private key of an account that pays the fees (default: the payer does)

Prints {"port": n} in one line when it listens, and nothing else on stdout. Ends with SIGTERM.

Runs in an environment of its own (`pympp_python`), not in Coinslot's.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from mpp.methods.tempo import TempoAccount, server as tempo
from mpp.server import Mpp, Request, Response

PATH_USD = "0x20c0000000000000000000000000000000000000"

env = os.environ
fee_payer_key = env.get("FEE_PAYER_KEY")
mpp = Mpp(
    methods=tempo.charge(
        recipient=env["RECIPIENT"],
        chain_id=int(env.get("CHAIN_ID", "42431")),
        rpc_url=env["RPC_URL"],
        currencies=[env.get("CURRENCY", PATH_USD)],
        fee_payer=TempoAccount.from_key(fee_payer_key) if fee_payer_key else None,
    ),
    realm=env.get("REALM", "127.0.0.1"),
    secret_key=env["SECRET"],
)
charge = mpp.charge(amount=env.get("AMOUNT", "0.01"), **({"fee_payer": True} if fee_payer_key else {}))
loop = asyncio.new_event_loop()


async def decide(request: Request) -> Response:
    """The challenge, or what was bought."""
    result = await charge(request)
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
        if self.path.partition("?")[0] == "/paid":
            request = Request(
                self.command,
                f"http://{self.headers['host']}{self.path}",
                list(self.headers.items()),
                body,
            )
            response = asyncio.run_coroutine_threadsafe(decide(request), loop).result()
        else:
            response = Response(404)
        self.send_response(response.status)
        for name, value in response.headers.multi_items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body or b"")))
        self.end_headers()
        self.wfile.write(response.body or b"")

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    threading.Thread(target=loop.run_forever, daemon=True).start()
    server = ThreadingHTTPServer(("127.0.0.1", int(env.get("PORT", "0"))), Handler)
    print(json.dumps({"port": server.server_address[1]}), flush=True)
    server.serve_forever()
