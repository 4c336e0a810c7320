"""Accounts to pay from, and the faucet that fills them on a test network."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation
from typing import Literal

from coinslot.errors import ConfigurationError
from coinslot.methods.tempo.client.account import TempoAccount
from coinslot.methods.tempo.client.preparing import Swapping
from coinslot.methods.tempo.client.survey import BuyerNode
from coinslot.methods.tempo.keys import AddressError, PrivateKey, checksum_address
from coinslot.methods.tempo.networks import NETWORKS, find_network
from coinslot.methods.tempo.node import Node
from coinslot.methods.tempo.rpc import Rpc, RpcTimeout
from coinslot.methods.tempo.wire.signatures import SigningKey
from coinslot.methods.tempo.wire.terms import MODES

__all__ = ["TempoAccount", "account", "fund"]


def account(
    key: str | SigningKey,
    *,
    network: str | None = None,
    rpc_url: str | None = None,
    currencies: Iterable[str] | None = None,
    recipients: Iterable[str] | None = None,
    client_id: str | None = None,
    max_fee: str | Decimal = "0.02",
    mode: Literal["pull", "push"] | None = None,
    auto_swap: bool | Iterable[str] = False,
    slippage: str | Decimal = "0.01",
    clock: Callable[[], float] = time.time,
) -> TempoAccount:
    """Pay from an account on Tempo.

    `key` is the account's, `0x` and 64 hexadecimal digits, or a `SigningKey`: a `PrivateKey`, a `P256Key`, or
    an `AccessKey`, which signs for another account within the limits that its owner has set.

    `network` is `mainnet` or `testnet`; without it, and without `rpc_url`, challenges of both are paid.
    `rpc_url` takes the place of the network's own node, and given alone it decides the chain. `currencies`
    are the tokens (addresses) that are paid in, by default those known by name on each network; `recipients`,
    if given, the only addresses that are paid. `client_id` names this program in the memos of its payments.
    `max_fee` is the most that one payment may cost beside its price, in the currency's unit.

    `mode` insists on `pull` (the server broadcasts) or `push` (this account does); without it, payments are
    pushed only where the server takes no others. With `auto_swap`, a payment that the asked token does not
    cover is made from another one, by a swap on the stablecoin DEX in the same transaction: pathUSD first,
    then the network's other known tokens; or from those that it lists. `slippage` is how much dearer than the
    price that may be, as a part of one. `clock` tells the time in Unix seconds.

    Raises `ConfigurationError`.
    """
    chosen = find_network(network) if network is not None else None
    if rpc_url is not None:
        nodes = [BuyerNode(Rpc(rpc_url), chosen.chain_id if chosen is not None else None)]
    else:
        networks = NETWORKS if chosen is None else [chosen]
        nodes = [BuyerNode(Rpc(known.rpc_url), known.chain_id) for known in networks]
    if mode is not None and mode not in MODES:
        raise ConfigurationError(f"mode is 'pull' or 'push', not {mode!r}")
    return TempoAccount(
        key=PrivateKey.from_hex(key) if isinstance(key, str) else key,
        nodes=nodes,
        currencies=None if currencies is None else _addresses("currencies", currencies),
        recipients=None if recipients is None else _addresses("recipients", recipients),
        client_id=client_id,
        max_fee=_amount("max_fee", max_fee),
        mode=mode,
        swapping=_swapping(auto_swap, slippage),
        clock=clock,
    )


async def fund(rpc_url: str, address: str, *, seconds: float = 30.0) -> list[str]:
    """Have a test network's faucet send tokens to `address`, and wait for them: the transactions' hashes.

    Raises `RpcError`: the node has no faucet, it fails, or it takes longer than so many seconds.
    """
    node = Node(Rpc(rpc_url))
    try:
        async with asyncio.timeout(seconds):
            hashes = await node.fund(address, seconds)
            await asyncio.gather(*(node.wait_for_receipt(transaction) for transaction in hashes))
    except TimeoutError as error:
        raise RpcTimeout(f"the faucet's transfers were not on the chain after {seconds:g} s") from error
    finally:
        await node.aclose()
    return hashes


def _addresses(name: str, addresses: Iterable[str]) -> frozenset[str]:
    return frozenset(_ordered_addresses(name, addresses))


def _ordered_addresses(name: str, addresses: Iterable[str]) -> tuple[str, ...]:
    if isinstance(addresses, str):
        raise ConfigurationError(f"{name} is a list of addresses, not one")
    try:
        return tuple(checksum_address(address) for address in addresses)
    except AddressError as error:
        raise ConfigurationError(f"{name}: {error}") from error


def _swapping(auto_swap: bool | Iterable[str], slippage: str | Decimal) -> Swapping | None:
    part = _amount("slippage", slippage)
    if part >= 1:
        raise ConfigurationError('slippage is a part of the price, such as "0.01" for 1 %')
    if isinstance(auto_swap, bool):
        return Swapping(tokens=None, slippage=part) if auto_swap else None
    return Swapping(tokens=_ordered_addresses("auto_swap", auto_swap), slippage=part)


def _amount(name: str, amount: str | Decimal) -> Decimal:
    try:
        value = Decimal(amount)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value < 0:
        raise ConfigurationError(f'{name} is an amount such as "0.02"')
    return value
