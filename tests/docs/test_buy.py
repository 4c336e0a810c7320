"""The page on buying, followed to the letter: its code is run, against a server and a chain."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from msgspec.structs import replace

from coinslot import PaymentUndecided, Paywall, Wallet
from coinslot.client import Outcome
from coinslot.methods import tempo
from coinslot.methods.tempo.client import accounts as client
from coinslot.methods.tempo.networks import find_network
from coinslot.sandbox.tempo import ThreadedDevnet
from serving import serving
from tempo_payments import new_address

PAGE = Path(__file__).parents[2] / "docs" / "buy.md"
ACCOUNT, AGENT = tempo.PrivateKey.generate(), tempo.PrivateKey.generate()
P256 = tempo.P256Key.generate()
BLANKS = {
    "0x…your key…": ACCOUNT.to_hex(),
    "0x…your address…": ACCOUNT.address,
    "0x…the agent's key…": AGENT.to_hex(),
    "0x…the agent's address…": AGENT.address,
    "0x…": tempo.TESTNET.tokens[1].address,
}


@pytest.fixture(scope="module")
def shop(devnet_t4: ThreadedDevnet) -> Iterator[str]:
    """The URL of something that costs a cent."""
    method = tempo.charge(new_address(), rpc_url=devnet_t4.rpc_url)
    paywall = Paywall([method], secret_key="x" * 32, ledger="memory:", realm="api.example.com")
    app = FastAPI()
    paywall.attach(app)

    @app.get("/paid")
    @paywall.charge("0.01")
    async def paid() -> str:
        return "paid"

    with serving(app) as url:
        yield f"{url}/paid"


@pytest.fixture
def sandboxed(devnet_t4: ThreadedDevnet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The networks' nodes are the sandbox's, and the page's account has money there."""
    devnet_t4.fund(ACCOUNT.address)
    monkeypatch.setattr(
        client, "find_network", lambda name: replace(find_network(name), rpc_url=devnet_t4.rpc_url)
    )


async def run(block: str, namespace: dict[str, Any]) -> None:
    """Run a block of the page, whose top level may await."""
    code = compile(block, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    running = eval(code, namespace)
    if inspect.isawaitable(running):
        await running


@pytest.mark.usefixtures("sandboxed")
async def test_every_snippet_runs(shop: str) -> None:
    """In order and in one namespace; where the page pays, it is paid."""
    namespace: dict[str, Any] = {
        "httpx2": httpx2,
        "url": shop,
        "PaymentUndecided": PaymentUndecided,
    }
    on_chain, _, _ = PAGE.read_text().partition("## Cards and Link")
    blocks = re.findall(r"```python\n(.*?)```", on_chain, re.DOTALL)
    assert len(blocks) == 10
    opened: list[Wallet | tempo.TempoAccount] = []
    for block in blocks:
        for blank, value in BLANKS.items():
            block = block.replace(f'"{blank}"', repr(value))
        await run(block.replace("https://api.example.com/paid", shop), namespace)
        opened += [each for each in namespace.values() if isinstance(each, Wallet | tempo.TempoAccount)]
        wallet = namespace["wallet"]
        assert isinstance(wallet, Wallet)
        if block.startswith(("from coinslot", "import time")):
            response = await wallet.aget(shop)
            assert response.extensions["payment"].outcome is Outcome.PAID
    assert namespace["agent"].address == ACCOUNT.address
    assert namespace["payment"].receipt is not None
    for each in opened:
        await each.aclose()


async def test_the_defaults_are_those_of_the_page() -> None:
    """What the table says of `max_fee` and `slippage` is what the function has."""
    text = PAGE.read_text()
    defaults = {name: each.default for name, each in inspect.signature(tempo.account).parameters.items()}
    assert f'beside its price: "{defaults["max_fee"]}"' in text
    assert f'how much dearer that may be: "{defaults["slippage"]}"' in text
    assert f"up to `patience` seconds ({inspect.signature(Wallet).parameters['patience'].default:g})" in text


async def test_the_snippets_on_cards_make_wallets() -> None:
    """Each of them ends with a wallet, which has not asked anybody yet."""
    _, _, on_cards = PAGE.read_text().partition("## Cards and Link")
    blocks = re.findall(r"```python\n(.*?)```", on_cards, re.DOTALL)
    assert len(blocks) == 2
    namespace: dict[str, Any] = {"Wallet": Wallet}
    for block in blocks:
        await run(block.replace("sk_…", "sk_test_0123456789").replace("pm_…", "pm_card_visa"), namespace)
        wallet = namespace.pop("wallet")
        assert isinstance(wallet, Wallet)
        await wallet.aclose()
