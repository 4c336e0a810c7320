"""A client of pympp, the Python implementation, unmodified: makes one request, and pays for it if asked to.

Environment:
    URL        what to request (required)
    KEY        the payer's private key, 0x and 64 hex digits (required)
    RPC_URL    the chain's JSON-RPC endpoint (required)
    METHOD     default GET
    BODY       a JSON text to send, with content type application/json (default: none)
    CHAIN_ID   42431 (default) or 4217

Prints one line: {"status", "body", "headers", "receipt"}, where "body" is the text that came, "headers" are
lower-cased and "receipt" is the Payment-Receipt header or null. If the request was not answered, prints
{"error": message} and exits with 1.

Runs in an environment of its own (`pympp_python`), not in Coinslot's.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

from mpp.client import Mpp
from mpp.methods.tempo import TempoAccount, client as tempo


async def main() -> int:
    """Make the request and report it; returns the exit code."""
    env = os.environ
    method = tempo.charge(
        account=TempoAccount.from_key(env["KEY"]),
        chain_id=int(env.get("CHAIN_ID", "42431")),
        rpc_url=env["RPC_URL"],
    )
    sent = {"content": env["BODY"], "headers": {"content-type": "application/json"}} if "BODY" in env else {}
    try:
        async with Mpp(methods=[method]) as mpp:
            response = await mpp.fetch(env["URL"], method=env.get("METHOD", "GET"), **sent)
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}))
        return 1
    report = {
        "status": response.status_code,
        "body": response.text,
        "headers": dict(response.headers),
        "receipt": response.headers.get("payment-receipt"),
    }
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
