"""Tempo charges between Coinslot and its peers: everybody pays everybody, in every way, on real chains."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import Any

import pytest

from coinslot import Credential, Receipt, Wallet
from coinslot.methods import tempo
from coinslot.methods.tempo.keys import PrivateKey
from interop.chains import Chain
from interop.parties import Client, Deal, OurClient, OurServer, Partner, PeerClient, PeerServer, Server
from interop.ways import LIMITS, Cell, cells, limit_of
from peer_programs import Peer, PeerFailed, Report

PRICE = 10_000  # base units: what all but a proof costs
FOR_FEES = 1_000_000
MEMO = b"a partner's own reference".ljust(32, b"\0")
PARTS = (("0.003", 3_000, None), ("0.001", 1_000, MEMO))
TRANSFER_WITH_MEMO = "0x57bc7354aa85aed339e000bccffabbc529466af35f0772c8f8ee1145927de7f0"


@pytest.fixture
def chain(request: pytest.FixtureRequest, cell: Cell) -> Chain:
    """Where the cell is tried."""
    found: Chain = request.getfixturevalue(f"chain_{cell.chain.lower()}")
    return found


@pytest.fixture
def deal(request: pytest.FixtureRequest, chain: Chain, cell: Cell) -> Deal:
    """The cell's terms, between people whom nobody has seen before. The payer has what it takes."""
    payer = PrivateKey.generate()
    chain.give(payer.address, price=PRICE, fees=0 if cell.way.sponsored else FOR_FEES)
    return Deal(
        way=cell.way,
        rpc_url=chain.rpc.url,
        chain_id=chain.chain_id,
        currency=chain.currency,
        payer=payer,
        funds=chain.fortune(payer.address),
        recipient=PrivateKey.generate().address,
        partners=tuple(
            Partner(PrivateKey.generate().address, amount, units, memo)
            for amount, units, memo in (PARTS if cell.way.splits else ())
        ),
        sponsor=chain.sponsor if cell.way.sponsored else None,
        relay=request.getfixturevalue("relay") if cell.way.relayed else None,
    )


def peer(request: pytest.FixtureRequest, cell: Cell, name: str) -> Peer:
    """A peer as it works on the cell's chain."""
    found: Peer = request.getfixturevalue("mppx_t4" if (name, cell.chain) == ("mppx", "T4") else name)
    return found


@pytest.fixture
def server(request: pytest.FixtureRequest, cell: Cell) -> Server:
    """Who sells."""
    return OurServer() if cell.server == "ours" else PeerServer(peer(request, cell, cell.server))


@pytest.fixture
def client(request: pytest.FixtureRequest, cell: Cell) -> Client:
    """Who buys."""
    return OurClient() if cell.client == "ours" else PeerClient(peer(request, cell, cell.client))


@pytest.mark.parametrize("cell", cells(), ids=str)
def test_everybody_pays_everybody(
    cell: Cell, chain: Chain, deal: Deal, server: Server, client: Client
) -> None:
    """What is asked for is paid and delivered; or, where that is known, whoever cannot do it says so."""
    limit = limit_of(cell)
    report: Report | PeerFailed
    with server.sell(deal) as url:
        try:
            report = client.buy(url, deal)
        except PeerFailed as failure:
            report = failure
    if limit is None:
        assert isinstance(report, Report), report
        check_delivery(cell, deal, report)
        check_money(cell, chain, deal, report)
    else:
        assert re.search(limit.says, outcome(report), re.DOTALL), outcome(report)
        assert chain.balance(deal.recipient) == 0


def test_every_limit_shows_in_a_cell() -> None:
    """No limit is about cells that do not exist."""
    assert {limit_of(cell) for cell in cells()} == {None, *LIMITS}


@pytest.mark.parametrize("cell", cells("pull"), ids=str)
def test_who_has_nothing_pays_nothing(
    cell: Cell, chain: Chain, deal: Deal, server: Server, client: Client
) -> None:
    """An account without money gets nothing: its own client stops, or the server refuses."""
    poor = deal._replace(payer=PrivateKey.generate())
    with server.sell(poor) as url:
        try:
            status = client.buy(url, poor).status
        except PeerFailed:
            status = 402
    assert status == 402 if cell.server == "ours" else status >= 400
    assert chain.balance(poor.recipient) == 0


