"""A client of pympp, the Python implementation, unmodified: makes requests, and pays for them if asked to.

Reads requests from stdin, one JSON object a line, and makes one after the other:
    url        what to request (required)
    key        the payer's private key, 0x and 64 hex digits (required)
    rpc_url    the chain's JSON-RPC endpoint (required)
    method     default GET
    body       a JSON text to send, with content type application/json (default: none)
    chain_id   42431 (default) or 4217
    mode       handed on to pympp, which knows no modes (default: not)

Prints a line for each: {"status", "body", "headers", "receipt", "credential"}, where "body" is the text that
came, "headers" are lower-cased, "receipt" is the Payment-Receipt header or null, and "credential" is what was
presented ("Payment …") or null; or {"error": message} if the request was not answered. Ends with its input.

Runs in an environment of its own, not in Coinslot's.
"""

from __future__ import annotations

import asyncio
import json
import sys

from mpp.client import Mpp
from mpp.methods.tempo import TempoAccount, client as tempo


async def make(request: dict[str, str]) -> dict[str, object]:
    """Make one request; returns the report of it."""
    method = tempo.charge(
        account=TempoAccount.from_key(request["key"]),
        chain_id=int(request.get("chain_id", "42431")),
        rpc_url=request["rpc_url"],
        **({"mode": request["mode"]} if "mode" in request else {}),
    )
    body = request.get("body")
    sent = {"content": body, "headers": {"content-type": "application/json"}} if body else {}
    presented: list[str] = []
    async with Mpp(methods=[method]) as mpp:
        mpp.on_credential_created(lambda event: presented.append(event["credential"].to_authorization()))
        response = await mpp.fetch(request["url"], method=request.get("method", "GET"), **sent)
    return {
        "status": response.status_code,
        "body": response.text,
        "headers": dict(response.headers),
        "receipt": response.headers.get("payment-receipt"),
        "credential": presented[-1] if presented else None,
    }


async def main() -> None:
    """Make requests until there are no more."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        try:
            report = await make(json.loads(line))
        except Exception as error:
            report = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(report), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
