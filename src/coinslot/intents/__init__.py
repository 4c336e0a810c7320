"""What is asked for: the request objects of each payment intent, and exact amounts."""

from __future__ import annotations

from coinslot.intents.amounts import (
    MAX_BASE_UNITS,
    format_amount,
    from_base_units,
    parse_base_units,
    to_base_units,
)
from coinslot.intents.charge import ChargeRequest

__all__ = [
    "MAX_BASE_UNITS",
    "ChargeRequest",
    "format_amount",
    "from_base_units",
    "parse_base_units",
    "to_base_units",
]
