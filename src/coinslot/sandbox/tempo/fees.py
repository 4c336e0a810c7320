"""Fees in simulations: who would pay one, in which token, and whether they can.

A chain takes a transaction's fee from whoever pays it before anything runs: the gas limit at the price of
this block. It asks beforehand that they hold as much as the price might rise to. The node does both for a
sender who pays its own fee, and cannot be told of any other payer.
"""

from __future__ import annotations

import asyncio
from typing import Final

from msgspec import Struct

from coinslot.methods.tempo.keys import SignatureError, recover_address
from coinslot.methods.tempo.wire import abi, balance_of, decode_call, transfer
from coinslot.protocol import JSONObject, JSONValue
from coinslot.sandbox.tempo.authorizations import read_secp256k1
from coinslot.sandbox.tempo.envelopes import call_of, envelope, fee_payer_hash
from coinslot.sandbox.tempo.jsonrpc import INTERNAL_ERROR, RPCError, invalid_params
from coinslot.sandbox.tempo.node import Node
from coinslot.sandbox.tempo.requests import TempoRequest, address, quantity

FEE_MANAGER: Final = "0xfeec000000000000000000000000000000000000"
"""The contract that fees go to."""

PATH_USD: Final = "0x20c0000000000000000000000000000000000000"
"""What fees are paid in unless something else is said."""

_TIP20_PREFIX: Final = "0x20c000000000000000000000"
_USER_TOKENS: Final = abi.selector("userTokens(address)")
_ATTODOLLARS: Final = 10**12
"""The price of gas is in these, of which a base unit of a token has so many."""


class Charge(Struct, frozen=True, kw_only=True):
    """What is taken for a fee before the transaction runs: `amount` base units of `token` from `payer`."""

    payer: str
    token: str
    amount: int

    def as_call(self) -> JSONObject:
        """The plain call that takes it, as far as balances go."""
        return {
            "from": self.payer,
            "to": self.token,
            "data": "0x" + transfer(FEE_MANAGER, self.amount).hex(),
        }


class Fees:
    """Works out the fees of requests."""

    def __init__(self, node: Node, chain_id: int) -> None:
        self._node = node
        self._chain_id = chain_id

    async def charge(
        self, request: TempoRequest, gas: int | None, overrides: list[JSONValue]
    ) -> Charge | None:
        """The fee of `request` for so much gas, or for its own `gas` if None.

        None if it names no price or no gas, or leaves it open who pays. `overrides` are the state's and the
        block's, as `eth_call` takes them. Raises `RPCError`, the node's own, if the payer cannot pay.
        """
        price = request.quantity("maxFeePerGas") or request.quantity("gasPrice")
        gas = request.quantity("gas") if gas is None else gas
        payer = self._payer(request)
        if not price or not gas or payer is None:
            return None
        token = await self._token(request, payer)
        effective, _ = await asyncio.gather(
            self._effective(request, price), self._try(request, gas, payer, token, overrides)
        )
        return Charge(payer=payer, token=token, amount=-(-gas * effective // _ATTODOLLARS))

    def _payer(self, request: TempoRequest) -> str | None:
        """Whoever signed for the fee, or is named for it; else the sender. None if nobody is yet."""
        signature, named = request.members.get("feePayerSignature"), request.members.get("feePayer")
        if signature is not None:
            return self._signed_by(request, signature)
        if isinstance(named, dict):  # viem writes a whole account there.
            named = named.get("address")
        return address(named) if named else request.sender

    def _signed_by(self, request: TempoRequest, signature: JSONValue) -> str | None:
        if request.sender is None:
            return None
        if not isinstance(signature, dict):
            invalid_params("feePayerSignature is an object")
        try:
            signed = fee_payer_hash(envelope(request, self._chain_id), request.sender)
            return recover_address(signed, read_secp256k1(signature))
        except SignatureError as error:
            raise RPCError(
                INTERNAL_ERROR, f"tempo transaction error: fee payer signature: {error}"
            ) from error

    async def _token(self, request: TempoRequest, payer: str) -> str:
        """The token that the fee is taken in, chosen as a chain does."""
        named = address(request.members.get("feeToken"))
        if named is not None:
            return named
        asked: JSONObject = {
            "to": FEE_MANAGER,
            "data": "0x" + (_USER_TOKENS + abi.address_word(payer)).hex(),
        }
        preferred = str(await self._node.call("eth_call", [asked, "latest"]))[-40:]
        if int(preferred, 16):
            return "0x" + preferred
        return _inferred(request) if payer == request.sender else PATH_USD

    async def _effective(self, request: TempoRequest, price: int) -> int:
        """The price of gas in the latest block, of at most `price`."""
        block = await self._node.call("eth_getBlockByNumber", ["latest", False])
        base = quantity(block.get("baseFeePerGas"), "baseFeePerGas") if isinstance(block, dict) else None
        tip = request.quantity("maxPriorityFeePerGas") if request.members.get("gasPrice") is None else price
        return min(price, (base or 0) + (tip or 0))

    async def _try(
        self, request: TempoRequest, gas: int, payer: str, token: str, overrides: list[JSONValue]
    ) -> None:
        """Have the node charge the fee to its payer, for a call that does nothing."""
        prices = ("gasPrice", "maxFeePerGas", "maxPriorityFeePerGas")
        probe: JSONObject = {
            "type": "0x76",
            "from": payer,
            "to": PATH_USD,
            "data": "0x" + balance_of(payer).hex(),
            "nonce": "0x1",  # An account's first transaction takes gas of its own.
            "gas": hex(gas),
            "feeToken": token,
            **{name: request.members[name] for name in prices if request.members.get(name) is not None},
        }
        await self._node.call("eth_call", [probe, "latest", *overrides])


def _inferred(request: TempoRequest) -> str:
    """The token that all of the calls transfer; else pathUSD."""
    try:
        transfers = [decode_call(call_of(call)) for call in request.calls]
    except ValueError:
        return PATH_USD
    first = transfers[0]
    if first is None or any(each is None or each.token != first.token for each in transfers):
        return PATH_USD
    return first.token if first.token.lower().startswith(_TIP20_PREFIX) else PATH_USD
