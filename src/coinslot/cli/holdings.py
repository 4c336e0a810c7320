"""What an address holds on Tempo, and the faucet that gives it more on a test network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

from msgspec import Struct

from coinslot.cli.output import CommandError, Exit
from coinslot.errors import ConfigurationError
from coinslot.intents import from_base_units
from coinslot.methods import tempo
from coinslot.methods.tempo.networks import DECIMALS, NETWORKS, TESTNET, find_network, network_of
from coinslot.methods.tempo.node import Node
from coinslot.methods.tempo.rpc import METHOD_NOT_FOUND, Rpc, RpcError, RpcRefused, RpcTimeout, RpcUnreachable


class Holdings(Struct, frozen=True):
    """What an address holds on one network, by the tokens' names and in their own units."""

    network: str
    balances: dict[str, Decimal]


class Funding(Struct, frozen=True):
    """What a faucet did: the hashes of its transfers, and the holdings on both sides of them."""

    transactions: list[str]
    before: Holdings
    after: Holdings


async def holdings(address: str, *, network: str | None, rpc_url: str | None) -> list[Holdings]:
    """What `address` holds on the network, on the node's, or on every known one. Raises `CommandError`."""
    if rpc_url is not None:
        urls = [rpc_url]
    else:
        urls = [known.rpc_url for known in ([find_network(network)] if network else NETWORKS)]
    async with _explaining():
        return await asyncio.gather(*(_holdings(url, address) for url in urls))


async def fund(address: str, *, rpc_url: str | None) -> Funding:
    """Have the testnet's faucet, or the node's, send tokens to `address`. Raises `CommandError`."""
    url = rpc_url or TESTNET.rpc_url
    async with _explaining():
        before = await _holdings(url, address)
        try:
            transactions = await tempo.fund(url, address)
        except RpcRefused as error:
            if error.code != METHOD_NOT_FOUND:
                raise
            raise CommandError("this node has no faucet: those of test networks have", Exit.USAGE) from error
        return Funding(transactions, before, await _holdings(url, address))


async def _holdings(url: str, address: str) -> Holdings:
    node = Node(Rpc(url))
    try:
        chain_id = await node.chain_id()
        network = network_of(chain_id)
        if network is None:
            raise CommandError(f"the node is on chain {chain_id}, whose tokens are not known here")
        units = await asyncio.gather(*(node.balance(token.address, address) for token in network.tokens))
        return Holdings(
            network.name,
            {
                token.symbol: from_base_units(held, DECIMALS)
                for token, held in zip(network.tokens, units, strict=True)
            },
        )
    finally:
        await node.aclose()


@asynccontextmanager
async def _explaining() -> AsyncIterator[None]:
    try:
        yield
    except RpcRefused as error:
        raise CommandError(f"the node refused: {error.reason}") from error
    except RpcTimeout as error:
        raise CommandError("the node did not answer in time", Exit.TIMEOUT) from error
    except RpcUnreachable as error:
        raise CommandError(f"{error}", Exit.NO_CONNECTION) from error
    except RpcError as error:
        raise CommandError(f"{error}", Exit.BROKEN_ANSWER) from error
    except ConfigurationError as error:
        raise CommandError(f"{error}", Exit.USAGE) from error
