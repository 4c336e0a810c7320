"""The ways of paying that `coinslot pay` has flags for, at real servers, on a devnet."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI

from coinslot import Paywall
from coinslot.methods import tempo
from coinslot.sandbox.tempo import ThreadedDevnet
from command import Command
from faulty_node import FaultyNode
from serving import serving
from stall import Shop, price
from tempo_buying import ALPHA_USD, asking, balance, give
from tempo_payments import new_address

PARTNERS = (new_address(), new_address())


@pytest.fixture(scope="module")
def ways(devnet: ThreadedDevnet) -> Iterator[str]:
    """The URL of a server that is paid in every way."""
    app = FastAPI()
    sponsor = tempo.PrivateKey.generate()
    devnet.fund(sponsor.address)
    methods = {
        "/pushed": tempo.charge(new_address(), rpc_url=devnet.rpc_url, modes=["push"]),
        "/sponsored": tempo.charge(new_address(), rpc_url=devnet.rpc_url, fee_payer=sponsor),
        "/split": tempo.charge(
            new_address(),
            rpc_url=devnet.rpc_url,
            splits=[tempo.Split(PARTNERS[0], amount="0.0025"), tempo.Split(PARTNERS[1], share="0.1")],
        ),
        "/free": tempo.charge(new_address(), rpc_url=devnet.rpc_url),
    }
    for path, method in methods.items():
        paywall = Paywall([method], secret_key="x" * 32, ledger="memory:", realm="api")
        paywall.attach(app)

        @app.get(path)
        @paywall.charge("0" if path == "/free" else "0.01")
        async def sold() -> str:
            return "sold"

    with serving(app) as url:
        yield url


@pytest.mark.parametrize(
    ("path", "flags", "step"),
    [
        ("/pushed", [], "broadcast a transaction, 0x"),
        ("/sponsored", [], "signed a transaction"),
        ("/split", ["--mode", "push"], "broadcast a transaction, 0x"),
        ("/split", ["--mode", "pull"], "signed a transaction, 0x"),
    ],
)
def test_every_way_ends_in_the_goods(
    payer: Command, ways: str, path: str, flags: list[str], step: str
) -> None:
    """The server's way or the one that was chosen: the body comes, and -v tells what was done."""
    run = payer("pay", f"{ways}{path}", "-v", *flags)
    assert (run.code, run.out) == (0, b'"sold"')
    assert f"\n* {step}" in run.err
    assert re.search(
        r"\ncoinslot: paid 0\.01 pathUSD to 0x\w+.* on tempo:42431, reference 0x\w{64}\n", run.err
    )


def test_a_way_that_is_not_taken_is_4(payer: Command, ways: str) -> None:
    """Who insists on a mode that the server does not take pays nothing."""
    for path, mode in (("/pushed", "pull"), ("/sponsored", "push")):
        run = payer("pay", f"{ways}{path}", "--mode", mode)
        assert run.code == 4
        assert f"this account pays by {mode} only" in run.err


def test_who_gets_a_share_is_shown(payer: Command, ways: str) -> None:
    """A dry run names every recipient with what it gets; afterwards their number is told."""
    shown = payer("pay", f"{ways}/split", "--dry-run").text
    for partner, amount in zip(PARTNERS, ("0.0025", "0.001"), strict=True):
        assert re.search(rf"^Of that +{amount} to {partner} *$", shown, re.MULTILINE)
    preview = payer("pay", f"{ways}/split", "--dry-run", "--json").json["would_pay"]
    assert preview["shares"] == [[PARTNERS[0], "0.0025"], [PARTNERS[1], "0.001"]]
    assert re.search(r"paid 0\.01 pathUSD to 0x\w{40} and 2 others on", payer("pay", f"{ways}/split").err)


def test_a_proof_is_for_a_trusted_realm(payer: Command, ways: str) -> None:
    """The account is proved to a realm that is not the host's name only if that is said."""
    url = f"{ways}/free"
    stranger = payer("pay", url)
    assert (stranger.code, stranger.out) == (4, b"")
    assert "a proof of identity towards 'api', another host (trusted_realms)" in stranger.err
    shown = payer("pay", url, "--dry-run", "--trusted-realm", "api")
    assert re.search("^Would pay +nothing, and prove who pays *$", shown.text, re.MULTILINE)
    run = payer("pay", url, "--trusted-realm", "elsewhere", "--trusted-realm", "api", "-v")
    assert (run.code, run.out) == (0, b'"sold"')
    assert "\n* signed a proof\n" in run.err
    assert "\ncoinslot: proved to api who pays\n" in run.err


async def test_another_token_will_do(coinslot: Command, devnet: ThreadedDevnet, ways: str) -> None:
    """With --auto-swap, and what it may cost at most, an account pays from what it has."""
    key = tempo.PrivateKey.generate()
    await give(devnet, key.address, alpha_usd=100_000)
    coinslot.environment |= {"COINSLOT_PRIVATE_KEY": key.to_hex(), "COINSLOT_RPC_URL": devnet.rpc_url}
    plain, dear, wrong, swapped = await asyncio.to_thread(
        lambda: [
            coinslot("pay", f"{ways}/split", *flags)
            for flags in (
                [],
                ["--auto-swap", "--slippage", "0"],
                ["--auto-swap", "--slippage", "2 %"],
                ["--auto-swap"],
            )
        ]
    )
    assert (plain.code, dear.code, wrong.code) == (4, 4, 2)
    assert f"{key.address} has 0 pathUSD" in plain.err
    assert "of AlphaUSD it takes 0.0100" in dear.err
    assert "slippage is an amount" in wrong.err
    assert (swapped.code, swapped.out) == (0, b'"sold"')
    assert await balance(devnet, key.address, ALPHA_USD) < 90_000


def test_the_head_of_something_paid_is_not_paid(payer: Command, shop: Shop) -> None:
    """A challenge that comes for a HEAD request is not paid: there is nothing to be had for it."""
    run = payer("pay", "-X", "HEAD", shop.sell("/", lambda _: price(asking())))
    assert (run.code, run.out) == (4, b"")
    assert not shop.presented


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_interruption_does_not_lose_a_push(
    payer: Command, devnet: ThreadedDevnet, shop: Shop, number: signal.Signals
) -> None:
    """Ctrl-C in the middle of the broadcast is 130, and the next run presents what was broadcast."""
    node = FaultyNode(devnet.rpc_url)
    await node.start()
    broadcasting, recipient = asyncio.Event(), new_address()

    async def linger(request: Any, forward: Any) -> Any:
        broadcasting.set()
        answer = await forward()
        await asyncio.sleep(1)
        return answer

    node.behaviours["eth_sendRawTransactionSync"] = linger
    url = shop.sell("/", lambda _: price(asking(to=recipient)))
    process = payer.start("pay", url, "--mode", "push", "-r", node.url)
    await broadcasting.wait()
    process.send_signal(number)
    out, err = await asyncio.to_thread(process.communicate, timeout=30)
    assert (process.returncode, out) == (130, b"")
    assert b"interrupted: run the same command again" in err
    assert not shop.presented
    assert await balance(devnet, recipient) == 10_000
    run = await asyncio.to_thread(payer, "pay", url, "--mode", "push")
    assert b"presenting the payment that was made before" in run.err.encode()
    (proof,) = {str(visit.credential.payload["hash"]) for visit in shop.presented if visit.credential}
    assert proof.startswith("0x")
    await node.aclose()
