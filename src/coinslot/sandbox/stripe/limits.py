"""A rate limit, as Stripe has one for each account: so many requests a second, and as many at once."""

from __future__ import annotations

from collections.abc import Callable


class RateLimit:
    """A bucket of tokens for each account. `per_second` None is no limit."""

    def __init__(self, per_second: float | None, clock: Callable[[], float]) -> None:
        self.per_second = per_second
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def admits(self, account: str) -> bool:
        """Whether the account may make one more request now; if so, it has."""
        if self.per_second is None:
            return True
        now = self._clock()
        left, since = self._buckets.get(account, (self.per_second, now))
        left = min(self.per_second, left + (now - since) * self.per_second)
        if left < 1:
            self._buckets[account] = (left, now)
            return False
        self._buckets[account] = (left - 1, now)
        return True
