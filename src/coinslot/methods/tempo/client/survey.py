"""What a buyer asks a node before signing: what the payment would take, and what there is to pay with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from coinslot.methods.tempo.key_requests import signing_members
from coinslot.methods.tempo.node import Node, balance_call, granted, read_call, transaction_object
from coinslot.methods.tempo.rpc import RpcCall, RpcRefused
from coinslot.methods.tempo.wire import Transaction, abi, dex, keychain
from coinslot.methods.tempo.wire.keychain import KeyInfo
from coinslot.methods.tempo.wire.signatures import AccessKey, SigningKey
from coinslot.protocol import JSONValue

_GAS_BITS: Final = 32
_FEE_BITS: Final = 96


class Means(Struct, frozen=True, kw_only=True):
    """What there is of a token, in base units: the account's balance, and what its access key may spend.

    `limit` is None for an account's own key, and where the chain does not say.
    """

    balance: int
    limit: int | None = None


class Conditions(Struct, frozen=True, kw_only=True):
    """What a node says about a transaction that is to be made.

    `means` are those of the token asked about, fees are in attodollars per gas. `gas` is the node's refusal
    if the transaction would fail. `key` is what the chain knows of an access key.
    """

    means: Means
    gas: int | RpcRefused
    base_fee: int
    priority_fee: int
    key: KeyInfo | None = None


class SwapOffer(Struct, frozen=True, kw_only=True):
    """What paying from another token would take: so many base units now, or None if there is no such swap."""

    token: str
    means: Means
    amount_in: int | None


class BuyerNode(Node):
    """A node as a buyer needs it. Every coroutine may raise `RpcError`."""

    async def survey(self, transaction: Transaction, key: SigningKey, token: str) -> Conditions:
        """What `transaction` would take on the latest state, signed with `key`.

        One request, if the node takes batches.
        """
        request = {
            **transaction_object(transaction, key.address, priced=False),
            **signing_members(key, transaction.key_authorization),
        }
        calls: dict[str, RpcCall] = {
            **_means_calls(key, token),
            "gas": ("eth_estimateGas", [request]),
            "gas price": ("eth_gasPrice", []),
            "priority fee": ("eth_maxPriorityFeePerGas", []),
        }
        if isinstance(key, AccessKey):
            calls["key"] = read_call(keychain.ADDRESS, keychain.get_key(key.address, key.key_address))
        found = dict(zip(calls, await self._rpc.read_all(*calls.values()), strict=True))
        gas, priority_fee = found["gas"], found["priority fee"]
        priority = 0 if isinstance(priority_fee, RpcRefused) else self._quantity(priority_fee, _FEE_BITS)
        return Conditions(
            means=self._means(found),
            gas=gas if isinstance(gas, RpcRefused) else self._quantity(gas, _GAS_BITS),
            base_fee=max(self._quantity(granted(found["gas price"]), _FEE_BITS) - priority, 0),
            priority_fee=priority,
            key=self._key(granted(found["key"])) if "key" in found else None,
        )

    async def swap_offers(
        self, key: SigningKey, tokens: Sequence[str], token_out: str, amount_out: int
    ) -> list[SwapOffer]:
        """What `amount_out` of `token_out` would cost on the DEX, in each of `tokens` that there is."""
        asked: list[dict[str, RpcCall]] = [
            {
                "quote": read_call(dex.ADDRESS, dex.quote_swap(token, token_out, amount_out)),
                **_means_calls(key, token),
            }
            for token in tokens
        ]
        answers = iter(await self._rpc.read_all(*(call for calls in asked for call in calls.values())))
        offers = []
        for token, calls in zip(tokens, asked, strict=True):
            found = {name: next(answers) for name in calls}
            if isinstance(found["balance"], RpcRefused):  # no such token on this chain
                continue
            offers.append(
                SwapOffer(token=token, means=self._means(found), amount_in=self._quote(found["quote"]))
            )
        return offers

    def _means(self, found: Mapping[str, JSONValue | RpcRefused]) -> Means:
        """From the answers to `_means_calls`."""
        limit = found.get("limit")
        return Means(
            balance=self._word(granted(found["balance"])),
            limit=None if limit is None or isinstance(limit, RpcRefused) else self._limit(limit),
        )

    def _quote(self, answer: JSONValue | RpcRefused) -> int | None:
        """The DEX reverts where there is no pair of these tokens, or not enough of them on offer."""
        if isinstance(answer, RpcRefused):
            return None
        try:
            return dex.read_quote(bytes.fromhex(str(answer).removeprefix("0x")))
        except (abi.ABIError, ValueError) as error:
            raise self._nonsense("what the DEX returns") from error


def _means_calls(key: SigningKey, token: str) -> dict[str, RpcCall]:
    calls = {"balance": balance_call(token, key.address)}
    if isinstance(key, AccessKey):
        limit = keychain.get_remaining_limit(key.address, key.key_address, token)
        calls["limit"] = read_call(keychain.ADDRESS, limit)
    return calls
