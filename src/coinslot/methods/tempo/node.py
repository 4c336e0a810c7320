"""What Coinslot asks a Tempo node: to try a transaction, to send it, and what became of it.

A transaction with `valid_before` has a knowable end. Before it, one that is not on the chain may still come;
once the chain's own clock is past it, one that is not on the chain never will.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterable
from enum import Enum
from typing import Final

from msgspec import Struct

from coinslot.methods.tempo.arrivals import Arrival, read_arrivals
from coinslot.methods.tempo.blocks import Blocks
from coinslot.methods.tempo.key_requests import authorization_object
from coinslot.methods.tempo.keys import AddressError, checksum_address
from coinslot.methods.tempo.rpc import METHOD_NOT_FOUND, Rpc, RpcCall, RpcError, RpcRefused, RpcUnanswered
from coinslot.methods.tempo.wire import (
    EXPIRING_NONCE_KEY,
    FEE_PAYER_PLACEHOLDER,
    Transaction,
    Transfer,
    abi,
    balance_of,
    keychain,
    transfers_in_logs,
)
from coinslot.methods.tempo.wire.keychain import KeyInfo
from coinslot.methods.tempo.wire.signatures import Signer
from coinslot.methods.tempo.wire.tip20 import transfer_topics
from coinslot.protocol import JSONObject, JSONValue

logger = logging.getLogger("coinslot.tempo")

CHAIN_LAG: Final = 10
"""Seconds by which the chain's clock has to be past `valid_before`: nodes behind one URL may lag."""

SENDING_MARGIN: Final = 3
"""Seconds before its `valid_before` from which on nodes no longer take a transaction."""

_QUANTITY: Final = re.compile(r"0x[0-9a-fA-F]{1,64}")

_NONCE_PRECOMPILE: Final = "0x4E4F4E4345000000000000000000000000000000"
_GET_NONCE: Final = abi.selector("getNonce(address,uint256)")

_HASH: Final = re.compile(r"0x[0-9a-fA-F]{64}")
_BLOCKS_PER_SECOND: Final = 10  # at most
_RECENT: Final = 600  # seconds for which guessing a block is good enough

_MAX_RECEIPT: Final = 256 * 1024  # bytes; that of a payment with ten splits has a tenth of it

_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 1.0


class WrongChain(RpcError):
    """The node is on another chain than it should be."""


class Receipt(Struct, frozen=True, kw_only=True):
    """What came of a transaction that is on the chain.

    `sender` is its account, `fee` what it cost in attodollars and `block` the number of its block; each None
    if the node does not say.
    """

    hash: str
    succeeded: bool
    transfers: tuple[Transfer, ...]
    sender: str | None = None
    fee: int | None = None
    block: str | None = None


class Examination(Struct, frozen=True, kw_only=True):
    """What a node says about a transaction that is to be broadcast.

    `refusal` is why it would fail. `key` is what the chain knows of the access key that signed, and `limit`
    the base units that this key may still spend; `purse` are the base units of whoever pays the fee. `nonce`
    is the next one of an ordinary nonce lane. What was not asked, or not answered, is None.
    """

    refusal: RpcRefused | None = None
    key: KeyInfo | None = None
    limit: int | None = None
    purse: int | None = None
    nonce: int | None = None


class Absence(Enum):
    """What it means that a transaction is not on the chain."""

    SO_FAR = "it may still come"
    PERHAPS = "its time is over, and a node that lags could still be unaware of it"
    FOREVER = "its time is over, and it did not come"


