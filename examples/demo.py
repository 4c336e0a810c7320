"""The whole story in one run: a chain, a paid API on port 4242, and a wallet that pays it.

Prints what happens, and writes what it measured to build/demo.json. Exits with 1 if anything is not as it
should be.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
from rich.console import Console
from rich.table import Table
from rich.text import Text

from coinslot import Receipt, Wallet
from coinslot.methods import tempo
from coinslot.sandbox.tempo import ThreadedDevnet

EXAMPLES = Path(__file__).parent
BUILD = EXAMPLES.parent / "build"
PORT = 4242
SHOP = f"http://localhost:{PORT}"
TOKEN = tempo.TESTNET.currency

console = Console(highlight=False)


class Demo:
    """The chain, the two parties, and the server's environment."""

    def __init__(self, devnet: ThreadedDevnet) -> None:
        self.devnet = devnet
        self.key = tempo.PrivateKey.generate()
        self.recipient = tempo.PrivateKey.generate().address
        self.directory = BUILD / "demo"
        self.environment = {
            **os.environ,
            "RECIPIENT": self.recipient,
            "RPC_URL": devnet.rpc_url,
            "MPP_SECRET_KEY": secrets.token_urlsafe(32),
            "MPP_REALM": "localhost",
        }

    def rpc(self, method: str, *params: object) -> object:
        """One call to the chain."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = httpx2.post(self.devnet.rpc_url, json=request, trust_env=False).json()
        return answer["result"]

    def balance(self, address: str) -> int:
        """What an address holds, in base units (millionths)."""
        data = "0x70a08231" + address[2:].lower().rjust(64, "0")  # balanceOf(address)
        return int(str(self.rpc("eth_call", {"to": TOKEN.address, "data": data}, "latest")), 16)

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
    """Remembers the credential that the wallet sent, so that the demo can play a thief with it."""

    authorization = ""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send the request, and note the credential."""
        self.authorization = request.headers.get("Authorization", "")
        return super().handle_request(request)


def main() -> None:
    """Tell the story."""
    require_free_port()
    with console.status("Starting a Tempo chain"), ThreadedDevnet() as devnet:
        demo = Demo(devnet)
        prepare(demo.directory)
        devnet.fund(demo.key.address)
        console.rule("[bold]A chain, a seller and a buyer")
        facts(
            chain=f"{devnet.rpc_url}, id {devnet.chain_id}",
            buyer=demo.key.address,
            seller=demo.recipient,
            server=f"{SHOP}/paid at 0.01 {TOKEN.symbol}, examples/charge.py",
        )
        results = {**buy(demo), **survive(demo)}
    BUILD.mkdir(exist_ok=True)
    (BUILD / "demo.json").write_text(json.dumps({"tempo": results}, indent=2) + "\n")
    check(results)
    console.print("\n[green]All as it should be.[/] The numbers are in build/demo.json.")


def buy(demo: Demo) -> dict[str, object]:
    """curl sees the price, the wallet pays it, and a thief's copy buys nothing."""
    before = demo.balance(demo.key.address), demo.balance(demo.recipient)
    with demo.server("charge"):
        console.rule("[bold]1. Without paying")
        command = ["curl", "-si", f"{SHOP}/paid"]
        console.print(f"[dim]$ {' '.join(command)}[/]")
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        console.print(shown.strip(), markup=False, soft_wrap=True)

        console.rule("[bold]2. With a wallet")
        recorder = LastCredential()
        wallet = Wallet(methods=[tempo.account(demo.key, rpc_url=demo.devnet.rpc_url)], max_amount="0.10")
        with wallet, httpx2.Client(transport=wallet.transport(recorder)) as http:
            response = http.get(f"{SHOP}/paid")
        receipt = Receipt.parse(response.headers["Payment-Receipt"])
        facts(status=response.status_code, body=response.text)
        facts(
            receipt=f"{receipt.status}, by {receipt.method}, at {receipt.timestamp}",
            reference=receipt.reference,
        )

        console.rule("[bold]3. On the chain")
        transaction = demo.rpc("eth_getTransactionReceipt", receipt.reference)
        assert isinstance(transaction, dict)
        facts(
            transaction=receipt.reference,
            block=int(transaction["blockNumber"], 16),
            outcome="success" if transaction["status"] == "0x1" else "reverted",
        )
        after = demo.balance(demo.key.address), demo.balance(demo.recipient)
        show_balances(before, after)

        console.rule("[bold]4. The same credential again")
        replay = httpx2.get(f"{SHOP}/paid", headers={"Authorization": recorder.authorization})
        facts(status=replay.status_code, detail=replay.json()["detail"])
    return {
        "status": response.status_code,
        "receipt": {
            "method": receipt.method,
            "reference": receipt.reference,
            "status": receipt.status,
            "timestamp": receipt.timestamp,
        },
        "payer_before": before[0],
        "payer_after": after[0],
        "recipient_before": before[1],
        "recipient_after": after[1],
        "replay_status": replay.status_code,
    }


