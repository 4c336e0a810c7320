"""Stripe in a box: an emulator of Stripe's API for machine payments, with nothing to sign up for.

    async with StripeSandbox() as sandbox: …          in asynchronous code
    with ThreadedStripeSandbox() as sandbox: …        in any other
    serve(port=12111)                                 in the foreground, as `coinslot sandbox stripe`

How a request goes through:

    app ─► api ─► endpoints ─► confirming, deposits, tokens, … ─► state ─► store (SQLite, one thread)
                                                    events ─┴─► webhooks
    background: timers (settlement, expiry), webhooks (retries), watching (deposits on a chain)

`docs/sandbox-stripe.md` says what it covers, and where it knowingly differs.
"""

from __future__ import annotations

try:
    import httpx2 as _httpx2  # noqa: F401 - imported to see whether it is there
    import jinja2 as _jinja2  # noqa: F401
    import starlette as _starlette  # noqa: F401
    import uvicorn as _uvicorn  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"the Stripe sandbox needs {error.name}, which is not installed: pip install 'coinslot[sandbox]'"
    ) from error

from coinslot.sandbox.stripe.accounts import BUYER, SELLER, Keys
from coinslot.sandbox.stripe.sandbox import SandboxError, StripeSandbox, ThreadedStripeSandbox
from coinslot.sandbox.stripe.serving import serve
from coinslot.sandbox.stripe.webhooks import sign

__all__ = [
    "BUYER",
    "SELLER",
    "Keys",
    "SandboxError",
    "StripeSandbox",
    "ThreadedStripeSandbox",
    "serve",
    "sign",
]
