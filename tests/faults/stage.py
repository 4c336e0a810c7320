"""The stage: what a case runs on. A house has what all cases share, and a stage for each of them."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import secrets
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import AsyncIterator, Iterable
from contextlib import ExitStack, asynccontextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

import httpx2
import msgspec

from coinslot.methods.tempo.keys import PrivateKey, checksum_address
from coinslot.sandbox.tempo.accounts import ACCOUNTS
from faults.buyers import Buyer, Manner, Rail
from faults.points import Fault, Passage, read_trace
from faults.shop import Settings, serve
from faults.world import World
from postgres import PostgresServer
from redis_server import RedisServer

Books = Literal["sqlite", "postgres"]

_SECONDS_TO_START: Final = 60.0
_POLL: Final = 0.02
_DATABASES: Final = 16  # that a Redis has


class House:
    """What all cases share: the world, a PostgreSQL, a Redis, and the process that shops are forked from.

    The stores are started when the first case wants one. `accounts` have money, in turns; `numbers` are of
    Redis's databases that are free.
    """

    def __init__(self) -> None:
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["faults.shop", "faults.world"])
        self.folder = Path(tempfile.mkdtemp(prefix="coinslot-faults-"))
        self.world = World(self.context)
        self.accounts = itertools.cycle(ACCOUNTS)
        self.numbers = set(range(_DATABASES))
        self._starting = threading.Lock()
        self._stack = ExitStack()
        self._postgres: PostgresServer | None = None
        self._redis: RedisServer | None = None

    def __enter__(self) -> Self:
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self._stack.enter_context(self.world)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def postgres(self) -> PostgresServer:
        """The PostgreSQL server."""
        with self._starting:
            if self._postgres is None:
                self._postgres = self._stack.enter_context(PostgresServer())
            return self._postgres

    def redis(self) -> RedisServer:
        """The Redis server."""
        with self._starting:
            if self._redis is None:
                self._redis = self._stack.enter_context(RedisServer())
            return self._redis


class Stage:
    """One case's own: a ledger and a cache, an address and an account to be paid at, a port, shops, buyers.

    `kills` and `faults` count what was done to it; `marked` is how long the trace was at the mark.
    `is_cut_off` says that a store has been away; `started` is how many shops there have been.
    """

    settings: Settings

    def __init__(self, house: House, *, books: Books, cached: bool) -> None:
        self.house = house
        self.books = books
        self.cached = cached
        self.kills = 0
        self.marked = 0
        self.is_cut_off = False
        self.started = 0
        self.faults = 0
        self.buyers: list[Buyer] = []
        self.http = httpx2.AsyncClient(timeout=60, trust_env=False)
        self.postgres: PostgresServer | None = None
        self.redis: RedisServer | None = None
        self._shops: list[ForkServerProcess] = []
        self._reserved = socket.socket()
        self._own = ExitStack()

    @property
    def url(self) -> str:
        """Where the shop is."""
        return f"http://127.0.0.1:{self.settings.port}"

    @property
    def refund_account(self) -> str | None:
        """The address that refunds come from, if it has one."""
        key = self.settings.refund_key
        return None if key is None else PrivateKey.from_hex(key).address

    @property
    def trace(self) -> list[Passage]:
        """What its shops passed so far."""
        return read_trace(self.settings.trace)

    async def open(self, *, own_servers: bool, **changes: object) -> None:
        """Make everything but the shop. With `own_servers`, what stores it needs are its own."""
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._reserved.bind(("127.0.0.1", 0))  # not listened on: while no shop is up, connections are refused
        folder = Path(tempfile.mkdtemp(prefix="case-", dir=self.house.folder))
        seller = "s" + secrets.token_hex(8)
        await self.house.world.open_account(self.http, seller)
        places = self.house.world.places
        self.settings = msgspec.structs.replace(
            Settings(
                port=self._reserved.getsockname()[1],
                folder=folder,
                ledger=await asyncio.to_thread(self._ledger, folder, own_servers),
                cache=await asyncio.to_thread(self._cache, own_servers) if self.cached else None,
                rpc_url=places.rpc_url,
                stripe_url=places.stripe_url,
                recipient=checksum_address(secrets.token_bytes(20)),
                seller=seller,
            ),
            **changes,
        )

    def _ledger(self, folder: Path, own: bool) -> str:
        if self.books == "sqlite":
            return f"sqlite:///{folder / 'ledger.db'}"
        self.postgres = self._own.enter_context(PostgresServer()) if own else self.house.postgres()
        return self.postgres.new_database()

    def _cache(self, own: bool) -> str:
        if own:
            self.redis = self._own.enter_context(RedisServer())
            return self.redis.url
        self.redis = self.house.redis()
        number = self.house.numbers.pop()
        self._own.callback(self.house.numbers.add, number)
        self._own.callback(self._empty, number)
        return self.redis.url.removesuffix("/0") + f"/{number}"

    def _empty(self, number: int) -> None:
        assert self.redis is not None
        with self.redis.client() as client:
            client.select(number)
            client.flushdb()

    async def close(self) -> None:
        """End everything. The folder stays until the house is closed."""
        await self.end_all()
        for buyer in self.buyers:
            await buyer.end()
        await self.http.aclose()
        self._reserved.close()
        if self.postgres is not None:
            name = self.settings.ledger.rpartition("/")[2]
            await asyncio.to_thread(self.postgres.query, f"DROP DATABASE {name} WITH (FORCE)")
        await asyncio.to_thread(self._own.close)

    # Shops

    async def start(self, fault: Fault | None = None, **changes: object) -> None:
        """Start a shop, or one more worker of it, and wait until it answers or is dead already."""
        settings = msgspec.structs.replace(self.settings, fault=fault, **changes)
        shop = self.house.context.Process(target=serve, args=(settings,), daemon=True)
        shop.start()  # not in a thread: multiprocessing would look after its children in two at once
        self._shops.append(shop)
        await self._until_it_answers()
        self.started += 1

    async def be_open(self) -> None:
        """Have a shop that answers, if need be a new one."""
        await self._until_it_answers()
        if not self.is_up:
            await self.start()

    async def _until_it_answers(self) -> None:
        async with asyncio.timeout(_SECONDS_TO_START):
            while self.is_up and not await self._answers():
                await asyncio.sleep(_POLL)
        self._count_dead()

    @property
    def is_up(self) -> bool:
        """Whether any shop lives."""
        return any(shop.is_alive() for shop in self._shops)

    async def keep_open(self, faults: Iterable[Fault | None] = (), *, workers: int = 1) -> None:
        """Have so many workers up, each new one with the next of these faults, then without; for ever."""
        coming = iter(faults)
        while True:
            while sum(shop.is_alive() for shop in self._shops) < workers:
                self._count_dead()
                await self.start(next(coming, None))
            await asyncio.sleep(_POLL)

    async def kill(self, index: int) -> None:
        """End one worker, which one being by its number among those alive."""
        alive = [shop for shop in self._shops if shop.is_alive()]
        if alive:
            await _end(alive[index % len(alive)])
        self._count_dead()

    async def end_all(self) -> None:
        """End every worker. It does not count as a death."""
        for shop in self._shops:
            await _end(shop)
        self._shops.clear()

    def _count_dead(self) -> None:
        """Count those who were killed. A shop that ended by itself is a fault of the harness, or worse."""
        for shop in [shop for shop in self._shops if not shop.is_alive()]:
            self._shops.remove(shop)
            if shop.exitcode == -signal.SIGKILL:
                self.kills += 1
            else:  # without its stores it does not start
                assert self.is_cut_off, f"a shop ended by itself: {self.last_words()}"

    def last_words(self) -> str:
        """The end of the shops' log."""
        log = self.settings.folder / "log"
        return log.read_text(errors="replace")[-4000:] if log.exists() else ""

    async def _answers(self) -> bool:
        try:
            return (await self.http.get(f"{self.url}/alive")).status_code == 200
        except httpx2.HTTPError:
            return False

    async def post(self, path: str, content: bytes = b"") -> httpx2.Response | None:
        """Use the shop's back door; None if the shop died of it."""
        try:
            return await self.http.post(self.url + path, content=content)
        except httpx2.HTTPError:
            return None

    async def arm(self, fault: Fault | None) -> None:
        """Have the shop that is up strike at this."""
        answer = await self.post("/arm", msgspec.json.encode(fault))
        assert answer is not None
        assert answer.status_code == 200, answer.text

    async def cut(self, subject: str, how: str) -> None:
        """Cut the way to the chain or to Stripe, or `off` with that: for all workers at once."""
        if how == "off":
            self.settings.cuts.unlink()
        else:
            fresh = self.settings.cuts.with_suffix(".new")
            fresh.write_text(f"{subject} {how}")
            fresh.rename(self.settings.cuts)

    def mark(self) -> None:
        """What is of interest in the trace begins here."""
        self.marked = len(self.trace)

    # Buyers

    def buyer(self, rail: Rail, *, keyed: bool, manner: Manner) -> Buyer:
        """A new one, with money."""
        buyer = Buyer(self.house.world.places, rail, next(self.house.accounts), keyed=keyed, manner=manner)
        self.buyers.append(buyer)
        return buyer

    def item_url(self, buyer: Buyer) -> str:
        """What this buyer buys."""
        return f"{self.url}/paid/{self.buyers.index(buyer)}"


async def _end(shop: ForkServerProcess) -> None:
    shop.kill()
    while shop.is_alive():
        await asyncio.sleep(_POLL)


@asynccontextmanager
async def stage_for(
    house: House, *, books: Books, cached: bool, own_servers: bool = False, **changes: object
) -> AsyncIterator[Stage]:
    """A stage that is cleared away afterwards. `changes` are of the shop's settings."""
    stage = Stage(house, books=books, cached=cached)
    try:
        await stage.open(own_servers=own_servers, **changes)
        yield stage
    finally:
        await stage.close()