def survive(demo: Demo) -> dict[str, object]:
    """The server dies after the money came and before the answer went; the same credential is honoured."""
    console.rule("[bold]5. The server dies between settlement and delivery")
    recorder = LastCredential()
    wallet = Wallet(methods=[tempo.account(demo.key, rpc_url=demo.devnet.rpc_url)])
    held = demo.balance(demo.recipient)
    answers: list[httpx2.Response] = []

    def ask() -> None:
        with httpx2.Client(transport=wallet.transport(recorder), timeout=60) as http:
            answers.append(http.get(f"{SHOP}/report"))

    with demo.server("report", WRITING_TIME="60") as process:
        buyer = threading.Thread(target=ask)
        buyer.start()
        wait_until(lambda: demo.balance(demo.recipient) > held, "the payment to arrive")
        process.send_signal(signal.SIGKILL)
        process.wait()
        facts(
            paid=f"{units(demo.balance(demo.recipient) - held)} {TOKEN.symbol} for {SHOP}/report",
            server="killed",
        )
    with demo.server("report"), console.status("The server is up again; the wallet presents its credential"):
        buyer.join()
    with wallet:
        pass
    (answer,) = answers
    facts(
        status=answer.status_code,
        body=answer.text,
        paid_in_all=f"{units(demo.balance(demo.recipient) - held)} {TOKEN.symbol}",
    )
    if demo.balance(demo.recipient) - held != 250_000:
        sys.exit("The report was not paid for exactly once.")
    return {"redelivered_status": answer.status_code}


def check(results: dict[str, object]) -> None:
    """Exit unless the story went as it should."""
    expected = {"status": 200, "replay_status": 402, "redelivered_status": 200}
    wrong = {name: results[name] for name, value in expected.items() if results[name] != value}
    if wrong or results["recipient_after"] != int(str(results["recipient_before"])) + 10_000:
        sys.exit(f"Something went wrong: {results}")


def show_balances(before: tuple[int, int], after: tuple[int, int]) -> None:
    """Who had what, and has what now."""
    table = Table(box=None, pad_edge=False)
    for name in ("", "before", "after", "difference"):
        table.add_column(name, justify="right" if name else "left")
    for name, was, now in zip(("buyer", "seller"), before, after, strict=True):
        table.add_row(name, units(was), units(now), f"{'+' if now >= was else ''}{units(now - was)}")
    console.print(table)
    console.print("[dim]The buyer also paid the chain's fee.[/]")


def units(amount: int) -> str:
    """Base units as a decimal, exactly."""
    sign, digits = ("-" if amount < 0 else ""), str(abs(amount)).rjust(7, "0")
    return f"{sign}{digits[:-6]}.{digits[-6:]}"


def facts(**rows: object) -> None:
    """Names and values, aligned."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in rows.items():
        style = {200: "green", 402: "yellow"}.get(value) if isinstance(value, int) else None
        table.add_row(name.replace("_", " "), Text(str(value), style=style or ""))
    console.print(table)


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


if __name__ == "__main__":
    main()
