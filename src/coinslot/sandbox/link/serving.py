"""The sandbox in the foreground, as `coinslot sandbox link` runs it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from coinslot.sandbox.foreground import asked_to_stop
from coinslot.sandbox.link.sandbox import LinkSandbox
from coinslot.sandbox.link.tokens import Draw
from coinslot.sandbox.link.wallet import PAYMENT_METHODS


def serve(
    *,
    port: int = 4280,
    state: str | Path = "coinslot-link.db",
    stripe_url: str | None = None,
    stripe_key: str | None = None,
    draw: Draw = "issued",
    unattended: bool = False,
    echo: Callable[[str], None] = print,
) -> None:
    """Run a Link sandbox until Ctrl-C or SIGTERM, and say through `echo` what it serves.

    The settings are those of `LinkSandbox`. Returns when it was asked to stop. Raises `ConfigurationError` if
    it cannot start as told.
    """
    sandbox = LinkSandbox(
        port=port,
        state=state,
        stripe_url=stripe_url,
        stripe_key=stripe_key,
        draw=draw,
        unattended=unattended,
    )
    asyncio.run(_serve(sandbox, state, stripe_url, echo))


async def _serve(
    sandbox: LinkSandbox, state: str | Path, stripe_url: str | None, echo: Callable[[str], None]
) -> None:
    asked = asked_to_stop()
    async with sandbox:
        for line in _describe(sandbox.url, state, stripe_url):
            echo(line)
        await asked.wait()
    echo("Stopped.")


def _describe(url: str, state: str | Path, stripe_url: str | None) -> list[str]:
    kept = "nothing is kept when it stops" if state == ":memory:" else f"its state is in {state}"
    drawn = f"draws tokens from {stripe_url}" if stripe_url else "has no Stripe API: virtual cards only"
    return [
        f"Link sandbox on {url}",
        f"  {drawn}; {kept}",
        "",
        "Use it with:",
        f"  export LINK_API_BASE_URL={url} LINK_AUTH_BASE_URL={url}",
        "",
        "Payment methods:",
        *(f"  {method.id:<18} {method.name}" for method in PAYMENT_METHODS),
        "",
        "Ctrl-C stops it.",
    ]
