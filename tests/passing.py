"""Time that passes when a test says so, in memory, in a database and in a Redis server."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ledgers import Clock
from redis_server import RedisServer

Elapse: TypeAlias = Callable[[float], None]


def by_clock(clock: Clock) -> Elapse:
    """For what goes by this clock."""

    def elapse(seconds: float) -> None:
        clock.now += seconds

    return elapse


def in_redis(server: RedisServer) -> Elapse:
    """For what is in a Redis server, which goes by a clock of its own: every key's end comes closer."""

    def elapse(seconds: float) -> None:
        with server.client() as client:
            for key in client.scan_iter():
                left = client.pttl(key) - int(seconds * 1000)
                client.pexpire(key, max(left, 0))

    return elapse
