"""Tempo in pull mode, with unmodified peers on a real chain: they pay us, and we pay them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import Body, FastAPI

from coinslot import Payment, Paywall, Receipt, Wallet
from coinslot.methods import tempo
from coinslot.sandbox.tempo import ThreadedDevnet
from peer_programs import PROGRAMS, Peer
from serving import serving

PRICE = 10_000  # base units: 0.01
BODY = {"question": "π?", "n": [1, 2, 3]}


def balance(devnet: ThreadedDevnet, address: str) -> int:
    """What an address holds of the testnet's currency, in base units."""
    call = {
        "to": tempo.TESTNET.currency.address,
        "data": "0x70a08231" + address[2:].lower().rjust(64, "0"),
    }
    request = {"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [call, "latest"]}
    return int(httpx2.post(devnet.rpc_url, json=request, trust_env=False).json()["result"], 16)


@pytest.fixture
def recipient() -> str:
    """Somebody who has nothing yet."""
    return tempo.PrivateKey.generate().address


@pytest.fixture(scope="module")
def payer(devnet: ThreadedDevnet) -> tempo.PrivateKey:
    """Somebody who can pay."""
    key = tempo.PrivateKey.generate()
    devnet.fund(key.address)
    return key


@pytest.fixture
def shop(devnet: ThreadedDevnet, recipient: str, tmp_path: Path) -> Iterator[str]:
    """Our server: GET and POST /paid, at 0.01."""
    paywall = Paywall(
        methods=[tempo.charge(recipient, rpc_url=devnet.rpc_url)],
        secret_key="interoperability needs thirty-two bytes",
        realm="127.0.0.1",
        ledger=f"sqlite:///{tmp_path}/coinslot.db",
    )
    app = FastAPI()
    paywall.attach(app)

    @app.get("/paid")
    @paywall.charge("0.01")
    async def get(payment: Payment) -> dict[str, object]:
        return {"payer": payment.payer}

    @app.post("/paid")
    @paywall.charge("0.01")
    async def post(body: Annotated[dict[str, Any], Body()], payment: Payment) -> dict[str, object]:
        return {"payer": payment.payer, "body": body}

    with serving(app) as url:
        yield f"{url}/paid"


@pytest.fixture(params=["mppx", "pympp"])
def peer(request: pytest.FixtureRequest) -> Peer:
    """Each of the peers."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Peer)
    return found


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_peers_pay_us(
    peer: Peer, method: str, shop: str, devnet: ThreadedDevnet, payer: tempo.PrivateKey, recipient: str
) -> None:
    """The client libraries of mppx and pympp buy from our server."""
    body = {"body": json.dumps(BODY)} if method == "POST" else {}
    answer = peer.fetch(shop, payer.to_hex(), devnet.rpc_url, method=method, **body)
    assert answer.status == 200, answer
    sold = {"payer": payer.address, **({"body": BODY} if method == "POST" else {})}
    assert json.loads(answer.body) == sold
    assert Receipt.parse(answer.receipt or "").method == "tempo"
    assert balance(devnet, recipient) == PRICE


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_mppx_command_pays_us(
    mppx: Peer, method: str, shop: str, devnet: ThreadedDevnet, payer: tempo.PrivateKey, recipient: str
) -> None:
    """The command line of mppx buys from our server."""
    command = [str(PROGRAMS / "node_modules" / ".bin" / mppx.name), shop, "-s"]
    if method == "POST":
        command += ["-X", "POST", "-d", json.dumps(BODY), "-H", "content-type: application/json"]
    account = {"MPPX_PRIVATE_KEY": payer.to_hex(), "MPPX_RPC_URL": devnet.rpc_url}
    done = subprocess.run(
        command, env={**os.environ, **account}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["payer"] == payer.address
    assert balance(devnet, recipient) == PRICE


@pytest.fixture
def stall(peer: Peer, devnet: ThreadedDevnet, recipient: str) -> Iterator[str]:
    """A peer's server, which sells at 0.01."""
    with peer.serve(devnet.rpc_url, recipient) as url:
        yield url


async def test_we_pay_peers(
    stall: str, devnet: ThreadedDevnet, payer: tempo.PrivateKey, recipient: str
) -> None:
    """Our wallet buys from the servers of mppx and pympp: GET and POST, synchronously and not."""
    with Wallet([tempo.account(payer, rpc_url=devnet.rpc_url)], max_amount="0.05") as wallet:
        for response in (wallet.get(stall), wallet.post(stall, json=BODY)):
            assert response.status_code == 200, response.text
            assert response.extensions["payment"].receipt.reference.startswith("0x")
        assert json.loads(response.json()["body"]) == BODY
    async with Wallet([tempo.account(payer, rpc_url=devnet.rpc_url)], max_amount="0.05") as wallet:
        for response in (await wallet.aget(stall), await wallet.apost(stall, json=BODY)):
            assert response.status_code == 200, response.text
            assert response.extensions["payment"].outcome == "paid"
    assert balance(devnet, recipient) == 4 * PRICE


def test_our_wallet_pays_our_server(
    shop: str, devnet: ThreadedDevnet, payer: tempo.PrivateKey, recipient: str
) -> None:
    """Both ends ours, through two real HTTP connections and a real chain."""
    with Wallet([tempo.account(payer, rpc_url=devnet.rpc_url)], max_amount="0.05") as wallet:
        assert wallet.get(shop).json() == {"payer": payer.address}
        assert wallet.post(shop, json=BODY).json() == {"payer": payer.address, "body": BODY}
    assert balance(devnet, recipient) == 2 * PRICE
