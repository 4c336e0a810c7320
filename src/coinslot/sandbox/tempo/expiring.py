"""Expiring nonces, as today's clients sign them, on a chain of a hardfork that has none.

A payment carries `nonceKey` 2²⁵⁶ - 1, any nonce, and a `validBefore` (TIP-1009, TIP-1106): it is told apart
from others by its hash, and forgotten once it is too late. The node's T0 takes that key for an ordinary nonce
lane, where the nonce must be the next in line; its T1 to T4 know expiring nonces and want 0 there, which
today's clients no longer write. So on T0 this module sets the lane to the transaction's own nonce just before
it is sent, and keeps the rules that the chain would have kept:

    validBefore    is demanded, and is at most `EMULATED_WINDOW` after the chain's time; the node itself wants
                   it to be later than 3 s from now, as Tempo's pools do
    replay         what the sender signed counts once until then, whoever pays the fee

The node may have put a transaction into two blocks, the second of which it has yet to run. Were the lane set
back to that nonce meanwhile, the transaction would be mined again. So before a nonce comes a second time, a
transaction of the sandbox's own goes first: blocks run in order, and when its own has, so have all before it.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from coinslot.methods.tempo.keys import SignatureError, keccak256, parse_address
from coinslot.methods.tempo.wire import EXPIRING_NONCE_KEY, Call, Transaction
from coinslot.protocol import JSONValue
from coinslot.sandbox.tempo.accounts import FAUCET
from coinslot.sandbox.tempo.jsonrpc import ALREADY_KNOWN, INTERNAL_ERROR, TRANSACTION_REJECTED, RPCError
from coinslot.sandbox.tempo.node import Node
from coinslot.sandbox.tempo.treasury import spend

EMULATED_WINDOW: Final = 300
"""Seconds ahead that `validBefore` may be, as on Tempo since T11."""
_NATIVE_WINDOW: Final = 30

CAPACITY: Final = 100_000
"""Transactions that are remembered at once. Tempo has room for 3,000,000."""

_DRAINED: Final = 2.0
"""Seconds after which a block that waited to run has run."""
_GAS: Final = 300_000

_NONCE_PRECOMPILE: Final = "0x4E4F4E4345000000000000000000000000000000"
_LAST_NONCE: Final = 2**64 - 1


def check_start(transaction: Transaction, now: int) -> None:
    """Refuse a transaction of any lane that is not valid yet; `now` is the latest block's time.

    Tempo would hold it. This node does too, but mines empty blocks without a pause meanwhile.
    """
    start = transaction.valid_after
    if start is not None and start > now:
        raise _rejected(
            f"transaction not valid yet: current block timestamp {now} < validAfter {start}; "
            "the sandbox does not hold it until then"
        )


def check_native(transaction: Transaction, now: int) -> None:
    """Refuse an expiring transaction that breaks the rules of T1 to T4; `now` is the latest block's time.

    The node would take it, and neither mine it nor say why. Raises `RPCError`, in the chain's words.
    """
    if transaction.nonce != 0:
        raise _rejected("expiring nonce transaction must have nonce == 0")
    _check_window(transaction, now, _NATIVE_WINDOW)


def _check_window(transaction: Transaction, now: int, window: int) -> None:
    deadline = transaction.valid_before
    if deadline is None:
        raise _rejected("expiring nonce transaction requires valid_before to be set")
    if deadline <= now:
        raise _rejected(
            "nonce manager error: expiring nonce transaction expired: "
            f"valid_before ({deadline}) <= block timestamp ({now})"
        )
    if deadline > now + window:
        raise _rejected(
            f"nonce manager error: expiring nonce valid_before ({deadline}) too far in the future: "
            f"must be within {window}s of block timestamp ({now}), max allowed is {now + window}"
        )


class ExpiringNonces:
    """Lends T0 expiring nonces: `lane` makes a transaction's nonce the next in line, once per transaction."""

    def __init__(self, node: Node, chain_id: int) -> None:
        self._node = node
        self._chain_id = chain_id
        self._used: dict[tuple[str, int], float] = {}
        self._seen: dict[bytes, str] = {}
        self._expiry: list[tuple[int, bytes]] = []
        self._lanes: dict[str, _Lane] = {}

    @asynccontextmanager
    async def lane(self, transaction: Transaction, now: int) -> AsyncIterator[None]:
        """Hold the sender's lane, set to the transaction's nonce, while the caller sends it.

        The caller stays inside until the transaction is mined, or it has waited long enough. Leaving without
        an exception marks it as seen. Raises `RPCError` for a replay, and for what cannot be emulated.
        """
        _check_window(transaction, now, EMULATED_WINDOW)
        if transaction.nonce == _LAST_NONCE:
            raise _rejected("the sandbox cannot emulate an expiring nonce of 2^64 - 1")
        sender = _sender(transaction)
        # TIP-1009: keccak256(what the sender signed ‖ sender). Another fee payer makes no other transaction.
        identity = keccak256(transaction.signing_hash() + parse_address(sender))
        async with self._hold(sender):
            self._forget(now)
            if identity in self._seen:
                raise await self._replay(self._seen[identity])
            if len(self._seen) >= CAPACITY:
                raise _rejected("nonce manager error: ExpiringNonceSetFull")
            await self._drain(sender, transaction.nonce)
            await self._set_nonce(sender, transaction.nonce)
            try:
                yield
            finally:
                self._used[sender, transaction.nonce] = time.monotonic()
            assert transaction.valid_before is not None
            self._seen[identity] = "0x" + transaction.hash().hex()
            heapq.heappush(self._expiry, (transaction.valid_before, identity))

    def forget_all(self) -> None:
        """The chain was rewound: what was seen may not have happened."""
        self._seen.clear()
        self._expiry.clear()

    def __len__(self) -> int:
        return len(self._seen)

    def _forget(self, now: int) -> None:
        while self._expiry and self._expiry[0][0] <= now:
            _, identity = heapq.heappop(self._expiry)
            del self._seen[identity]

    @asynccontextmanager
    async def _hold(self, sender: str) -> AsyncIterator[None]:
        """One transaction of a sender at a time: two nonces cannot both be the next in line."""
        lane = self._lanes.setdefault(sender, _Lane())
        lane.holders += 1
        try:
            async with lane.lock:
                yield
        finally:
            lane.holders -= 1
            if not lane.holders:
                del self._lanes[sender]

    async def _drain(self, sender: str, nonce: int) -> None:
        """Wait for blocks that may hold a transaction which could be mined again at `nonce`, or after it."""
        long_ago = time.monotonic() - _DRAINED
        self._used = {each: when for each, when in self._used.items() if when > long_ago}
        if (sender, nonce) in self._used or (sender, nonce + 1) in self._used:
            nothing = Call(to=parse_address(FAUCET.address), value=0, data=b"")
            with contextlib.suppress(TimeoutError):  # Nothing is mined unless somebody asks for it.
                await asyncio.wait_for(spend(self._node, self._chain_id, [nothing], gas=_GAS), _DRAINED)

    async def _replay(self, transaction_hash: str) -> RPCError:
        """What a chain says: a pool knows what it still holds, the nonce manager what was mined."""
        if await self._node.call("eth_getTransactionReceipt", [transaction_hash]) is None:
            return RPCError(ALREADY_KNOWN, "already known")
        return _rejected("nonce manager error: ExpiringNonceReplay")

    async def _set_nonce(self, sender: str, nonce: int) -> None:
        params: list[JSONValue] = [_NONCE_PRECOMPILE, _nonce_slot(sender), "0x" + nonce.to_bytes(32).hex()]
        if await self._node.call("anvil_setStorageAt", params) is not True:
            raise RPCError(INTERNAL_ERROR, "the node would not set a nonce")


class _Lane:
    """A sender's lane, and how many are in it or wait for it."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.holders = 0


def _sender(transaction: Transaction) -> str:
    try:
        return transaction.sender()
    except SignatureError as error:
        raise _rejected(f"the sandbox cannot tell whose expiring nonce this is: {error}") from error


def _nonce_slot(sender: str) -> str:
    """Where the nonce precompile keeps `nonces[sender][EXPIRING_NONCE_KEY]`, laid out as Solidity does."""
    account = keccak256(parse_address(sender).rjust(32, b"\x00") + bytes(32))
    return "0x" + keccak256(EXPIRING_NONCE_KEY.to_bytes(32) + account).hex()


def _rejected(reason: str) -> RPCError:
    return RPCError(TRANSACTION_REJECTED, f"tempo transaction error: {reason}")
