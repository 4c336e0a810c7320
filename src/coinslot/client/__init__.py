"""The buyer's side: a `Wallet` pays for what is asked over HTTP.

Importing this loads no HTTP library and no event loop; using a wallet does.
"""

from __future__ import annotations

from coinslot.client.record import Outcome, PaymentRecord
from coinslot.client.wallet import RequestOptions, Wallet

__all__ = ["Outcome", "PaymentRecord", "RequestOptions", "Wallet"]
