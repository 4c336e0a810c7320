"""A rush: many payments, signed beforehand, each presented several times at once to several workers."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx2
import msgspec
from msgspec import Struct
from msgspec.structs import replace

from coinslot.methods.tempo.keys import PrivateKey
from coinslot.protocol import Challenge, Credential
from faults.shop import Settings, encode
from tempo_payments import credential, unsigned

COPIES: Final = 5

_AT_ONCE: Final = 12
_VALIDITY: Final = 280  # seconds: signed long before they are presented
_TRIES: Final = 60
_TESTS: Final = Path(__file__).parents[1]

nonces = itertools.count(1)


class Reply(Struct, frozen=True):
    """An answer to one copy of a credential; `slug` is its problem's."""

    status: int
    slug: str
    challenged: bool


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of one credential: the replies to the copies that were sent at once, and to those after."""

    challenge_id: str
    at_once: list[Reply]
    later: list[Reply]


@asynccontextmanager
async def workers(settings: Settings, number: int) -> AsyncIterator[str]:
    """So many workers of uvicorn's own, on one port. Yields the URL."""
    environment = os.environ | {
        "SHOP": encode(settings),
        "PYTHONPATH": os.pathsep.join([str(_TESTS), *filter(None, sys.path)]),
    }
    options = ("--factory", "faults.shop:from_environment", "--workers", str(number), "--no-access-log")
    log = (settings.folder / "log").open("ab")
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", *options, "--port", str(settings.port), "--log-level", "warning"],
        env=environment,
        stdout=log,
        stderr=log,
    )
    url = f"http://127.0.0.1:{settings.port}"
    try:
        await _wait_until_up(url, number)
        yield url
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 60)
        log.close()


async def _wait_until_up(url: str, number: int) -> None:
    """Until every worker has answered."""
    seen: set[int] = set()
    async with asyncio.timeout(120):
        while len(seen) < number:
            try:
                async with httpx2.AsyncClient(trust_env=False) as http:  # each time another connection
                    seen.add((await http.get(f"{url}/alive")).json())
            except httpx2.HTTPError:
                await asyncio.sleep(0.1)


async def sign(url: str, accounts: Sequence[PrivateKey], number: int) -> list[str]:
    """So many credentials, each for a challenge of its own, of these accounts in turn."""
    signed = []
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        for index in range(number):
            answer = await http.get(f"{url}/paid/{index}")
            challenge = Challenge.parse_all(answer.headers.get_list("www-authenticate"))[0]
            transaction = replace(
                unsigned(challenge),
                nonce=next(nonces),
                valid_before=int(time.time()) + _VALIDITY,
            )
            account = accounts[index % len(accounts)]
            signed.append(credential(challenge, transaction.sign(account)).to_header())
    return signed


async def present(
    url: str, credentials: Sequence[str], *, at: Mapping[int, Callable[[], Awaitable[None]]]
) -> list[Outcome]:
    """Present each, all copies at once, a few payments at a time, and again until it is final.

    `at` is what happens when so many have been presented.
    """
    places = asyncio.Semaphore(_AT_ONCE)
    # A connection for each: one that is kept may be closed by the server just as it is used again.
    limits = httpx2.Limits(max_connections=2 * _AT_ONCE * COPIES, max_keepalive_connections=0)
    async with httpx2.AsyncClient(trust_env=False, timeout=120, limits=limits) as http:

        async def one(index: int, text: str) -> Outcome:
            async with places:
                if index in at:
                    await at[index]()
                return await _present(http, f"{url}/paid/{index}", text)

        return await asyncio.gather(*(one(index, text) for index, text in enumerate(credentials)))


async def _present(http: httpx2.AsyncClient, url: str, text: str) -> Outcome:
    at_once = await asyncio.gather(*(_send(http, url, text) for _ in range(COPIES)))
    later: list[Reply] = []
    while not any(reply.status == 200 for reply in (*at_once, *later)) and len(later) < _TRIES:
        await asyncio.sleep(random.uniform(0.2, 0.6))
        later.append(await _send(http, url, text))
    return Outcome(challenge_id=Credential.parse(text).challenge.id, at_once=at_once, later=later)


async def _send(http: httpx2.AsyncClient, url: str, text: str) -> Reply:
    try:
        answer = await http.get(url, headers={"Authorization": text})
    except httpx2.HTTPError:
        return Reply(0, "", False)
    slug = ""
    if answer.headers.get("content-type") == "application/problem+json":
        slug = msgspec.json.decode(answer.content)["type"].rpartition("/")[2]
    return Reply(answer.status_code, slug, "www-authenticate" in answer.headers)


def tally(outcomes: Sequence[Outcome]) -> Counter[str]:
    """How often each kind of reply was given to the copies that were sent at once."""
    return Counter(
        f"{reply.status} {reply.slug}".rstrip() for outcome in outcomes for reply in outcome.at_once
    )
