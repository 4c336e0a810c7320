"""Link in a box: the wallet that an agent pays from, with its user played by whoever opens its pages.

    async with LinkSandbox(stripe_url=…, stripe_key=…) as link: …           in asynchronous code
    with ThreadedLinkSandbox(stripe_url=…, stripe_key=…) as link: …         in any other
    serve(port=4280, …)                                                     in the foreground

One URL answers for both of Link's hosts: `login.link.com` (device login, RFC 8628) and `api.link.com`
(payment methods, spend requests). `LINK_AUTH_BASE_URL` and `LINK_API_BASE_URL` point link-cli, and
`coinslot link`, at it. Shared payment tokens are not invented here: they are issued by the Stripe API that it
is given, so that whoever is paid with one can charge it there.

`docs/link.md` says what is emulated, and how.
"""

from __future__ import annotations

try:
    import httpx2 as _httpx2  # noqa: F401 - imported to see whether it is there
    import jinja2 as _jinja2  # noqa: F401
    import starlette as _starlette  # noqa: F401
    import uvicorn as _uvicorn  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"the Link sandbox needs {error.name}, which is not installed: pip install 'coinslot[sandbox]'"
    ) from error

from coinslot.sandbox.link.sandbox import LinkSandbox, ThreadedLinkSandbox
from coinslot.sandbox.link.serving import serve

__all__ = ["LinkSandbox", "ThreadedLinkSandbox", "serve"]
