"""Limits: who is told to wait, who never is, and that counting cannot be made to grow."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx2
import pytest

from coinslot import Limits, Paywall, RateLimited, Request
from coinslot.errors import ConfigurationError, LedgerError
from coinslot.payments.cache import Cache
from coinslot.server import limits
from coinslot.server.asgi import ASGIApp, Receive, Scope, Send
from coinslot.server.limits import Limiter, network_of
from coinslot.storage import MemoryCache, RedisCache
from ledgers import Clock
from redis_server import RedisServer
from scrip import Mint, ScripCharge, credential
from shopping import challenge_of, problem, visit

SECRET = "a secret of at least thirty-two bytes"
PUBLIC = "9.9.9.9"


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers 200, or 500 to whoever asks for it."""
    status = 500 if scope["path"] == "/broken" else 200
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b"data"})


def shop(mint: Mint, *, challenges: str | None = None, credentials: str | None = None) -> ASGIApp:
    """A paid app with these limits."""
    paywall = Paywall(
        [ScripCharge(mint)],
        secret_key=SECRET,
        realm="shop",
        ledger="memory:",
        limits=Limits(challenges=challenges, credentials=credentials),
        insecure_http=True,
    )
    return paywall.charge("0.01").asgi(bare)


def check_429(response: httpx2.Response) -> None:
    """It says how long to wait, and names no price."""
    assert (response.status_code, problem(response)) == (429, "rate-limited")
    assert 1 <= int(response.headers["retry-after"]) <= 86400
    assert "www-authenticate" not in response.headers


async def test_challenges(mint: Mint) -> None:
    """So many prices a day for one client; another one is not affected."""
    app = shop(mint, challenges="3/day")
    async with visit(app, client=PUBLIC) as http, visit(app, client="9.9.9.10") as other:
        for _ in range(3):
            challenge_of(await http.get("/x"))
        check_429(await http.get("/x"))
        check_429(await http.get("/x", headers={"Authorization": "Payment e30"}))
        challenge_of(await other.get("/x"))


async def test_credentials(mint: Mint) -> None:
    """So many credentials a day are looked at; the method is not asked about any more of them."""
    app = shop(mint, credentials="2/day")
    async with visit(app, client=PUBLIC) as http:
        headers = {"Authorization": credential(challenge_of(await http.get("/x")), "no such note")}
        for _ in range(2):
            assert problem(await http.get("/x", headers=headers)) == "verification-failed"
        check_429(await http.get("/x", headers=headers))
        challenge_of(await http.get("/x"))


async def test_who_has_paid_is_served(mint: Mint) -> None:
    """A credential whose money is here is honoured at any rate, delivered, lost or failed to be served."""
    app = shop(mint, credentials="2/day", challenges="2/day")
    async with visit(app, client=PUBLIC) as http:
        headers = {
            "Authorization": credential(challenge_of(await http.get("/broken")), mint.issue(1)),
            "Idempotency-Key": "k",
        }
        assert (await http.get("/broken", headers=headers)).status_code == 500
        kept = {
            "Authorization": credential(challenge_of(await http.get("/x")), mint.issue(1)),
            "Idempotency-Key": "k",
        }
        assert (await http.get("/x", headers=kept)).status_code == 200
        check_429(await http.get("/x"))
        for _ in range(3):
            assert (await http.get("/x", headers=kept)).text == "data"
            assert (await http.get("/broken", headers=headers)).status_code == 500


async def test_by_default_there_is_none(mint: Mint) -> None:
    """A paywall that was not told otherwise refuses nobody for coming often."""
    paywall = Paywall([ScripCharge(mint)], secret_key=SECRET, realm="shop", ledger="memory:")
    async with visit(paywall.charge("0.01").asgi(bare)) as http:
        for _ in range(2000):
            challenge_of(await http.get("/x"))


@pytest.mark.parametrize(
    ("peer", "network"),
    [
        ("9.9.9.9", "9.9.9.9"),
        ("::ffff:9.9.9.9", "9.9.9.9"),
        ("2620:fe::9", "2620:00fe:0000:0000"),
        ("2620:fe:0:0:ffff::1%eth0", "2620:00fe:0000:0000"),
        ("127.0.0.1", None),
        ("10.1.2.3", None),
        ("::1", None),
        ("fd00::1", None),
        ("/run/server.sock", None),
        (None, None),
    ],
)
def test_clients_are_told_apart_by_network(peer: str | None, network: str | None) -> None:
    """An IPv4 address, or an IPv6 /64. What may be a proxy of the seller's own counts as nobody."""
    assert network_of(Request.create("GET", "/", peer=peer)) == network


