"""What every cache checks of a counter."""

from __future__ import annotations

from typing import Final

from coinslot.errors import LedgerError

_MOST: Final = 2**63


def check_count(stands: int) -> None:
    """Raise `LedgerError` if a counter would leave 64 bits."""
    if not -_MOST <= stands < _MOST:
        raise LedgerError("a counter in the cache cannot hold that much")
