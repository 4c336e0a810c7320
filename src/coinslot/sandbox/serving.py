"""The sandboxes together in the foreground, as `coinslot sandbox up` runs them.

Stripe watches the Tempo chain for deposits, and Link, if it is wanted, draws its tokens from Stripe.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack

from coinslot.sandbox.foreground import asked_to_stop
from coinslot.sandbox.stripe import StripeSandbox
from coinslot.sandbox.stripe.accounts import BUYER
from coinslot.sandbox.tempo import Devnet
from coinslot.sandbox.tempo.serving import until_stopped


def serve(
    *,
    tempo_port: int = 8545,
    stripe_port: int = 12111,
    link_port: int | None = None,
    stripe_state: str = "coinslot-stripe.db",
    link_state: str = "coinslot-link.db",
    unattended: bool = False,
    echo: Callable[[str], None] = print,
) -> None:
    """Run a Tempo chain and a Stripe, and a Link if it has a port, until Ctrl-C or SIGTERM.

    The chain keeps nothing; the states are files, or `:memory:`. `unattended` is Link's. Raises
    `ConfigurationError` if one of them cannot start as told, and `DevnetError` if the chain's node fails.
    """
    devnet = Devnet(port=tempo_port)

    async def run() -> None:
        asked = asked_to_stop()
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(devnet)
            stripe = StripeSandbox(port=stripe_port, state=stripe_state, chain=devnet.rpc_url)
            await stack.enter_async_context(stripe)
            link_url = None
            if link_port is not None:
                link_url = await _link(stack, link_port, link_state, stripe, unattended=unattended)
            for line in _describe(devnet, stripe, link_url):
                echo(line)
            await until_stopped(devnet, asked)
        echo("Stopped.")

    asyncio.run(run())


async def _link(
    stack: AsyncExitStack, port: int, state: str, stripe: StripeSandbox, *, unattended: bool
) -> str:
    from coinslot.sandbox.link import LinkSandbox

    link = LinkSandbox(
        port=port,
        state=state,
        stripe_url=stripe.url,
        stripe_key=stripe.account(BUYER).secret_key,
        unattended=unattended,
    )
    await stack.enter_async_context(link)
    return link.url


def _describe(devnet: Devnet, stripe: StripeSandbox, link_url: str | None) -> list[str]:
    seller, account = stripe.account(), devnet.accounts[0]
    where = [("Tempo", devnet.rpc_url, "nothing is kept when it stops")]
    where.append(("Stripe", stripe.url, f"state in {stripe.state}; payments are listed at {stripe.url}/"))
    if link_url is not None:
        where.append(("Link", link_url, "draws its tokens from Stripe"))
    return [
        *(f"{name:<6}  {url:<22}  {note}" for name, url, note in where),
        "",
        "# For the seller's server:",
        f"export MPP_SECRET_KEY={secrets.token_urlsafe(32)} MPP_REALM=localhost",
        f"export TEMPO_NETWORK=testnet RPC_URL={devnet.rpc_url} RECIPIENT={devnet.accounts[1].address}",
        f"export STRIPE_API_BASE={stripe.url} STRIPE_SECRET_KEY={seller.secret_key}",
        f"export STRIPE_PROFILE_ID={seller.profile}",
        "",
        f"# For the buyer, who is {account.address} and has plenty:",
        f"export COINSLOT_RPC_URL={devnet.rpc_url}",
        f"export COINSLOT_PRIVATE_KEY={account.to_hex()}",
        *([] if link_url is None else [f"export LINK_API_BASE_URL={link_url} LINK_AUTH_BASE_URL={link_url}"]),
        "",
        "# Ctrl-C stops all of it.",
    ]