class Node:
    """One Tempo node. Every coroutine may raise `RpcError`."""

    def __init__(self, rpc: Rpc, chain_id: int | None = None) -> None:
        """`chain_id` is the chain that the node has to be on; without it, whatever chain it says."""
        self._rpc = rpc
        self._chain_id = chain_id
        self._chain_is_checked = False
        self._sends_sync = True
        self._blocks = Blocks(rpc)

    @property
    def host(self) -> str:
        """The host that the node is at."""
        return self._rpc.host

    @property
    def known_chain_id(self) -> int | None:
        """The id of the node's chain, if it was given or the node has said it."""
        return self._chain_id

    async def chain_id(self) -> int:
        """The id of the node's chain. It is asked for only if it was not given, and only once."""
        if self._chain_id is None:
            self._chain_id = self._quantity(await self._rpc.read("eth_chainId"))
            self._chain_is_checked = True
        return self._chain_id

    async def check_chain(self) -> None:
        """Raise `WrongChain` if the node is on another chain than it has to be. Asks until it is not."""
        if self._chain_is_checked:
            return
        expected, actual = self._chain_id, self._quantity(await self._rpc.read("eth_chainId"))
        if expected is not None and actual != expected:
            raise WrongChain(f"the node at {self.host} is on chain {actual}, not on {expected}")
        self._chain_id, self._chain_is_checked = actual, True

    async def examine(
        self, transaction: Transaction, signer: Signer, currency: str, purse: tuple[str, str] | None = None
    ) -> Examination:
        """Run `transaction` on the latest state, fee and window included, in one request.

        Of an access key it is also asked whether it is authorized, and how much of `currency` it may spend;
        `purse` is the token and the account of a fee payer.
        """
        calls: dict[str, RpcCall] = {"run": ("eth_call", [signed_object(transaction, signer), "latest"])}
        if signer.access_key is not None and transaction.key_authorization is None:
            account, key = signer.account, signer.access_key
            calls["key"] = read_call(keychain.ADDRESS, keychain.get_key(account, key))
            calls["limit"] = read_call(keychain.ADDRESS, keychain.get_remaining_limit(account, key, currency))
        if purse is not None:
            calls["purse"] = balance_call(*purse)
        if transaction.nonce_key != EXPIRING_NONCE_KEY:
            calls["nonce"] = _nonce_call(signer.account, transaction.nonce_key)
        if len(calls) == 1:
            ((method, params),) = calls.values()
            try:
                await self._rpc.read(method, *params)
            except RpcRefused as refusal:
                return Examination(refusal=refusal)
            return Examination()
        answers = dict(zip(calls, await self._rpc.read_all(*calls.values()), strict=True))
        run, key_info, limit, funds, nonce = (
            answers.get(name) for name in ("run", "key", "limit", "purse", "nonce")
        )
        return Examination(
            refusal=run if isinstance(run, RpcRefused) else None,
            key=None if key_info is None else self._key(granted(key_info)),
            limit=None if limit is None or isinstance(limit, RpcRefused) else self._limit(limit),
            purse=None if funds is None else self._word(granted(funds)),
            nonce=None if nonce is None else self._quantity(granted(nonce)),
        )

    async def balance(self, token: str, owner: str) -> int:
        """How many base units of `token` the account `owner` holds."""
        method, params = balance_call(token, owner)
        return self._word(await self._rpc.read(method, *params))

    async def fund(self, address: str, seconds: float) -> list[str]:
        """Have the faucet of a test network's node send tokens to `address`: the transactions' hashes."""
        hashes = await self._rpc.send("tempo_fundAddress", address, seconds=seconds)
        if not isinstance(hashes, list) or not hashes:
            raise self._nonsense("a list of transactions")
        return [str(transaction) for transaction in hashes]

    async def send(self, transaction: Transaction, seconds: float) -> Receipt | None:
        """Broadcast `transaction`, and wait for its receipt if the node knows how to.

        Raises `RpcUnreachable` only if the node cannot have got it.
        """
        raw = "0x" + transaction.encode().hex()
        if self._sends_sync:
            try:
                answer = await self._rpc.send("eth_sendRawTransactionSync", raw, seconds=seconds)
            except RpcRefused as refusal:
                if refusal.code != METHOD_NOT_FOUND:
                    raise
                logger.info(
                    "the node at %s has no eth_sendRawTransactionSync: receipts are polled for", self.host
                )
                self._sends_sync = False
            else:
                return self._receipt(answer, transaction_hash(transaction))
        await self._rpc.send("eth_sendRawTransaction", raw, seconds=seconds)
        return None

    async def access_key(self, signer: Signer) -> KeyInfo:
        """What the chain knows of the access key that signed."""
        assert signer.access_key is not None
        call = read_call(keychain.ADDRESS, keychain.get_key(signer.account, signer.access_key))
        return self._key(await self._rpc.read(call[0], *call[1]))

    async def knows(self, transaction_hash: str) -> bool:
        """Whether the node has the transaction, on the chain or waiting."""
        return await self._rpc.read("eth_getTransactionByHash", transaction_hash) is not None

    async def receipt(self, transaction_hash: str) -> Receipt | None:
        """The receipt of a transaction, if it is on the chain."""
        answer = await self._rpc.read("eth_getTransactionReceipt", transaction_hash, limit=_MAX_RECEIPT)
        return self._receipt(answer, transaction_hash)

    async def wait_for_receipt(self, transaction_hash: str) -> Receipt:
        """Ask until there is a receipt, however the node fails meanwhile. The caller sets the time limit."""
        pause = _FIRST_PAUSE
        while True:
            try:
                receipt = await self.receipt(transaction_hash)
            except RpcError as error:
                logger.warning("asking for the receipt of %s: %s", transaction_hash, error)
                receipt = None
            if receipt is not None:
                return receipt
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def find(self, transaction_hash: str, valid_before: int) -> Receipt | Absence:
        """The receipt of a transaction, or what its absence means."""
        receipt = await self.receipt(transaction_hash)
        if receipt is not None:
            return receipt
        time = await self.block_time("latest")
        if time < valid_before:
            return Absence.SO_FAR
        if time < valid_before + CHAIN_LAG:
            return Absence.PERHAPS
        # It may have come between the two questions.
        return await self.receipt(transaction_hash) or Absence.FOREVER

    async def aclose(self) -> None:
        """Close the connections."""
        await self._rpc.aclose()

    async def block_time(self, tag: str) -> int:
        """The timestamp of a block, in Unix seconds; `tag` is its number, or `latest`."""
        return (await self._blocks.read(tag))[1]

    async def latest_block(self) -> tuple[int, int]:
        """The number of the latest block, and its timestamp in Unix seconds."""
        return await self._blocks.read("latest")

    async def first_block(self, time: float, latest: int) -> int:
        """The number of the first block at `time` or later; one more than `latest` if there is none."""
        return await self._blocks.first(time, latest)

    async def block_times(self, numbers: Iterable[int]) -> dict[int, int]:
        """The timestamps of these blocks, in Unix seconds, by their numbers."""
        return await self._blocks.times(numbers)

    def transfers(
        self,
        *,
        to: Iterable[str] = (),
        sent_by: Iterable[str] = (),
        since_block: int,
        until_block: int,
        with_memo: bool = False,
    ) -> AsyncIterator[Arrival]:
        """The transfers of any TIP-20 token to, or from, these addresses, from block to block, inclusive.

        `with_memo`: only those that have a memo, and that as well.
        """
        return read_arrivals(
            self._rpc,
            to=to,
            sent_by=sent_by,
            since_block=since_block,
            until_block=until_block,
            with_memo=with_memo,
        )

    async def find_transfer(self, transfer: Transfer, *, since: int, until: int) -> str | Absence:
        """The transaction that made a transfer with a memo between these times, in Unix seconds.

        Or what its absence means: `FOREVER` only if the chain has got to `until` and all of it was searched.
        """
        last, time = await self.latest_block()
        first, is_exact = max(last - (time - since) * _BLOCKS_PER_SECOND, 0), False
        if time - since > _RECENT:
            # Nodes refuse questions about too many blocks.
            number = last
            first, is_exact = await self.first_block(since, number), True
            last = max(await self.first_block(until + 1, number) - 1, first)
        logs = await self._rpc.read(
            "eth_getLogs",
            {
                "address": transfer.token,
                "topics": [*transfer_topics(transfer)],
                "fromBlock": hex(first),
                "toBlock": hex(last),
            },
        )
        if not isinstance(logs, list):
            raise self._nonsense("a list of logs")
        for log in logs:
            found = log.get("transactionHash") if isinstance(log, dict) else None
            if isinstance(found, str) and _HASH.fullmatch(found) and transfer in transfers_in_logs([log]):
                return found.lower()
        if logs or time < until:
            return Absence.PERHAPS
        if not is_exact and first > 0 and await self.block_time(hex(first)) > since:
            return Absence.PERHAPS
        return Absence.FOREVER

    def _quantity(self, value: JSONValue, bits: int = 256) -> int:
        """A number of so many bits as JSON-RPC writes it: `0x` and hexadecimal digits."""
        if not isinstance(value, str) or not _QUANTITY.fullmatch(value) or int(value, 16) >> bits:
            raise self._nonsense("such a number")
        return int(value, 16)

    def _word(self, value: JSONValue) -> int:
        """The 256-bit number that a contract returned."""
        if not isinstance(value, str) or len(value) != 2 + 64:
            raise self._nonsense("what a contract returns")
        return self._quantity(value)

    def _key(self, value: JSONValue) -> KeyInfo:
        """What the keychain contract returned."""
        try:
            return keychain.read_key(_data(value))
        except ValueError as error:
            raise self._nonsense("what the keychain returns") from error

    def _limit(self, value: JSONValue) -> int:
        try:
            return keychain.read_limit(_data(value))
        except ValueError as error:
            raise self._nonsense("what the keychain returns") from error

    def _receipt(self, answer: JSONValue, transaction_hash: str) -> Receipt | None:
        if answer is None:
            return None
        if not isinstance(answer, dict):
            raise self._nonsense("a receipt")
        found, status = answer.get("transactionHash"), answer.get("status")
        if not isinstance(found, str) or found.lower() != transaction_hash or status not in ("0x0", "0x1"):
            raise self._nonsense("the receipt of this transaction")
        return Receipt(
            hash=transaction_hash,
            succeeded=status == "0x1",
            transfers=tuple(transfers_in_logs(answer.get("logs"))),
            sender=_address(answer.get("from")),
            fee=self._fee(answer),
            block=_tag(answer.get("blockNumber")),
        )

    def _fee(self, answer: JSONObject) -> int | None:
        gas, price = answer.get("gasUsed"), answer.get("effectiveGasPrice")
        if gas is None or price is None:
            return None
        return self._quantity(gas) * self._quantity(price)

    def _nonsense(self, what: str) -> RpcUnanswered:
        return RpcUnanswered(f"the node at {self.host} answered with something that is not {what}")


