"""A reader of Stripe's guide: a shell, a server to start, and a browser on the dashboard."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from coinslot.sandbox.stripe import ThreadedStripeSandbox
from coinslot.sandbox.tempo import ThreadedDevnet
from command import Command, Run
from link_parties import decide

ROOT = Path(__file__).parents[1]


class Reader:
    """One who has Coinslot installed, and has done nothing yet."""

    def __init__(self, home: Path, devnet: ThreadedDevnet, stripe: ThreadedStripeSandbox, link: str) -> None:
        self.home = home
        self.stripe = stripe
        self.coinslot = Command(home)
        self.coinslot.environment |= {
            "COINSLOT_PASSPHRASE": "korrekt",
            "COINSLOT_RPC_URL": devnet.rpc_url,
            "LINK_API_BASE_URL": link,
            "LINK_AUTH_BASE_URL": link,
            "STRIPE_SECRET_KEY": stripe.account().secret_key,
            "STRIPE_API_BASE": stripe.url,
        }
        self._settings = {
            "STRIPE_SECRET_KEY": stripe.account().secret_key,
            "STRIPE_PROFILE_ID": stripe.account().profile,
            "STRIPE_API_BASE": stripe.url,
            "RPC_URL": devnet.rpc_url,
            "MPP_SECRET_KEY": "a secret of at least thirty-two bytes",
            "MPP_REALM": "localhost",
        }

    @contextmanager
    def server(self, app: str) -> Iterator[str]:
        """One of the examples, in a process of its own; gives the URL of what it sells."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-W", "error", "-m", "uvicorn", f"{app}:app"]
        command += ["--app-dir", str(ROOT / "examples"), "--port", str(port)]
        with (self.home / "server.log").open("ab") as log:
            process = subprocess.Popen(
                command, env={**os.environ, **self._settings}, cwd=self.home, stdout=log, stderr=log
            )
        try:
            self._wait_for(process, port)
            yield f"http://localhost:{port}/paid"
        finally:
            process.terminate()
            process.wait()

    def attend(self, *arguments: str) -> Run:
        """Run a command that names a page, and say yes there."""
        with self.coinslot.start(*arguments) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if found := re.search(r"(?:open|approved at) (http\S+)", line.decode()):
                    decide(found[1], yes=True)
                    break
            out, err = process.communicate(timeout=60)
        return Run(process.returncode, out, err.decode())

    def payments(self, state: str) -> list[str]:
        """The PaymentIntents on one of the dashboard's lists, newest first."""
        page = httpx2.get(f"{self.stripe.url}/?state={state}", trust_env=False)
        return re.findall(r'href="/payments/(pi_\w+)"', page.text)

    def payment(self, intent: str) -> str:
        """The dashboard's page of a PaymentIntent."""
        return httpx2.get(f"{self.stripe.url}/payments/{intent}", trust_env=False).text

    def _wait_for(self, process: subprocess.Popen[bytes], port: int) -> None:
        while process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError((self.home / "server.log").read_text())