async def test_a_rule_of_ones_own(mint: Mint) -> None:
    """Who a client is can be said by the seller, and that one is not limited."""
    paywall = Paywall(
        [ScripCharge(mint)],
        secret_key=SECRET,
        realm="shop",
        ledger="memory:",
        limits=Limits(challenges="1/day", client=lambda request: request.header("X-Client")),
    )
    async with visit(paywall.charge("0.01").asgi(bare)) as http:
        challenge_of(await http.get("/x", headers={"X-Client": "a"}))
        check_429(await http.get("/x", headers={"X-Client": "a"}))
        challenge_of(await http.get("/x", headers={"X-Client": "b"}))
        for _ in range(3):
            challenge_of(await http.get("/x"))


@pytest.mark.parametrize(
    "rate", ["", "5", "5/fortnight", "/minute", "-1/minute", "0/minute", "1.5/minute", "٣/day"]
)
def test_a_rate_that_cannot_be_read(rate: str) -> None:
    """It is refused at start-up, in a sentence that says how to write one."""
    with pytest.raises(ConfigurationError, match="60/minute"):
        Limits(challenges=rate)
    with pytest.raises(ConfigurationError, match="60/minute"):
        Limits(credentials=rate)


Count = Callable[[str], Awaitable[None]]


def counting(clock: Clock, rate: str, cache: Cache | None = None) -> Count:
    """Counts one more challenge for a client."""
    rules = Limits(challenges=rate, client=lambda request: request.path)
    limiter = Limiter(rules, secret=SECRET.encode(), cache=cache, clock=clock)
    return lambda client: limiter.count_challenge(Request.create("GET", client))


async def test_a_window_ends() -> None:
    """`Retry-After` is when the next window begins, and then all is forgotten."""
    clock = Clock()
    clock.now = 120.0
    count = counting(clock, "1/minute")
    await count("a")
    clock.now = 139.5
    with pytest.raises(RateLimited) as refused:
        await count("a")
    assert refused.value.retry_after == 41
    clock.now = 180.0
    await count("a")


async def test_counters_do_not_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many clients there are, there is a fixed number of counters."""
    monkeypatch.setattr(limits, "COUNTERS", 8)
    rules = Limits(challenges="100/minute", client=lambda request: request.path)
    limiter = Limiter(rules, secret=b"s", clock=Clock())
    for number in range(200):
        await limiter.count_challenge(Request.create("GET", f"/{number}"))
    ((_, counts),) = limiter._counts.values()
    assert len(counts) == 8
    assert sum(counts.values()) == 200


async def test_a_client_over_its_limit_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """A flood is one line a window."""
    caplog.set_level(logging.INFO)
    count = counting(Clock(), "1/minute")
    await count("/someone")
    for _ in range(5):
        with pytest.raises(RateLimited):
            await count("/someone")
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.fixture(params=["memory", "redis"])
async def cache(request: pytest.FixtureRequest) -> AsyncIterator[Cache]:
    """A cache that workers share, of every kind."""
    if request.param == "memory":
        yield MemoryCache()
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    server.flush()
    made = RedisCache(server.url, patience=30)
    yield made
    await made.close()


async def test_workers_count_together(cache: Cache) -> None:
    """With a cache a limit is for all workers."""
    one, other = (counting(Clock(), "2/hour", cache) for _ in range(2))
    await one("a")
    await other("a")
    for worker in (one, other):
        with pytest.raises(RateLimited):
            await worker("a")
    await one("b")


class FlakyCache(MemoryCache):
    """A cache that can be down, and counts how often it was asked."""

    is_down = False
    asked = 0

    async def count(self, name: str, *, by: int, seconds: float) -> int:
        """Add, or fail."""
        self.asked += 1
        if self.is_down:
            raise LedgerError("no answer")
        return await super().count(name, by=by, seconds=seconds)


async def test_without_the_cache_each_worker_counts(caplog: pytest.LogCaptureFixture) -> None:
    """A cache that is down is left alone for a while, and each worker counts by itself; then together."""
    cache, clock = FlakyCache(), Clock()
    count = counting(clock, "2/hour", cache)
    cache.is_down = True
    await count("a")
    await count("a")
    with pytest.raises(RateLimited):
        await count("a")
    assert cache.asked == 1
    assert "counted by this worker alone" in caplog.text
    cache.is_down = False
    clock.now += 11
    await count("a")
    assert cache.asked == 2