@pytest.mark.parametrize("cell", cells("pull", "body", server="ours", client="mppx"), ids=str)
def test_the_mppx_command_pays_us(mppx: Peer, cell: Cell, chain: Chain, deal: Deal, server: Server) -> None:
    """The command line of mppx buys from our server: GET and POST."""
    post = ["-X", "POST", "-d", cell.way.body or "", "-H", "content-type: application/json"]
    account = {"MPPX_PRIVATE_KEY": deal.payer.to_hex(), "MPPX_RPC_URL": deal.rpc_url}
    with server.sell(deal) as url:
        done = subprocess.run(
            [mppx.command("mppx"), url, "-s", *(post if cell.way.body else [])],
            env={**os.environ, **account},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["body"] == cell.way.body
    assert chain.balance(deal.recipient) == PRICE


@pytest.mark.parametrize("cell", cells("pull", "body", client="ours"), ids=str)
async def test_our_wallet_pays_from_asynchronous_code(
    cell: Cell, chain: Chain, deal: Deal, server: Server
) -> None:
    """The wallet's asynchronous half buys from everybody: GET and POST."""
    account = tempo.account(deal.payer, rpc_url=deal.rpc_url)
    with server.sell(deal) as url:
        async with Wallet([account], max_amount="0.05") as wallet:
            if cell.way.body is None:
                response = await wallet.aget(url)
            else:
                response = await wallet.apost(url, content=cell.way.body.encode())
    assert response.status_code == 200, response.text
    assert response.json()["body"] == cell.way.body
    assert response.extensions["payment"].outcome == "paid"
    assert chain.balance(deal.recipient) == PRICE


def outcome(report: Report | PeerFailed) -> str:
    """What limits are matched with."""
    if isinstance(report, PeerFailed):
        return str(report)
    receipt = Receipt.parse(report.receipt).reference if report.receipt else ""
    return f"{report.status} {report.body} {receipt}"


def check_delivery(cell: Cell, deal: Deal, report: Report) -> None:
    """The client has what it paid for, and paid in the way that was asked for."""
    assert report.status == 200, report
    method = "GET" if cell.way.body is None else "POST"
    assert json.loads(report.body) == {"paid": True, "method": method, "body": cell.way.body}
    receipt = Receipt.parse(report.receipt or "")
    assert (receipt.method, receipt.status) == ("tempo", "success")
    if cell.server == "ours":
        assert receipt.external_id == cell.way.external_id
        # Of a transaction that only the relay has looked at, nobody says whose it is.
        is_told = not (cell.way.relayed and cell.way.kind == "hash")
        assert report.headers["x-payer"] == (deal.payer.address if is_told else "None")
    assert Credential.parse(report.credential or "").payload["type"] == cell.way.kind


def check_money(cell: Cell, chain: Chain, deal: Deal, report: Report) -> None:
    """Everybody has their part, and the payer is poorer by that and no more than the fee, if it is theirs."""
    reference = Receipt.parse(report.receipt or "").reference
    spent = deal.funds - chain.fortune(deal.payer.address)
    if cell.way.kind == "proof":
        assert reference == Credential.parse(report.credential or "").challenge.id
        assert (spent, chain.balance(deal.recipient)) == (0, 0)
        return
    transaction = chain.rpc("eth_getTransactionReceipt", reference)
    fee_payer = deal.sponsor or deal.payer
    assert transaction["status"] == "0x1"
    assert transaction["from"] == deal.payer.address.lower()
    assert transaction["feePayer"] == fee_payer.address.lower()
    assert spent == PRICE + (0 if deal.sponsor else fee_of(transaction))
    assert chain.balance(deal.recipient) == PRICE - sum(partner.units for partner in deal.partners)
    for partner in deal.partners:
        assert chain.balance(partner.recipient) == partner.units
        assert partner.memo is None or memo_with(transaction, partner.recipient) == partner.memo


def fee_of(transaction: dict[str, Any]) -> int:
    """What a transaction cost its fee payer, in base units. Gas is priced in attodollars."""
    return -(-int(transaction["gasUsed"], 16) * int(transaction["effectiveGasPrice"], 16) // 10**12)


def memo_with(transaction: dict[str, Any], recipient: str) -> bytes | None:
    """The memo of a transfer to somebody."""
    for log in transaction["logs"]:
        topic, *indexed = log["topics"]
        if topic == TRANSFER_WITH_MEMO and indexed[1].endswith(recipient[2:].lower()):
            return bytes.fromhex(indexed[2][2:])
    return None