def transaction_hash(transaction: Transaction) -> str:
    """The hash of a signed transaction, as JSON-RPC writes it."""
    return "0x" + transaction.hash().hex()


def transaction_object(transaction: Transaction, sender: str, *, priced: bool = True) -> JSONObject:
    """A transaction as `eth_call` and `eth_estimateGas` take it; without gas and fees unless `priced`.

    The batch is `calls` followed by the call at the top level. Even a node that knows nothing of batches
    understands a single call, because it stands where every node looks for it.
    """
    calls: list[JSONObject] = [
        {
            **({} if call.to is None else {"to": checksum_address(call.to)}),
            "value": hex(call.value),
            "data": "0x" + call.data.hex(),
        }
        for call in transaction.calls
    ]
    *leading, last = calls
    members: JSONObject = {
        "type": "0x76",
        "from": sender,
        **last,
        "chainId": hex(transaction.chain_id),
        "nonceKey": hex(transaction.nonce_key),
        "nonce": hex(transaction.nonce),
    }
    if leading:
        members["calls"] = list(leading)
    if transaction.valid_before is not None:
        members["validBefore"] = hex(transaction.valid_before)
    if transaction.valid_after is not None:
        members["validAfter"] = hex(transaction.valid_after)
    if transaction.fee_token is not None:
        members["feeToken"] = checksum_address(transaction.fee_token)
    if priced:
        members["gas"] = hex(transaction.gas_limit)
        members["maxFeePerGas"] = hex(transaction.max_fee_per_gas)
        members["maxPriorityFeePerGas"] = hex(transaction.max_priority_fee_per_gas)
    return members


