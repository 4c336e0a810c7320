"""The sandbox in the foreground, as `coinslot sandbox stripe` runs it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from coinslot.sandbox.foreground import asked_to_stop
from coinslot.sandbox.stripe.accounts import FIRST
from coinslot.sandbox.stripe.sandbox import StripeSandbox


def serve(
    *,
    port: int = 12111,
    state: str = "coinslot-stripe.db",
    chain: str | None = None,
    rate_limit: float | None = None,
    echo: Callable[[str], None] = print,
) -> None:
    """Run a sandbox until Ctrl-C or SIGTERM, and say through `echo` where it is.

    Returns when it was asked to stop. Raises `ConfigurationError` if it cannot start as told.
    """
    sandbox = StripeSandbox(port=port, state=state, chain=chain, rate_limit=rate_limit)
    asyncio.run(_serve(sandbox, chain, echo))


async def _serve(sandbox: StripeSandbox, chain: str | None, echo: Callable[[str], None]) -> None:
    asked = asked_to_stop()
    async with sandbox:
        for line in _describe(sandbox, chain):
            echo(line)
        await asked.wait()
    echo("Stopped.")


def _describe(sandbox: StripeSandbox, chain: str | None) -> list[str]:
    accounts = [sandbox.account(name) for name in FIRST]
    watched = "no chain is watched" if chain is None else "a chain is watched for deposits"
    return [
        f"Stripe sandbox on {sandbox.url}",
        f"  state in {sandbox.state}, {watched}; payments are listed at {sandbox.url}/",
        "",
        "Accounts, with keys that everybody knows:",
        *(f"  {keys.name:<7} {keys.secret_key:<24}  {keys.profile}" for keys in accounts),
        "",
        "Point a client at it:",
        f'  stripe.StripeClient("{accounts[0].secret_key}", base_addresses={{"api": "{sandbox.url}"}})',
        "",
        "Ctrl-C stops it.",
    ]
