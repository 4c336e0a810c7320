"""The sandbox in the foreground, as `coinslot sandbox tempo` runs it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from coinslot.sandbox.foreground import asked_to_stop
from coinslot.sandbox.tempo.anvil import DevnetError
from coinslot.sandbox.tempo.devnet import Devnet
from coinslot.sandbox.tempo.mainnet import MAINNET


def serve(
    *, port: int = 8545, chain_id: int = 42431, hardfork: str = "T0", echo: Callable[[str], None] = print
) -> None:
    """Run a devnet until Ctrl-C or SIGTERM, and say through `echo` what it serves.

    Returns when it was asked to stop. Raises `ConfigurationError` if it cannot start as told, and
    `DevnetError`, with the reason, if the node does not start or stops by itself.
    """
    asyncio.run(_serve(Devnet(port=port, chain_id=chain_id, hardfork=hardfork), echo))


async def until_stopped(devnet: Devnet, asked: asyncio.Event) -> None:
    """Wait until somebody asks for the end. Raises `DevnetError` if the node stops by itself before that."""
    waiting = [asyncio.create_task(asked.wait()), asyncio.create_task(devnet.stopped())]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
    if not asked.is_set():
        raise DevnetError(f"the node stopped: {await devnet.stopped()}")


async def _serve(devnet: Devnet, echo: Callable[[str], None]) -> None:
    asked = asked_to_stop()
    async with devnet:
        for line in _describe(devnet):
            echo(line)
        await until_stopped(devnet, asked)
    echo("Stopped.")


def _describe(devnet: Devnet) -> list[str]:
    network = "mainnet" if devnet.chain_id == MAINNET else "testnet"
    accounts = [f"  {key.address}  {key.to_hex()}" for key in devnet.accounts]
    return [
        f"Tempo sandbox on {devnet.rpc_url}",
        f"  chain {devnet.chain_id} ({network}), hardfork {devnet.hardfork}, nothing is kept when it stops",
        "",
        "Accounts, with keys that everybody knows:",
        *accounts,
        "",
        "The fee payer service, at the same URL, pays with:",
        f"  {devnet.sponsor.address}",
        "",
        "A million of every token for any address:",
        f"  curl {devnet.rpc_url} -H 'content-type: application/json' \\",
        '    -d \'{"jsonrpc":"2.0","id":1,"method":"tempo_fundAddress","params":["0x…"]}\'',
        "",
        "Ctrl-C stops it.",
    ]
