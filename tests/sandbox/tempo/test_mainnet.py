from __future__ import annotations

from collections.abc import Iterator

import pytest

from coinslot.methods.tempo.keys import PrivateKey, parse_address
from coinslot.sandbox.tempo import ThreadedDevnet
from coinslot.sandbox.tempo.faucet import GRANT
from coinslot.sandbox.tempo.mainnet import MAINNET, USDC_E
from peer_programs import Peer
from sandbox_rpc import RPC, pay, payment, raw


@pytest.fixture(scope="module", params=["T0", "T4"])
def mainnet(request: pytest.FixtureRequest) -> Iterator[ThreadedDevnet]:
    """A devnet that says it is mainnet."""
    with ThreadedDevnet(chain_id=MAINNET, hardfork=request.param) as running:
        yield running


def test_usdc_e_pays_and_pays_its_fee(mainnet: ThreadedDevnet, shop: str) -> None:
    """USDC.e is granted, moves, and buys the gas that moving it takes."""
    rpc = RPC(mainnet.rpc_url)
    payer = PrivateKey.generate()
    mainnet.fund(payer.address)
    assert rpc.balance(payer.address, USDC_E) == GRANT
    bought = payment(
        pay(shop, 5, token=USDC_E), chain_id=MAINNET, nonce=0, fee_token=parse_address(USDC_E)
    ).sign(payer)
    receipt = rpc("eth_sendRawTransactionSync", raw(bought))
    assert (receipt["status"], rpc.balance(shop, USDC_E)) == ("0x1", 5)
    assert rpc.balance(payer.address, USDC_E) < GRANT - 5
    rpc.close()


def test_the_sponsor_has_usdc_e(mainnet: ThreadedDevnet) -> None:
    """Fees can be paid for others in USDC.e too."""
    rpc = RPC(mainnet.rpc_url)
    assert rpc.balance(mainnet.sponsor.address, USDC_E) > GRANT
    rpc.close()


def test_mppx_pays_with_its_defaults(mppx: Peer, shop: str) -> None:
    """mppx's client pays a mainnet charge in USDC.e to mppx's server."""
    with ThreadedDevnet(chain_id=MAINNET) as mainnet:
        payer = PrivateKey.generate()
        mainnet.fund(payer.address)
        chain = str(MAINNET)
        url = mppx.shop(mainnet.rpc_url, shop, chain_id=chain, currency=USDC_E)
        assert mppx.fetch(url, payer.to_hex(), mainnet.rpc_url, chain_id=chain).status == 200
        rpc = RPC(mainnet.rpc_url)
        assert rpc.balance(shop, USDC_E) == 10_000
        rpc.close()
