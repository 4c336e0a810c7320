"""USDC.e, which charges on Tempo's mainnet are in by default and which anvil's genesis does not have.

It is made as a copy of AlphaUSD's storage under its own address, with its own name, supply and balances, and
with a pool in which fees paid in it become pathUSD.
"""

from __future__ import annotations

from typing import Final

from coinslot.methods.tempo.keys import keccak256, parse_address
from coinslot.methods.tempo.wire import Call, abi
from coinslot.protocol import JSONValue
from coinslot.sandbox.tempo.accounts import ACCOUNTS, FAUCET, SPONSOR
from coinslot.sandbox.tempo.faucet import GENESIS_TOKENS
from coinslot.sandbox.tempo.fees import FEE_MANAGER
from coinslot.sandbox.tempo.node import Node
from coinslot.sandbox.tempo.treasury import spend

MAINNET: Final = 4217
USDC_E: Final = "0x20c000000000000000000000b9537d11c60e8b50"

_PATH_USD, _ALPHA_USD = GENESIS_TOKENS[:2]
_MINT: Final = abi.selector("mint(address,address,uint256,address)")
_PRECOMPILE_CODE: Final = "0xef"

# A TIP-20's storage.
_SLOTS: Final = range(17)
_NAME, _SYMBOL, _TOTAL_SUPPLY, _BALANCES = 2, 3, 8, 9

_BALANCE: Final = 2**64 - 1
"""Base units for each account, as much as genesis gives of the other tokens."""
_POOL: Final = 10**12
"""Base units of pathUSD to pay fees out of."""


async def add_usdc_e(node: Node) -> None:
    """Give the chain USDC.e. Raises `RPCError`."""
    await node.call("anvil_setCode", [USDC_E, _PRECOMPILE_CODE])
    for slot in _SLOTS:
        copied = await node.call("eth_getStorageAt", [_ALPHA_USD, hex(slot), "latest"])
        await _store(node, slot, int(str(copied), 16))
    holders = [key.address for key in (*ACCOUNTS, FAUCET, SPONSOR)]
    await _store(node, _NAME, _short_string("Bridged USDC (Stargate)"))
    await _store(node, _SYMBOL, _short_string("USDC.e"))
    await _store(node, _TOTAL_SUPPLY, _BALANCE * len(holders))
    for holder in holders:
        await _store(node, _mapping_slot(holder, _BALANCES), _BALANCE)
    await _open_pool(node)


async def _open_pool(node: Node) -> None:
    """Put pathUSD where the chain exchanges a payer's USDC.e into the token that validators want."""
    words = [abi.address_word(USDC_E), abi.address_word(_PATH_USD)]
    words += [abi.amount_word(_POOL), abi.address_word(FAUCET.address)]
    mint = Call(to=parse_address(FEE_MANAGER), value=0, data=_MINT + b"".join(words))
    await spend(node, MAINNET, [mint], gas=3_000_000)


async def _store(node: Node, slot: int, value: int) -> None:
    params: list[JSONValue] = [USDC_E, "0x" + slot.to_bytes(32).hex(), "0x" + value.to_bytes(32).hex()]
    await node.call("anvil_setStorageAt", params)


def _mapping_slot(address: str, slot: int) -> int:
    """Where Solidity keeps `mapping[address]` of the mapping at `slot`."""
    return int.from_bytes(keccak256(parse_address(address).rjust(32, b"\x00") + slot.to_bytes(32)))


def _short_string(text: str) -> int:
    """A string of up to 31 bytes as Solidity stores it: its bytes, zeros, and twice its length."""
    encoded = text.encode()
    return int.from_bytes(encoded.ljust(31, b"\x00") + bytes([2 * len(encoded)]))
