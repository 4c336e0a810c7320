"""Times operations, the same for every Python subject."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

# A batch is long beside the clock's resolution and short beside a time slice of the operating system.
BATCH_SECONDS = 0.005


def print_rates(operations: Mapping[str, Callable[[], Any]], seconds: float) -> None:
    """Each operation's calls per second, as a JSON object; it is given `seconds` of time."""
    rates = {name: asyncio.run(_rate(operation, seconds)) for name, operation in operations.items()}
    print(json.dumps(rates), flush=True)


async def _rate(operation: Callable[[], Any], seconds: float) -> float:
    """The best of many batches: whatever else the machine does can only make a batch slower."""
    batch = _async_batch if inspect.iscoroutinefunction(operation) else _batch
    times = 1
    while (took := await batch(operation, times)) < BATCH_SECONDS:
        times *= 2
    end = perf_counter() + seconds
    while perf_counter() < end:
        took = min(took, await batch(operation, times))
    return times / took


async def _batch(operation: Callable[[], Any], times: int) -> float:
    start = perf_counter()
    for _ in range(times):
        operation()
    return perf_counter() - start


async def _async_batch(operation: Callable[[], Any], times: int) -> float:
    start = perf_counter()
    for _ in range(times):
        await operation()
    return perf_counter() - start
