"""The guide's server with a chain, a Stripe and a Link beside it, in the foreground, to be tried by hand."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from coinslot.errors import CoinslotError
from coinslot.methods import tempo
from coinslot.sandbox.link import LinkSandbox, ThreadedLinkSandbox
from coinslot.sandbox.stripe import BUYER, ThreadedStripeSandbox
from coinslot.sandbox.tempo import ThreadedDevnet

EXAMPLES = Path(__file__).parent
STATE = EXAMPLES.parent / "build" / "serve"
CHAIN_PORT = 8545
STRIPE_PORT = 12111
LINK_PORT = 4280
SHOP_PORT = 4242

GUIDE = """\
Server  {shop}  half a dollar a request, by card or in stablecoin (examples/both.py)
Chain   {rpc_url}  (Tempo testnet in a box, id {chain_id})
Stripe  {stripe_url}  (in a box; a browser finds the payments there)
Link    {link_url}  (in a box; you are its user, on its pages)
Buyer   {payer}  with a million {symbol}
        {key}

See the price:
  curl -i {shop}

Pay it in stablecoin, with Coinslot:
  export COINSLOT_PRIVATE_KEY={key}
  export COINSLOT_RPC_URL={rpc_url}
  {coinslot} pay {shop} -i

Pay it in stablecoin, with mppx:
  MPPX_PRIVATE_KEY={key} \\
  MPPX_RPC_URL={rpc_url} npx mppx@0.11.0 {shop} -i

Pay it by card, from a Link wallet:
  export LINK_API_BASE_URL={link_url} LINK_AUTH_BASE_URL={link_url}
  {coinslot} link login
  {coinslot} link spend-request create --payment-method-id csmrpd_visa --amount 50 \\
    --credential-type shared_payment_token --network-id {profile} --test --request-approval \\
    --context "One answer of the server at {shop}, which I try out on my own machine, with no money at all."
  {coinslot} pay {shop} -i --spend-request-id lsrq_…

Ctrl-C stops all of it.
"""


def main() -> None:
    """Start the sandboxes, fund a buyer, and serve until Ctrl-C."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", SHOP_PORT)) == 0:
            sys.exit(f"Port {SHOP_PORT} is in use: stop what listens there first.")
    try:
        with (
            ThreadedDevnet(port=CHAIN_PORT) as devnet,
            ThreadedStripeSandbox(port=STRIPE_PORT, chain=devnet.rpc_url) as stripe,
            ThreadedLinkSandbox(
                LinkSandbox(
                    port=LINK_PORT, stripe_url=stripe.url, stripe_key=stripe.account(BUYER).secret_key
                )
            ) as link,
        ):
            serve(devnet, stripe, link.url)
    except CoinslotError as error:
        sys.exit(str(error))


def serve(devnet: ThreadedDevnet, stripe: ThreadedStripeSandbox, link_url: str) -> None:
    """The paid API, until it is stopped."""
    payer, seller = tempo.PrivateKey.generate(), stripe.account()
    devnet.fund(payer.address)
    environment = {
        **os.environ,
        "RPC_URL": devnet.rpc_url,
        "STRIPE_API_BASE": stripe.url,
        "STRIPE_SECRET_KEY": seller.secret_key,
        "STRIPE_PROFILE_ID": seller.profile,
        "MPP_SECRET_KEY": os.environ.get("MPP_SECRET_KEY") or secrets.token_urlsafe(32),
        "MPP_REALM": "localhost",
    }
    guide = GUIDE.format(
        rpc_url=devnet.rpc_url,
        chain_id=devnet.chain_id,
        stripe_url=stripe.url,
        link_url=link_url,
        profile=seller.profile,
        shop=f"http://localhost:{SHOP_PORT}/paid",
        symbol=tempo.TESTNET.currency.symbol,
        payer=payer.address,
        key=payer.to_hex(),
        coinslot=os.path.relpath(Path(sys.executable).with_name("coinslot"), EXAMPLES.parent),
    )
    print(guide, flush=True)
    shutil.rmtree(STATE, ignore_errors=True)  # the ledger of an earlier chain and an earlier Stripe
    STATE.mkdir(parents=True)
    command = ["uvicorn", "both:app", "--app-dir", str(EXAMPLES), "--port", str(SHOP_PORT)]
    shop = subprocess.Popen([sys.executable, "-m", *command], env=environment, cwd=STATE)
    signal.signal(signal.SIGTERM, lambda *_: shop.terminate())
    with suppress(KeyboardInterrupt):
        sys.exit(shop.wait())
    shop.terminate()  # at a terminal it has heard the Ctrl-C as well
    shop.wait()


if __name__ == "__main__":
    main()
