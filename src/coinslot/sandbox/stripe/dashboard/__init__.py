"""The dashboard: server-rendered pages without scripts, for the people behind the payments.

/                     payments, by state            /payments/pi_…      one payment, and what can be done
/authenticate/pi_…    where a payer is sent to      /developers         keys, events, webhooks, faults
"""

from __future__ import annotations

from coinslot.sandbox.stripe.dashboard.pages import pages

__all__ = ["pages"]
