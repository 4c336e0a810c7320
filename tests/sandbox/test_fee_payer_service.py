"""The fee payer service as other implementations use it: mppx's server, and viem's transports for one."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import Any

import pytest

from coinslot.methods.tempo.keys import PrivateKey
from coinslot.sandbox.tempo import ThreadedDevnet
from peer_programs import Peer
from sandbox_rpc import PATH_USD, RPC, pay, payment, raw

ALPHA_USD = "0x20c0000000000000000000000000000000000001"
PRICE = 10_000

SENDS = """
import { createClient, http, publicActions, walletActions } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { tempoModerato as chain } from 'viem/chains'
import { Actions, withFeePayer } from 'viem/tempo'

const [url, key, to, policy, token] = process.argv.slice(1)
const client = createClient({
  account: privateKeyToAccount(key),
  chain,
  transport: withFeePayer(http(url), http(url), { policy }),
}).extend(publicActions).extend(walletActions)
const call = Actions.token.transfer.call(client, { amount: 10000n, to, token })
const receipt = await client.sendTransactionSync({ calls: [call], feePayer: true })
console.log(JSON.stringify({ status: receipt.status, feePayer: receipt.feePayer }))
"""


SWAPS = """
import { Mppx, tempo } from 'mppx/client'
import { createClient, http } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { tempoModerato as chain } from 'viem/chains'

const [rpcUrl, key, url, token] = process.argv.slice(1)
const getClient = () => createClient({ chain, transport: http(rpcUrl) })
const method = tempo.charge({ account: privateKeyToAccount(key), autoSwap: { tokenIn: [token] }, getClient })
const response = await Mppx.create({ polyfill: false, methods: [method] }).fetch(url)
console.log(response.status)
"""


@pytest.fixture(params=["T0", "T4"])
def deal(request: pytest.FixtureRequest) -> tuple[Peer, ThreadedDevnet]:
    """mppx as it works on each chain."""
    names = ("mppx", "devnet") if request.param == "T0" else ("mppx_t4", "devnet_t4")
    peer, devnet = (request.getfixturevalue(name) for name in names)
    return peer, devnet


@pytest.fixture
def penniless(deal: tuple[Peer, ThreadedDevnet]) -> PrivateKey:
    """An account that has the price, and nothing to pay a fee with."""
    key, giver = PrivateKey.generate(), PrivateKey.generate()
    deal[1].fund(giver.address)
    gift = payment(pay(key.address, PRICE), nonce=0, gas_limit=2_000_000).sign(giver)
    rpc = RPC(deal[1].rpc_url)
    assert rpc("eth_sendRawTransactionSync", raw(gift))["status"] == "0x1"
    rpc.close()
    return key


def test_mppx_has_its_fees_paid(deal: tuple[Peer, ThreadedDevnet], penniless: PrivateKey, shop: str) -> None:
    """A server of mppx with the devnet as its `feePayer` URL settles what an account without a fee pays."""
    mppx, devnet = deal
    url = mppx.shop(devnet.rpc_url, shop, fee_payer_url=devnet.rpc_url)
    report = mppx.fetch(url, penniless.to_hex(), devnet.rpc_url)
    assert (report.status, report.body) == (200, '{"paid":true,"method":"GET","body":null}')
    rpc = RPC(devnet.rpc_url)
    receipt = rpc("eth_getTransactionReceipt", reference(report.receipt))
    assert (receipt["from"], receipt["feePayer"]) == (
        penniless.address.lower(),
        devnet.sponsor.address.lower(),
    )
    assert (rpc.balance(shop), rpc.balance(penniless.address)) == (PRICE, 0)
    rpc.close()


@pytest.mark.parametrize("policy", ["sign-only", "sign-and-broadcast"])
def test_viem_has_its_fees_paid(
    deal: tuple[Peer, ThreadedDevnet], penniless: PrivateKey, shop: str, policy: str
) -> None:
    """viem's client prepares, signs, and has co-signed: to broadcast itself, or to be broadcast for."""
    mppx, devnet = deal
    said = run(mppx, SENDS, devnet.rpc_url, penniless.to_hex(), shop, policy, PATH_USD)
    assert json.loads(said) == {"status": "success", "feePayer": devnet.sponsor.address.lower()}


def test_mppx_swaps_what_it_has(deal: tuple[Peer, ThreadedDevnet], shop: str) -> None:
    """A client of mppx that holds another token than is asked for buys that at the market's price."""
    mppx, devnet = deal
    payer, giver = PrivateKey.generate(), PrivateKey.generate()
    devnet.fund(giver.address)
    rpc = RPC(devnet.rpc_url)
    gift = payment(pay(payer.address, 2 * PRICE, token=ALPHA_USD), nonce=0, gas_limit=2_000_000).sign(giver)
    assert rpc("eth_sendRawTransactionSync", raw(gift))["status"] == "0x1"
    url = mppx.shop(devnet.rpc_url, shop, fee_payer_url=devnet.rpc_url)
    assert run(mppx, SWAPS, devnet.rpc_url, payer.to_hex(), url, ALPHA_USD) == "200\n"
    assert rpc.balance(shop) == PRICE
    assert PRICE < 2 * PRICE - rpc.balance(payer.address, ALPHA_USD) < PRICE + 10
    rpc.close()


def run(peer: Peer, program: str, *arguments: str) -> str:
    """What a program prints that stands beside the peer's own."""
    done = subprocess.run(
        [*peer.interpreter, "--input-type=module", "-e", program, *arguments],
        cwd=peer.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def reference(receipt: str | None) -> str:
    """The transaction that a Payment-Receipt names."""
    assert receipt is not None
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(receipt + "=" * (-len(receipt) % 4)))
    return str(decoded["reference"])
