"""Blocks and their times: which one is the first at a time, found by bisection."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from coinslot.methods.tempo.rpc import Rpc, RpcCall, RpcRefused, RpcUnanswered
from coinslot.protocol import JSONValue

_AT_ONCE: Final = 50
_MOST_KNOWN: Final = 10_000

_QUANTITY: Final = re.compile(r"0x[0-9a-fA-F]{1,16}")


class Blocks:
    """The blocks of one node's chain. Every coroutine may raise `RpcError`."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._times: dict[int, int] = {}

    async def read(self, tag: str) -> tuple[int, int]:
        """A block's number, and its timestamp in Unix seconds; `tag` is its number, or `latest`."""
        return self._parse(await self._rpc.read("eth_getBlockByNumber", tag, False))

    async def times(self, numbers: Iterable[int]) -> dict[int, int]:
        """The timestamps of these blocks, by their numbers."""
        wanted = sorted(set(numbers))
        times: dict[int, int] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            calls: list[RpcCall] = [("eth_getBlockByNumber", [hex(number), False]) for number in some]
            for number, answer in zip(some, await self._rpc.read_all(*calls), strict=True):
                if isinstance(answer, RpcRefused):
                    raise answer
                times[number] = self._parse(answer)[1]
        return times

    async def first(self, time: float, latest: int) -> int:
        """The number of the first block at `time` or later; one more than `latest` if there is none.

        It looks at the same few blocks each time, however many there are by then, and remembers them.
        """
        before = -1  # a block that is earlier than `time`
        for step in (1 << bit for bit in reversed(range((latest + 1).bit_length()))):
            if before + step <= latest and await self._time(before + step) < time:
                before += step
        return before + 1

    async def _time(self, number: int) -> int:
        if number not in self._times:
            if len(self._times) >= _MOST_KNOWN:
                self._times.clear()
            _, self._times[number] = await self.read(hex(number))
        return self._times[number]

    def _parse(self, block: JSONValue) -> tuple[int, int]:
        number, timestamp = (_number(block, name) for name in ("number", "timestamp"))
        if number is None or timestamp is None:
            raise RpcUnanswered(f"the node at {self._rpc.host} answered with something that is not a block")
        return number, timestamp


def _number(block: JSONValue, name: str) -> int | None:
    value = block.get(name) if isinstance(block, dict) else None
    return int(value, 16) if isinstance(value, str) and _QUANTITY.fullmatch(value) else None
