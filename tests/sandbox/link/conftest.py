"""A Link with a clock that tests move, a Stripe that misbehaves if told to, and a program that is let in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from coinslot.sandbox.link import LinkSandbox
from link_parties import Clock, Program, logged_in
from token_booth import KEY, TokenBooth, token_booth


@pytest.fixture
def clock() -> Clock:
    """The sandbox's time."""
    return Clock()


@pytest.fixture(scope="session")
def open_booth() -> Iterator[TokenBooth]:
    """A Stripe that is open all day."""
    with token_booth() as booth:
        yield booth


@pytest.fixture
def booth(open_booth: TokenBooth) -> TokenBooth:
    """Where the sandbox draws its tokens."""
    open_booth.reset()
    return open_booth


@pytest.fixture
async def sandbox(clock: Clock, booth: TokenBooth) -> AsyncIterator[LinkSandbox]:
    """A running sandbox."""
    async with LinkSandbox(stripe_url=booth.url, stripe_key=KEY, clock=clock) as sandbox:
        yield sandbox


@pytest.fixture
async def program(sandbox: LinkSandbox) -> AsyncIterator[Program]:
    """A program with a session."""
    program = await logged_in(sandbox)
    yield program
    await program.aclose()


@pytest.fixture
async def stranger(sandbox: LinkSandbox) -> AsyncIterator[Program]:
    """A program without one."""
    program = Program(sandbox.url)
    yield program
    await program.aclose()
