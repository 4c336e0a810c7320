"""Transfers as the chain has them: every `Transfer` log to, or from, some addresses in a range of blocks.

Nodes limit how many blocks and how many logs one question may be about, each in its own way and words. So a
range is asked for in pieces, and a piece that is refused is halved.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from typing import Final

from msgspec import Struct

from coinslot.methods.tempo.keys import checksum_address
from coinslot.methods.tempo.rpc import METHOD_NOT_FOUND, Rpc, RpcRefused, RpcTooLong, RpcUnanswered
from coinslot.methods.tempo.wire.tip20 import event_topics, is_token, read_transfer_event
from coinslot.protocol import JSONValue

_SPAN: Final = 5_000  # blocks that are asked about at once, at most
_BATCH: Final = 200  # addresses that are

_HASH: Final = re.compile(r"0x[0-9a-fA-F]{64}")
_NUMBER: Final = re.compile(r"0x[0-9a-fA-F]{1,16}")


class Arrival(Struct, frozen=True, kw_only=True):
    """A transfer on the chain. `amount` is in the token's base units; addresses are EIP-55 checksummed.

    `transaction` is the hash, in lower case; `index` is the log's place in its block, and with the hash names
    this transfer and no other. `memo` is known if it was asked for; `at` is the block's time in Unix seconds,
    if the node says it here.
    """

    token: str
    sender: str
    recipient: str
    amount: int
    transaction: str
    block: int
    index: int
    memo: bytes | None = None
    at: int | None = None


async def read_arrivals(
    rpc: Rpc,
    *,
    to: Iterable[str],
    sent_by: Iterable[str],
    since_block: int,
    until_block: int,
    with_memo: bool = False,
) -> AsyncIterator[Arrival]:
    """The transfers of any TIP-20 token in these blocks, both inclusive, to `to` and from `sent_by`.

    Either may be empty, and then it is anybody; not both. They come in the order of blocks, for each 200
    addresses of `to`. `with_memo`: only those with a memo, and that as well. Raises `RpcError`, `ValueError`
    if both are empty, and `AddressError`.
    """
    recipients, senders = (
        [checksum_address(each) for each in to],
        [checksum_address(each) for each in sent_by],
    )
    if not recipients and not senders:
        raise ValueError("whose transfers? There are no addresses")
    for at in range(0, len(recipients) or 1, _BATCH):
        some = recipients[at : at + _BATCH]
        first, span = since_block, _SPAN
        while first <= until_block:
            last = min(first + span - 1, until_block)
            try:
                topics = event_topics(to=some, sent_by=senders, with_memo=with_memo)
                logs = await _ask(rpc, topics, first, last, with_memo=with_memo)
            except (RpcRefused, RpcTooLong) as error:
                if first == last or (isinstance(error, RpcRefused) and error.code == METHOD_NOT_FOUND):
                    raise
                span = (last - first + 1) // 2
                continue
            for arrival in logs:
                yield arrival
            first = last + 1


async def _ask(rpc: Rpc, topics: list[JSONValue], first: int, last: int, *, with_memo: bool) -> list[Arrival]:
    """One question. What is not asked for, or is no transfer of a token, is left out."""
    answer = await rpc.read("eth_getLogs", {"topics": topics, "fromBlock": hex(first), "toBlock": hex(last)})
    if not isinstance(answer, list):
        raise _nonsense(rpc)
    if not all(_is_of(log, topics[0]) for log in answer):  # then it does not say that nothing came
        raise _nonsense(rpc)
    arrivals = [_read(log, rpc, with_memo=with_memo) for log in answer]
    return [each for each in arrivals if each is not None and first <= each.block <= last]


def _is_of(log: JSONValue, event: JSONValue) -> bool:
    """Whether it is a log of the event that was asked for."""
    topics = log.get("topics") if isinstance(log, dict) else None
    return isinstance(topics, list) and topics[:1] == [event]


def _read(log: JSONValue, rpc: Rpc, *, with_memo: bool) -> Arrival | None:
    """None for what any contract can write: only the logs of TIP-20 tokens say that something moved."""
    transfer = read_transfer_event(log, with_memo=with_memo)
    if not isinstance(log, dict) or transfer is None or not is_token(transfer.token):
        return None
    transaction = log.get("transactionHash")
    block, index = (_number(log.get(name)) for name in ("blockNumber", "logIndex"))
    if not isinstance(transaction, str) or not _HASH.fullmatch(transaction) or block is None or index is None:
        raise _nonsense(rpc)
    return Arrival(
        token=transfer.token,
        sender=transfer.sender or "",
        recipient=transfer.recipient,
        amount=transfer.amount,
        transaction=transaction.lower(),
        block=block,
        index=index,
        memo=transfer.memo,
        at=_number(log.get("blockTimestamp")),
    )


def _number(value: JSONValue) -> int | None:
    return int(value, 16) if isinstance(value, str) and _NUMBER.fullmatch(value) else None


def _nonsense(rpc: Rpc) -> RpcUnanswered:
    return RpcUnanswered(f"the node at {rpc.host} answered with something that is not a list of logs")
