"""The guide's server and a chain beside it, in the foreground, with everything needed to try them by hand."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from coinslot.errors import CoinslotError
from coinslot.methods import tempo
from coinslot.sandbox.tempo import ThreadedDevnet

EXAMPLES = Path(__file__).parent
STATE = EXAMPLES.parent / "build" / "serve"
CHAIN_PORT = 8545
SHOP_PORT = 4242

GUIDE = """\
Chain   {rpc_url}  (Tempo testnet in a box, id {chain_id})
Server  {shop}  0.01 {symbol} a request (examples/charge.py)
Seller  {recipient}
Buyer   {payer}  with a million {symbol}
        {key}

See the price:
  curl -i {shop}

Pay it with Coinslot:
  export COINSLOT_PRIVATE_KEY={key}
  export COINSLOT_RPC_URL={rpc_url}
  {coinslot} pay {shop} -i

Pay it with mppx:
  MPPX_PRIVATE_KEY={key} \\
  MPPX_RPC_URL={rpc_url} npx mppx@0.11.0 {shop} -i

Ctrl-C stops both.
"""


def main() -> None:
    """Start the chain, fund a buyer, and serve until Ctrl-C."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", SHOP_PORT)) == 0:
            sys.exit(f"Port {SHOP_PORT} is in use: stop what listens there first.")
    try:
        devnet = ThreadedDevnet(port=CHAIN_PORT)
        devnet.start()
    except CoinslotError as error:
        sys.exit(str(error))
    try:
        serve(devnet)
    finally:
        devnet.stop()


def serve(devnet: ThreadedDevnet) -> None:
    """The paid API, until it is stopped."""
    payer, recipient = tempo.PrivateKey.generate(), tempo.PrivateKey.generate().address
    devnet.fund(payer.address)
    environment = {
        **os.environ,
        "RECIPIENT": recipient,
        "RPC_URL": devnet.rpc_url,
        "MPP_SECRET_KEY": os.environ.get("MPP_SECRET_KEY") or secrets.token_urlsafe(32),
        "MPP_REALM": "localhost",
    }
    guide = GUIDE.format(
        rpc_url=devnet.rpc_url,
        chain_id=devnet.chain_id,
        shop=f"http://localhost:{SHOP_PORT}/paid",
        symbol=tempo.TESTNET.currency.symbol,
        recipient=recipient,
        payer=payer.address,
        key=payer.to_hex(),
        coinslot=os.path.relpath(Path(sys.executable).with_name("coinslot"), EXAMPLES.parent),
    )
    print(guide, flush=True)
    STATE.mkdir(parents=True, exist_ok=True)  # where the ledger goes
    command = ["uvicorn", "charge:app", "--app-dir", str(EXAMPLES), "--port", str(SHOP_PORT)]
    shop = subprocess.Popen([sys.executable, "-m", *command], env=environment, cwd=STATE)
    signal.signal(signal.SIGTERM, lambda *_: shop.terminate())
    with suppress(KeyboardInterrupt):
        sys.exit(shop.wait())
    shop.terminate()  # at a terminal it has heard the Ctrl-C as well
    shop.wait()


if __name__ == "__main__":
    main()
