"""A shop in a process of its own, whose money takes until it is told to come: for stopping it meanwhile.

python patient_shop.py DATABASE DIRECTORY NOTE SECONDS

It prints its port. The file `settling` appears in the directory once it waits for money, which comes when
there is a file `go`. A server that is stopped gives its requests so many seconds.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from coinslot import Paywall
from coinslot.payments.method import Settlement
from scrip import Mint, ScripCharge

SECRET = "a secret of at least thirty-two bytes"


class PatientMint(Mint):
    """A mint that waits to be told."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory

    async def spend(self, note: str) -> Settlement:
        """Once it may."""
        (self._directory / "settling").touch()
        while not (self._directory / "go").exists():
            await asyncio.sleep(0.01)
        return await super().spend(note)


def main() -> None:
    """Serve until SIGTERM."""
    database, directory, note, seconds = sys.argv[1:]
    mint = PatientMint(Path(directory))
    mint.notes[note] = 1
    paywall = Paywall([ScripCharge(mint)], secret_key=SECRET, realm="shop", ledger=database)

    @paywall.charge("0.01")
    async def paid(_: Request) -> JSONResponse:
        return JSONResponse({"data": "worth it"})

    app = Starlette(routes=[Route("/paid", paid)])
    paywall.attach(app)
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=int(seconds))
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    main()
