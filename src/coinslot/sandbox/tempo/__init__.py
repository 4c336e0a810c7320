"""Tempo in a box: a development chain that payments work on, with nothing to sign up for.

    async with Devnet() as devnet: …          in asynchronous code
    with ThreadedDevnet() as devnet: …        in any other
    serve(port=8545)                          in the foreground, as `coinslot sandbox tempo`

The chain is anvil 1.7.1 in its Tempo mode, with Tempo's own execution: TIP-20 tokens, fees in them, batches,
sponsored transactions, nonce lanes. Before it stands a JSON-RPC front of ours, which fills the gaps:

    faucet          `tempo_fundAddress` is a transfer from an account that the chain starts with
    market          the stablecoin DEX has orders from the start
    fee payer       a service that pays the fees of whoever asks, as sellers and wallets use one
    simulation      anvil does not run the `calls` of a Tempo Transaction in `eth_call`, `eth_estimateGas` and
                    `eth_fillTransaction`, and has no `tempo_simulateV1`; they run as plain calls in a row,
                    with fees and access keys checked beforehand
    broadcast       the second parameter of `eth_sendRawTransactionSync`; an error, and not silence, for what
                    the node drops
    expiring nonce  on hardfork T0, replay protection and the limits of `validBefore` are the front's, not the
                    chain's
    crashes         methods on which anvil crashes are refused

`docs/sandbox-tempo.md` says what a test that passes here does not prove.
"""

from __future__ import annotations

try:
    import httpx2 as _httpx2  # noqa: F401 - imported to see whether it is there
    import platformdirs as _platformdirs  # noqa: F401
    import starlette as _starlette  # noqa: F401
    import uvicorn as _uvicorn  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"the Tempo sandbox needs {error.name}, which is not installed: pip install 'coinslot[sandbox]'"
    ) from error

from coinslot.sandbox.tempo.accounts import ACCOUNTS
from coinslot.sandbox.tempo.anvil import HARDFORKS, DevnetError
from coinslot.sandbox.tempo.binary import anvil_binary
from coinslot.sandbox.tempo.devnet import CHAIN_IDS, Devnet, ThreadedDevnet
from coinslot.sandbox.tempo.serving import serve

__all__ = [
    "ACCOUNTS",
    "CHAIN_IDS",
    "HARDFORKS",
    "Devnet",
    "DevnetError",
    "ThreadedDevnet",
    "anvil_binary",
    "serve",
]
