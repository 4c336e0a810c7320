"""Both rails in one call: one 402 with stablecoins first, and either of them pays."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from coinslot import Challenge, Paywall, Wallet
from coinslot.errors import ConfigurationError
from coinslot.methods import stripe, tempo
from coinslot.methods.tempo.keys import PrivateKey
from coinslot.sandbox.stripe import BUYER, ThreadedStripeSandbox
from coinslot.sandbox.tempo import ThreadedDevnet
from serving import serving
from shopping import visit


@pytest.fixture
def watching(devnet: ThreadedDevnet) -> Iterator[ThreadedStripeSandbox]:
    """A Stripe that watches the chain."""
    with ThreadedStripeSandbox(chain=devnet.rpc_url, settle_after=0.0, poll_interval=0.05) as running:
        yield running


async def test_a_payer_has_the_choice(
    devnet: ThreadedDevnet, watching: ThreadedStripeSandbox, tmp_path: Path
) -> None:
    """A price that both take has two challenges; one below Stripe's minimum for cards has one."""
    keys = watching.account()
    paywall = Paywall(
        stripe.machine_payments(
            secret_key=keys.secret_key,
            network_id=keys.profile,
            rpc_url=devnet.rpc_url,
            api_base=watching.url,
        ),
        secret_key="a secret of at least thirty-two bytes",
        realm="127.0.0.1",
        ledger=f"sqlite:///{tmp_path / 'ledger.db'}",
    )
    app = FastAPI()
    paywall.attach(app)

    @app.get("/dear")
    @paywall.charge("1.00")
    async def dear() -> str:
        return "dear"

    @app.get("/cheap")
    @paywall.charge("0.01")
    async def cheap() -> str:
        return "cheap"

    async with paywall, visit(app) as http:
        for path, methods in (("/dear", ["tempo", "stripe"]), ("/cheap", ["tempo"])):
            asked = await http.get(path)
            challenges = Challenge.parse_all(asked.headers.get_list("www-authenticate"))
            assert [challenge.method for challenge in challenges] == methods
    buyer = PrivateKey.generate()
    devnet.fund(buyer.address)
    token = stripe.account(
        watching.account(BUYER).secret_key, payment_method="pm_card_visa", api_base=watching.url
    )
    purse = tempo.account(buyer, rpc_url=devnet.rpc_url)
    with serving(app) as url:
        for method, reference in ((purse, "0x"), (token, "pi_")):
            async with Wallet([method], max_amount="1.10") as wallet:
                paid = await wallet.aget(f"{url}/dear")
                assert paid.json() == "dear"
                assert paid.extensions["payment"].receipt.reference.startswith(reference)


def test_real_money_and_a_testnet_do_not_go_together() -> None:
    """It is found at start-up."""
    with pytest.raises(ConfigurationError, match="mainnet"):
        stripe.machine_payments(secret_key="sk_live_1", network_id="profile_1")


def test_what_is_missing_is_named() -> None:
    """Without what the other rail needs, the error says which extra to install."""
    program = (
        "import sys; sys.modules['coincurve'] = None\n"
        "from coinslot.methods import stripe\n"
        "stripe.machine_payments(secret_key='sk_test_1', network_id='profile_1')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "coinslot[tempo]" in done.stderr.splitlines()[-1]
