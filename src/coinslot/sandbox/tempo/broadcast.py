"""`eth_sendRawTransaction` and `eth_sendRawTransactionSync`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from coinslot.methods.tempo.keys import keccak256
from coinslot.methods.tempo.wire import EXPIRING_NONCE_KEY, Transaction, TransactionError
from coinslot.protocol import JSONValue
from coinslot.sandbox.tempo.access_keys import AccessKeys
from coinslot.sandbox.tempo.expiring import ExpiringNonces, check_native, check_start
from coinslot.sandbox.tempo.jsonrpc import (
    CONFIRMATION_TIMEOUT,
    TRANSACTION_REJECTED,
    RPCError,
    invalid_params,
)
from coinslot.sandbox.tempo.node import Node
from coinslot.sandbox.tempo.receipts import attribute_fee
from coinslot.sandbox.tempo.requests import raw_transaction
from coinslot.sandbox.tempo.sponsoring import FeePayerService, awaits_fee_payer

_PATIENCE: Final = 2.0
"""Seconds that a transaction may hold its sender's lane. It is mined at once, or it is being held back."""

_MAX_TIMEOUT: Final = 30.0
"""Seconds that a caller may wait, and waits if it does not say; the node itself waits no longer."""


class Broadcaster:
    """Passes raw transactions to the node. `nonces` is None where the node has expiring nonces itself."""

    def __init__(
        self, node: Node, nonces: ExpiringNonces | None, keys: AccessKeys, service: FeePayerService
    ) -> None:
        self._node = node
        self._nonces = nonces
        self._keys = keys
        self._service = service

    async def send(self, params: list[JSONValue]) -> JSONValue:
        """Answer `eth_sendRawTransaction(raw)`: the hash."""
        raw, transaction = self._read(params)
        async with self._admitted(transaction):
            result = await self._node.call("eth_sendRawTransaction", ["0x" + raw.hex()])
            if self._nonces is not None and _is_expiring(transaction):
                await self._until_mined(result)
        return result

    async def send_sync(self, params: list[JSONValue]) -> JSONValue:
        """Answer `eth_sendRawTransactionSync(raw, timeout in ms)`: the receipt (EIP-7966).

        Raises `RPCError`: code 4, with the hash as its data, if the timeout passes first.
        """
        raw, transaction = self._read(params)
        limit = _read_timeout(params)
        transaction_hash = "0x" + keccak256(raw).hex()
        waiting: asyncio.Task[JSONValue] | None = None
        try:
            async with self._admitted(transaction):
                call = self._node.call("eth_sendRawTransactionSync", ["0x" + raw.hex()])
                waiting = asyncio.create_task(call)
                await asyncio.wait({waiting}, timeout=min(_PATIENCE, limit))
                if waiting.done():
                    waiting.result()  # A refusal leaves the lane as an exception: nothing was sent.
                elif limit > _PATIENCE:
                    await self._check_kept(transaction_hash)
            await asyncio.wait({waiting}, timeout=max(limit - _PATIENCE, 0))
            if not waiting.done():
                raise RPCError(
                    CONFIRMATION_TIMEOUT,
                    f"the transaction was sent, and was not confirmed within {limit:g} s",
                    data=transaction_hash,
                )
            return attribute_fee(waiting.result())
        finally:
            if waiting is not None:
                waiting.cancel()

    def _read(self, params: list[JSONValue]) -> tuple[bytes, Transaction | None]:
        """The raw transaction, with its fee payer's signature if it awaited one."""
        raw = raw_transaction(params)
        if awaits_fee_payer(raw):
            transaction = self._service.co_sign(raw)
            return transaction.encode(), transaction
        return raw, _decode(raw)

    @asynccontextmanager
    async def _admitted(self, transaction: Transaction | None) -> AsyncIterator[None]:
        """Do what has to be done before the transaction is sent, and hold what it needs until then."""
        if transaction is None:
            yield
            return
        now = await self._node.now()
        check_start(transaction, now)
        await self._keys.check_transaction(transaction, now)
        if not _is_expiring(transaction):
            yield
        elif self._nonces is None:
            check_native(transaction, now)
            yield
        else:
            async with self._nonces.lane(transaction, now):
                yield

    async def _until_mined(self, transaction_hash: JSONValue) -> None:
        pause = 0.002
        try:
            async with asyncio.timeout(_PATIENCE):
                while await self._node.call("eth_getTransactionReceipt", [transaction_hash]) is None:
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, 0.1)
        except TimeoutError:
            await self._check_kept(transaction_hash)

    async def _check_kept(self, transaction_hash: JSONValue) -> None:
        """Tell what the node does not: it drops what cannot be mined, and lets who waits for it wait."""
        if await self._node.call("eth_getTransactionByHash", [transaction_hash]) is None:
            raise RPCError(
                TRANSACTION_REJECTED,
                "the node dropped the transaction: too little gas, or not valid in this block",
            )


def _is_expiring(transaction: Transaction | None) -> bool:
    return transaction is not None and transaction.nonce_key == EXPIRING_NONCE_KEY


def _decode(raw: bytes) -> Transaction | None:
    """What the bytes say, if they are a Tempo Transaction that can be read."""
    try:
        return Transaction.decode(raw)
    except TransactionError:
        return None  # Of another type, or wrong: the node is the judge of that.


def _read_timeout(params: list[JSONValue]) -> float:
    """The second parameter, in seconds."""
    milliseconds = params[1] if len(params) > 1 else None
    if milliseconds is None:
        return _MAX_TIMEOUT
    if not isinstance(milliseconds, int) or isinstance(milliseconds, bool) or milliseconds <= 0:
        invalid_params("the timeout is a positive number of milliseconds")
    return min(milliseconds / 1000, _MAX_TIMEOUT)
