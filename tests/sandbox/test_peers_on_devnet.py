"""The sandbox as other implementations see it: unmodified clients and servers pay each other on it."""

from __future__ import annotations

import base64
import json

import pytest

from coinslot.methods.tempo.keys import PrivateKey
from coinslot.sandbox.tempo import ThreadedDevnet
from peer_programs import Peer, PeerFailed, Report
from sandbox_rpc import RPC, pay, payment, raw

PRICE = 10_000


def reference(report: Report) -> str:
    """The transaction that a receipt names."""
    assert report.receipt is not None
    padded = report.receipt + "=" * (-len(report.receipt) % 4)
    hash_: str = json.loads(base64.urlsafe_b64decode(padded))["reference"]
    return hash_


def check_twice(
    server: Peer,
    client: Peer,
    devnet: ThreadedDevnet,
    rpc: RPC,
    payer: PrivateKey,
    shop: str,
    **settings: str,
) -> None:
    """Two payments of one account, a GET and a POST, settle and are received."""
    with server.serve(devnet.rpc_url, shop, **settings) as url:
        first = client.fetch(url, payer.to_hex(), devnet.rpc_url)
        second = client.fetch(url, payer.to_hex(), devnet.rpc_url, method="POST", body='{"a": 1}')
    assert (first.status, json.loads(first.body)) == (200, {"paid": True, "method": "GET", "body": None})
    assert (second.status, json.loads(second.body)["body"]) == (200, '{"a": 1}')
    assert rpc.balance(shop) == 2 * PRICE
    for report in (first, second):
        assert rpc("eth_getTransactionReceipt", reference(report))["status"] == "0x1"


def test_mppx_pays_mppx(mppx: Peer, devnet: ThreadedDevnet, rpc: RPC, payer: PrivateKey, shop: str) -> None:
    """mppx's client pays mppx's server, both as published."""
    check_twice(mppx, mppx, devnet, rpc, payer, shop)


def test_pympp_pays_pympp(
    pympp: Peer, devnet: ThreadedDevnet, rpc: RPC, payer: PrivateKey, shop: str
) -> None:
    """pympp's client pays pympp's server, both as published."""
    check_twice(pympp, pympp, devnet, rpc, payer, shop)


@pytest.mark.parametrize("name", ["mppx", "pympp"])
def test_a_sponsor_pays_the_fee(
    request: pytest.FixtureRequest, devnet: ThreadedDevnet, rpc: RPC, shop: str, name: str
) -> None:
    """An account with the price and nothing for a fee pays with a sponsor, whom the receipt names."""
    sponsor, payer, giver = (PrivateKey.generate() for _ in range(3))
    devnet.fund(sponsor.address)
    devnet.fund(giver.address)
    rpc("eth_sendRawTransactionSync", raw(payment(pay(payer.address, PRICE)).sign(giver)))
    peer: Peer = request.getfixturevalue(name)
    with peer.serve(devnet.rpc_url, shop, fee_payer_key=sponsor.to_hex()) as url:
        report = peer.fetch(url, payer.to_hex(), devnet.rpc_url)
    assert report.status == 200
    receipt = rpc("eth_getTransactionReceipt", reference(report))
    assert (receipt["from"], receipt["feePayer"]) == (payer.address.lower(), sponsor.address.lower())


@pytest.mark.parametrize("settings", [{"modes": "push"}, {"splits": "two"}, {"amount": "0"}])
def test_mppx_pays_in_all_its_ways(
    mppx: Peer, devnet: ThreadedDevnet, rpc: RPC, payer: PrivateKey, shop: str, settings: dict[str, str]
) -> None:
    """Push, splits and zero-amount proofs between mppx and itself."""
    partner = PrivateKey.generate().address
    if "splits" in settings:
        settings = {"splits": json.dumps([{"amount": "0.004", "recipient": partner}])}
    with mppx.serve(devnet.rpc_url, shop, **settings) as url:
        assert mppx.fetch(url, payer.to_hex(), devnet.rpc_url).status == 200
    expected = {"modes": (PRICE, 0), "splits": (PRICE - 4000, 4000), "amount": (0, 0)}
    assert (rpc.balance(shop), rpc.balance(partner)) == expected[next(iter(settings))]


@pytest.mark.parametrize("client", ["mppx", "pympp"])
def test_an_empty_account_does_not_pay(
    request: pytest.FixtureRequest, mppx: Peer, devnet: ThreadedDevnet, rpc: RPC, shop: str, client: str
) -> None:
    """An account without money gets nothing, and pays nothing."""
    paying: Peer = request.getfixturevalue(client)
    with mppx.serve(devnet.rpc_url, shop) as url:
        try:
            status = paying.fetch(url, PrivateKey.generate().to_hex(), devnet.rpc_url).status
        except PeerFailed:
            status = 402
    assert status >= 400
    assert rpc.balance(shop) == 0
