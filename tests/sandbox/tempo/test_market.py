from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import pytest

from coinslot.methods.tempo.keys import PrivateKey, parse_address
from coinslot.methods.tempo.wire import Swap, dex, swap_calls
from coinslot.sandbox.tempo import ThreadedDevnet
from coinslot.sandbox.tempo.faucet import GENESIS_TOKENS
from coinslot.sandbox.tempo.mainnet import MAINNET, USDC_E
from sandbox_rpc import RPC, pay, payment, raw

PRICE = 10_000_000


@pytest.fixture(scope="module", params=["T0", "T4"])
def mainnet(request: pytest.FixtureRequest) -> Iterator[ThreadedDevnet]:
    """A devnet that says it is mainnet, with five tokens."""
    with ThreadedDevnet(chain_id=MAINNET, hardfork=request.param) as running:
        yield running


def quote(rpc: RPC, token_in: str, token_out: str, amount: int = PRICE) -> int:
    """What so much of one token costs in another."""
    asked = {"to": dex.ADDRESS, "data": "0x" + dex.quote_swap(token_in, token_out, amount).hex()}
    return dex.read_quote(bytes.fromhex(rpc("eth_call", asked, "latest")[2:]))


def test_every_token_buys_every_other(mainnet: ThreadedDevnet) -> None:
    """Each pair is quoted near par, and a little above it: whoever asks for par exactly gets nothing."""
    rpc = RPC(mainnet.rpc_url)
    for token_in, token_out in permutations((*GENESIS_TOKENS, USDC_E), 2):
        assert PRICE < quote(rpc, token_in, token_out) < PRICE * 1.0003
    rpc.close()


@pytest.mark.parametrize(("token_in", "token_out"), [(1, 0), (0, 2), (3, 1)])
def test_a_payment_is_swapped_for(
    any_devnet: ThreadedDevnet, any_rpc: RPC, shop: str, token_in: int, token_out: int
) -> None:
    """A payment that swaps what it pays simulates and settles, at its quote."""
    bought_with, paid_in = GENESIS_TOKENS[token_in], GENESIS_TOKENS[token_out]
    key = PrivateKey.generate()
    any_devnet.fund(key.address)
    had = any_rpc.balance(key.address, bought_with)
    cost = quote(any_rpc, bought_with, paid_in)
    swap = Swap(token_in=bought_with, token_out=paid_in, amount_out=PRICE, max_amount_in=cost)
    calls = (*swap_calls(swap), pay(shop, PRICE, token=paid_in))
    fee_token = GENESIS_TOKENS[({0, 1, 2} - {token_in, token_out}).pop()]
    sent = payment(*calls, nonce=0, gas_limit=5_000_000, fee_token=parse_address(fee_token)).sign(key)
    assert any_rpc("eth_sendRawTransactionSync", raw(sent))["status"] == "0x1"
    assert any_rpc.balance(shop, paid_in) == PRICE
    assert had - any_rpc.balance(key.address, bought_with) == cost


def test_the_market_does_not_run_dry(devnet: ThreadedDevnet, rpc: RPC) -> None:
    """An order that is taken comes back on the other side, so that buying and selling can go on for ever."""
    key = PrivateKey.generate()
    devnet.fund(key.address)
    path_usd, alpha_usd = GENESIS_TOKENS[:2]
    before = quote(rpc, path_usd, alpha_usd)
    for token_in, token_out in ((path_usd, alpha_usd), (alpha_usd, path_usd)) * 2:
        swap = Swap(token_in=token_in, token_out=token_out, amount_out=10**11, max_amount_in=2 * 10**11)
        sent = payment(*swap_calls(swap), gas_limit=3_000_000).sign(key)
        assert rpc("eth_sendRawTransactionSync", raw(sent))["status"] == "0x1"
    assert quote(rpc, path_usd, alpha_usd) == before
