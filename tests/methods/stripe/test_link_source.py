"""A Link wallet as a source of tokens: its user is asked once for each payment, and knows for what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from coinslot.methods.stripe.link import Link
from coinslot.methods.stripe.link_auth import LinkAuth, LinkCredentials
from coinslot.methods.stripe.link_errors import NotApproved
from coinslot.methods.stripe.link_session import LinkSession, MemoryCredentials
from coinslot.methods.stripe.link_source import LinkTokens
from coinslot.methods.stripe.link_values import MIN_CONTEXT, SpendRequest
from coinslot.methods.stripe.sources import TokenTerms
from coinslot.sandbox.link import LinkSandbox
from link_parties import CLIENT, Program, logged_in
from token_booth import KEY, SELLER, token_booth


@pytest.fixture
async def user() -> AsyncIterator[Program]:
    """The wallet's user."""
    with token_booth() as booth:
        async with LinkSandbox(stripe_url=booth.url, stripe_key=KEY) as sandbox:
            user = await logged_in(sandbox)
            yield user
            await user.aclose()


@pytest.fixture
async def link(user: Program) -> AsyncIterator[Link]:
    """A client with a session."""
    credentials = LinkCredentials(access_token=user.access_token, refresh_token=user.refresh_token)
    async with Link(
        LinkSession(LinkAuth(user.url, client_id=CLIENT), MemoryCredentials(credentials)), url=user.url
    ) as link:
        yield link


def terms(description: str | None = None, realm: str = "a") -> TokenTerms:
    """What a challenge asks for."""
    return TokenTerms(
        amount=500,
        currency="usd",
        network_id=SELLER,
        expires_at=2_000_000_000,
        payment_method_types=("card",),
        challenge_id="c1",
        realm=realm,
        description=description,
    )


async def test_user_decides_on_the_challenges_terms(link: Link, user: Program) -> None:
    """They read who asks how much for what; their yes is a token, the same one if it is asked for again."""
    shown: list[SpendRequest] = []
    tokens = LinkTokens(link, show=shown.append, interval=0.1, test=True)
    asked = asyncio.create_task(tokens(terms("a fortune cookie", "api.example.com")))
    while not shown:
        await asyncio.sleep(0.05)
    assert shown[0].approval_url is not None
    page = await user.page(shown[0].approval_url)
    for said in ("api.example.com", "a fortune cookie", "5.00 USD", SELLER):
        assert said in page.text
    await user.press(shown[0].approval_url, yes=True)
    token = await asked
    assert token == await tokens(terms("a fortune cookie", "api.example.com"))
    assert len(await link.list_spend_requests(history=True)) == 1


async def test_denial_is_no_token(link: Link, user: Program) -> None:
    """A no ends the payment with the reason."""

    def deny(request: SpendRequest) -> None:
        assert request.approval_url is not None
        answers.append(asyncio.create_task(user.press(request.approval_url, yes=False)))

    answers: list[asyncio.Task[object]] = []
    with pytest.raises(NotApproved, match="denied"):
        await LinkTokens(link, show=deny, interval=0.1)(terms())


async def test_shortest_terms_have_a_context_that_link_takes(link: Link) -> None:
    """Whatever a challenge leaves out, there is enough to read."""
    with pytest.raises(NotApproved):
        await LinkTokens(link, show=lambda _: None, within=0, interval=0.1)(terms())
    (made,) = await link.list_spend_requests()
    assert made.context is not None
    assert len(made.context) >= MIN_CONTEXT
