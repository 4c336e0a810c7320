"""Where the story plays: the chain, Stripe, the two parties, and the server."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from coinslot import Receipt
from coinslot.methods import tempo
from coinslot.sandbox.stripe import ThreadedStripeSandbox
from coinslot.sandbox.tempo import ThreadedDevnet

EXAMPLES = Path(__file__).parents[1]
BUILD = EXAMPLES.parent / "build"
PORT = 4242
SHOP = f"http://localhost:{PORT}"
TOKEN = tempo.TESTNET.currency


class Stage:
    """A chain and a Stripe that run, a buyer with money, and the environment of the seller's server."""

    def __init__(self, devnet: ThreadedDevnet, stripe: ThreadedStripeSandbox) -> None:
        self.devnet = devnet
        self.stripe = stripe
        self.key = tempo.PrivateKey.generate()
        self.recipient = tempo.PrivateKey.generate().address
        self.directory = BUILD / "demo"
        self.environment = {
            **os.environ,
            "RECIPIENT": self.recipient,
            "RPC_URL": devnet.rpc_url,
            "STRIPE_SECRET_KEY": stripe.account().secret_key,
            "STRIPE_PROFILE_ID": stripe.account().profile,
            "STRIPE_API_BASE": stripe.url,
            "MPP_SECRET_KEY": secrets.token_urlsafe(32),
            "MPP_REALM": "localhost",
        }
        devnet.fund(self.key.address)
        prepare(self.directory)

    def rpc(self, method: str, *params: object) -> object:
        """One call to the chain."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = httpx2.post(self.devnet.rpc_url, json=request, trust_env=False).json()
        return answer["result"]

    def balance(self, address: str) -> int:
        """What an address holds, in base units (millionths)."""
        data = "0x70a08231" + address[2:].lower().rjust(64, "0")  # balanceOf(address)
        return int(str(self.rpc("eth_call", {"to": TOKEN.address, "data": data}, "latest")), 16)

    def ask_stripe(self, path: str) -> Any:
        """What the seller's Stripe account says."""
        headers = {
            "Authorization": f"Bearer {self.stripe.account().secret_key}",
            "Stripe-Version": "2026-07-29.preview",
        }
        answer = httpx2.get(f"{self.stripe.url}{path}", headers=headers, trust_env=False)
        return answer.raise_for_status().json()

    @contextmanager
    def server(self, app: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
        """uvicorn with one of the examples; stopped, if it still runs, at the end."""
        log = (self.directory / "server.log").open("ab")
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "uvicorn", f"{app}:app", "--app-dir", str(EXAMPLES)),
                *("--port", str(PORT), "--log-level", "warning"),
            ],
            env={**self.environment, **environment},
            cwd=self.directory,
            stdout=log,
            stderr=log,
        )
        try:
            wait_for_server(process, self.directory / "server.log")
            yield process
        finally:
            process.terminate()
            process.wait()
            log.close()


class LastCredential(httpx2.HTTPTransport):
    """Remembers the credential that the wallet sent, so that the story can show it, or have it stolen."""

    authorization = ""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send the request, and note the credential."""
        self.authorization = request.headers.get("Authorization", "")
        return super().handle_request(request)


def members(receipt: Receipt) -> dict[str, str]:
    """A receipt as it is written to build/demo.json."""
    return {
        "method": receipt.method,
        "reference": receipt.reference,
        "status": receipt.status,
        "timestamp": receipt.timestamp,
    }


def prepare(directory: Path) -> None:
    """A directory of its own, without the ledger of an earlier run."""
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.iterdir():
        old.unlink()


def require_free_port() -> None:
    """The port is part of the story, so it has to be free."""
    try:
        httpx2.get(SHOP, timeout=1, trust_env=False)
    except httpx2.HTTPError:
        return
    sys.exit(f"Port {PORT} is in use: stop what listens there, then run the demo again.")


def wait_for_server(process: subprocess.Popen[bytes], log: Path) -> None:
    """Until the server answers, or has ended."""

    def is_up() -> bool:
        if process.poll() is not None:
            sys.exit(f"The server did not start:\n{log.read_text()}")
        try:
            return httpx2.get(f"{SHOP}/openapi.json", trust_env=False).status_code == 200
        except httpx2.HTTPError:
            return False

    wait_until(is_up, "the server to start")


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    """Poll, up to a limit."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"Waited {seconds:g} s for {what} in vain.")
        time.sleep(0.05)