def signed_object(transaction: Transaction, signer: Signer) -> JSONObject:
    """A signed transaction as `eth_call` takes it: with its access key, and the fee payer's signature."""
    members = transaction_object(transaction, signer.account)
    if signer.access_key is not None or signer.key_type != "secp256k1":
        members["keyType"] = signer.key_type
    if signer.access_key is not None:
        members["keyId"] = signer.access_key
    if transaction.key_authorization is not None:
        members["keyAuthorization"] = authorization_object(transaction.key_authorization)
    signature = transaction.fee_payer_signature
    if signature is not None and signature != FEE_PAYER_PLACEHOLDER:
        r, s, parity = signature[:32], signature[32:64], signature[64] - 27
        members["feePayerSignature"] = {
            "r": hex(int.from_bytes(r)),
            "s": hex(int.from_bytes(s)),
            "yParity": hex(parity),
            "v": hex(parity),
        }
    return members


def granted(result: JSONValue | RpcRefused) -> JSONValue:
    """The result, or the refusal that stands in its place, raised."""
    if isinstance(result, RpcRefused):
        raise result
    return result


def balance_call(token: str, owner: str) -> RpcCall:
    """How many base units of `token` an account holds."""
    return read_call(token, balance_of(owner))


def read_call(to: str, data: bytes) -> RpcCall:
    """What a contract answers to this calldata, on the latest state."""
    return "eth_call", [{"to": to, "data": "0x" + data.hex()}, "latest"]


def _data(value: JSONValue) -> bytes:
    """The bytes that a contract returned. Raises `ValueError`."""
    return bytes.fromhex(str(value).removeprefix("0x"))


def _nonce_call(account: str, lane: int) -> RpcCall:
    """What asks for the next nonce of a lane; the first lane is every Ethereum account's."""
    if lane == 0:
        return "eth_getTransactionCount", [account, "latest"]
    return read_call(_NONCE_PRECOMPILE, _GET_NONCE + abi.address_word(account) + lane.to_bytes(32))


def _tag(value: JSONValue) -> str | None:
    return value if isinstance(value, str) and _QUANTITY.fullmatch(value) else None


def _address(value: JSONValue) -> str | None:
    try:
        return checksum_address(value) if isinstance(value, str) else None
    except AddressError:
        return None
