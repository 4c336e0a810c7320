"""The wallet itself: its settings, its one-liners, its life."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path

import httpx2
import pytest

from coinslot.client import Wallet
from coinslot.errors import ConfigurationError, OverLimit
from stall import Answer, Buyer, Purse, Shop, offer, price

TESTS = Path(__file__).parents[1]


def script(source: str, *arguments: str, warnings: str = "error") -> subprocess.CompletedProcess[str]:
    """Run a program of its own, which can import what tests can."""
    return subprocess.run(
        [sys.executable, "-W", warnings, "-c", textwrap.dedent(source), *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )


# Settings


@pytest.mark.parametrize(
    "amount", [0.5, 1, "", "much", "NaN", "Infinity", "-1", Decimal("NaN"), None, "1,00", b"1"]
)
def test_limits_that_are_none(amount: object) -> None:
    """`max_amount` is an exact decimal, not negative; a float least of all."""
    with pytest.raises(ConfigurationError, match="max_amount"):
        Wallet([Purse()], max_amount=amount)  # type: ignore[arg-type]  # that is the mistake


@pytest.mark.parametrize("amount", ["0", "0.5", "1.00", Decimal("0.05")])
def test_limits(amount: str | Decimal) -> None:
    """A decimal string or a Decimal is one."""
    assert f"at most {amount}" in repr(Wallet([Purse()], max_amount=amount))


def test_a_wallet_without_a_method() -> None:
    """A wallet that could pay nothing is a mistake that is found at once."""
    with pytest.raises(ConfigurationError, match="method"):
        Wallet([])


# One-liners


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_one_liners(shop: Shop, method: str) -> None:
    """Each has its method, takes what httpx2 takes, and pays."""
    url = shop.sell("/paid")
    with Wallet([Purse()]) as wallet:
        call: Callable[..., httpx2.Response] = getattr(wallet, method.lower())
        response = await asyncio.to_thread(call, url, params={"a": "b"}, headers={"x-own": "1"})
    assert response.content == b"the goods"
    async with Wallet([Purse()]) as wallet:
        acall: Callable[..., Awaitable[httpx2.Response]] = getattr(wallet, "a" + method.lower())
        response = await acall(url, params={"a": "b"}, headers={"x-own": "1"})
    assert response.content == b"the goods"
    assert {visit.method for visit in shop.visits} == {method}
    assert {visit.target for visit in shop.visits} == {"/paid?a=b"}
    assert all(visit.values("x-own") == ["1"] for visit in shop.visits)


async def test_redirects_are_followed_when_asked(buyer: Buyer, shop: Shop) -> None:
    """As in httpx2, a redirect is an answer unless the caller says otherwise."""
    moved = shop.sell("/moved", Answer(302, {"location": shop.url + "/free"}))
    assert (await buyer.get(buyer.wallet(Purse()), moved)).status_code == 302
    response = await buyer.get(buyer.wallet(Purse()), moved, follow_redirects=True)
    assert response.content == b"free"


# A wallet's life


async def test_connections_are_kept(buyer: Buyer, shop: Shop) -> None:
    """The requests of one wallet share their connections."""
    wallet = buyer.wallet(Purse())
    for _ in range(3):
        await buyer.get(wallet, shop.sell("/paid"))
    assert len({visit.port for visit in shop.visits}) == 1


async def test_closing(shop: Shop) -> None:
    """Closing a wallet closes its methods, on the kind of loop that they were used on, and ends its use."""
    purse = Purse()
    wallet = Wallet([purse])
    await asyncio.to_thread(wallet.get, shop.sell("/paid"))
    await asyncio.to_thread(wallet.close)
    assert purse.closed_on[0] is not asyncio.get_running_loop()
    with pytest.raises(RuntimeError, match="closed"):
        wallet.get(shop.url + "/free")

    purse = Purse()
    wallet = Wallet([purse])
    await wallet.aget(shop.url + "/paid")
    await wallet.aclose()
    await wallet.aclose()
    assert purse.closed_on[0] is asyncio.get_running_loop()
    with pytest.raises(RuntimeError, match="closed"):
        await wallet.aget(shop.url + "/free")


def test_several_event_loops(shop: Shop) -> None:
    """A wallet can be used in one event loop after another, and synchronously between them."""
    purse = Purse()
    wallet = Wallet([purse])
    url = shop.sell("/paid")

    async def visit() -> bytes:
        response = await wallet.aget(url)
        await wallet._async_clients[asyncio.get_running_loop()].aclose()
        return response.content

    assert asyncio.run(visit()) == b"the goods"
    assert wallet.get(url).content == b"the goods"
    assert asyncio.run(visit()) == b"the goods"
    wallet.close()
    assert len(purse.paid) == 3


def test_limits_hold_in_a_client_of_ones_own(shop: Shop) -> None:
    """A transport pays by the rules of the wallet that made it, and can be closed without it."""
    wallet = Wallet([Purse()], max_amount="0.10")
    url = shop.sell("/paid", price(offer(11)))
    with httpx2.Client(transport=wallet.transport()) as http, pytest.raises(OverLimit):
        http.get(url)
    with pytest.raises(OverLimit):
        wallet.get(url)
    wallet.close()


def test_a_forked_child_pays_too(shop: Shop) -> None:
    """After a fork both processes go on using the wallet, over connections of their own."""
    done = script(
        """
        import os, sys, warnings
        from coinslot.client import Wallet
        from stall import Purse

        wallet = Wallet([Purse()])
        url = sys.argv[1]
        assert wallet.get(url).content == b"the goods"
        warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads is what this is about
        child = os.fork()
        for _ in range(3):
            assert wallet.get(url).content == b"the goods"
        if child == 0:
            wallet.close()
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert wallet.get(url).content == b"the goods"
        wallet.close()
        """,
        shop.sell("/paid"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(shop.presented) == 8
    assert len({visit.port for visit in shop.visits}) == 2


def test_a_program_that_does_not_close_its_wallet(shop: Shop) -> None:
    """A script that leaves its wallet open ends without a word."""
    done = script(
        """
        import sys
        from coinslot.client import Wallet
        from stall import Purse

        print(Wallet([Purse()]).get(sys.argv[1]).text)
        """,
        shop.sell("/paid"),
        warnings="ignore::ResourceWarning",  # as it is unless one asks for it
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "the goods\n", "")


# What it costs to import


def test_importing_is_light() -> None:
    """The package of the client loads no HTTP library, no event loop and no TLS; making a wallet neither."""
    done = script(
        """
        import sys
        import coinslot.client
        from coinslot.client.wallet import Wallet

        class Purse:
            name, intent = "coin", "charge"

        Wallet([Purse()])
        loaded = {"asyncio", "ssl", "httpx2", "sqlite3", "email.utils"} & set(sys.modules)
        assert not loaded, loaded
        """
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_without_httpx2() -> None:
    """Where httpx2 is missing, the first use says what to install."""
    done = script(
        """
        import sys
        sys.modules["httpx2"] = None
        from coinslot.client import Wallet

        class Purse:
            name, intent = "coin", "charge"

        try:
            Wallet([Purse()]).get("https://example.com/")
        except ImportError as error:
            print(error)
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "coinslot[httpx2]" in done.stdout
