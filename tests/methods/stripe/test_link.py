"""The Link client, against the sandbox: what it asks for, what it gets, and how it waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from coinslot.errors import ConfigurationError, WalletError
from coinslot.methods.stripe.link import Link
from coinslot.methods.stripe.link_auth import LinkAuth, LinkCredentials
from coinslot.methods.stripe.link_errors import LinkRefused, LinkUnreachable, NotApproved, NotLoggedIn
from coinslot.methods.stripe.link_session import LinkSession, MemoryCredentials
from coinslot.methods.stripe.link_values import LineItem, SpendRequest, Total
from coinslot.sandbox.link import LinkSandbox
from link_parties import CLIENT, CONTEXT, Program, logged_in
from token_booth import KEY, SELLER, TokenBooth, token_booth


@pytest.fixture(scope="module")
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
async def user(booth: TokenBooth) -> AsyncIterator[Program]:
    """The wallet's user, and a session that they gave."""
    async with LinkSandbox(stripe_url=booth.url, stripe_key=KEY) as sandbox:
        user = await logged_in(sandbox)
        yield user
        await user.aclose()


@pytest.fixture
async def link(user: Program) -> AsyncIterator[Link]:
    """A client with that session."""
    async with open_link(user) as link:
        yield link


def open_link(user: Program, url: str | None = None) -> Link:
    """A client with the user's session, of the API at `url`."""
    credentials = LinkCredentials(access_token=user.access_token, refresh_token=user.refresh_token)
    session = LinkSession(LinkAuth(user.url, client_id=CLIENT), MemoryCredentials(credentials))
    return Link(session, url=url or user.url, timeout=5)


async def ask(link: Link, amount: int = 500, payment_method: str | None = None) -> SpendRequest:
    """Ask for a token."""
    return await link.create_spend_request(
        amount=amount, network_id=SELLER, context=CONTEXT, payment_method=payment_method
    )


async def answer(user: Program, request: SpendRequest, *, yes: bool, after: float = 0.3) -> None:
    """The user's word, after a while."""
    await asyncio.sleep(after)
    assert request.approval_url is not None
    await user.press(request.approval_url, yes=yes)


async def test_token_is_drawn_when_the_user_says_yes(link: Link, user: Program, booth: TokenBooth) -> None:
    """From the wallet's payment methods to the token, for the amount and the seller that were asked for."""
    assert (await link.user()).email == "jenny.rosen@example.com"
    first, *_ = await link.list_payment_methods()
    assert (first.id, first.is_default, first.last4, first.expires) == (
        "csmrpd_visa",
        True,
        "4242",
        "12/2034",
    )
    made = await link.create_spend_request(
        amount=500,
        network_id=SELLER,
        context=CONTEXT,
        payment_method=first.id,
        line_items=[LineItem(name="Answer", quantity=2, unit_amount=250)],
        totals=[Total(type="total", display_text="Total", amount=500)],
        metadata={"order": "1"},
        test=True,
    )
    assert (made.status, made.is_waiting, made.is_granted) == ("pending_approval", True, False)
    assert made.line_items == (LineItem(name="Answer", quantity=2, unit_amount=250),)
    assert (made.totals[0].amount, made.metadata) == (500, {"order": "1"})
    waiting = asyncio.create_task(link.wait_for_approval(made.id, interval=0.1))
    await answer(user, made, yes=True)
    approved = await waiting
    assert approved.is_granted
    assert approved.shared_payment_token is not None
    assert approved.shared_payment_token.id == "spt_1"
    assert booth.forms[0][1]["usage_limits[max_amount]"] == "500"


async def test_token_is_not_in_a_repr(link: Link, user: Program) -> None:
    """Neither the request's nor the token's own."""
    made = await ask(link)
    await answer(user, made, yes=True, after=0)
    approved = await link.wait_for_approval(made.id)
    assert "spt_1" not in repr(approved)
    assert "spt_1" not in repr(approved.shared_payment_token)


async def test_denial_ends_the_wait(link: Link, user: Program) -> None:
    """A no is an error with the request, and one that a wallet takes for not having paid."""
    made = await ask(link)
    await answer(user, made, yes=False, after=0)
    with pytest.raises(NotApproved, match="denied") as caught:
        await link.wait_for_approval(made.id)
    assert isinstance(caught.value, WalletError)
    assert (caught.value.request.status, caught.value.timed_out) == ("denied", False)


async def test_waiting_ends_in_time(link: Link) -> None:
    """Nobody's answer is another error: the request may yet be approved."""
    made = await ask(link)
    with pytest.raises(NotApproved, match="may yet be") as caught:
        await link.wait_for_approval(made.id, within=0.2, interval=0.1)
    assert (caught.value.timed_out, caught.value.request.is_waiting) == (True, True)


async def test_challenge_is_waited_for_and_reported(link: Link, user: Program) -> None:
    """What resumes by itself is waited for, and its page told to whoever listens."""
    made = await ask(link, payment_method="csmrpd_challenge")
    seen: list[SpendRequest] = []
    waiting = asyncio.create_task(link.wait_for_approval(made.id, interval=0.1, on_change=seen.append))
    await answer(user, made, yes=True)
    while len(seen) < 2:
        await asyncio.sleep(0.05)
    action = seen[1].next_action
    assert action is not None
    assert action.action_url is not None
    await user.press(action.action_url, yes=True)
    assert (await waiting).status == "approved"
    assert [request.status for request in seen] == ["pending_approval", "requires_action"]


async def test_what_needs_a_new_request_ends_the_wait(link: Link) -> None:
    """An expired card is an error that says what its user has to do."""
    made = await ask(link, payment_method="csmrpd_expired")
    with pytest.raises(
        NotApproved, match=r"This card has expired: update it\. Then make a new spend request"
    ):
        await link.wait_for_approval(made.id)


async def test_stripes_refusal_is_named(link: Link, user: Program, booth: TokenBooth) -> None:
    """A request that failed says Stripe's reason."""
    booth.refuse(402, type="card_error", code="card_declined", message="no")
    made = await ask(link)
    await answer(user, made, yes=True, after=0)
    with pytest.raises(NotApproved, match="failed: card_declined"):
        await link.wait_for_approval(made.id)


async def test_cancelled_request_is_over(link: Link) -> None:
    """It is no longer listed but in the history, nor worth waiting for."""
    made = await ask(link)
    assert (await link.cancel_spend_request(made.id)).status == "canceled"
    assert await link.list_spend_requests() == []
    assert [one.id for one in await link.list_spend_requests(history=True)] == [made.id]
    with pytest.raises(NotApproved, match="canceled"):
        await link.wait_for_approval(made.id)


async def test_approval_can_be_requested_later(link: Link) -> None:
    """A request that was made without it has an address to be approved at when it is asked for."""
    made = await link.create_spend_request(
        amount=5, network_id=SELLER, context=CONTEXT, request_approval=False
    )
    assert (made.status, made.approval_url) == ("created", None)
    url = await link.request_approval(made.id)
    assert (await link.retrieve_spend_request(made.id)).approval_url == url


async def test_key_makes_a_repetition_safe(link: Link) -> None:
    """The same idempotency key brings the same request."""
    first, second = [
        await link.create_spend_request(
            amount=5, network_id=SELLER, context=CONTEXT, idempotency_key="challenge-1"
        )
        for _ in range(2)
    ]
    assert first.id == second.id


async def test_refusals_carry_what_link_said(link: Link) -> None:
    """Status, code and the request in the way; a request that is not there is 404."""
    made = await ask(link)
    with pytest.raises(LinkRefused, match="a moment ago") as duplicate:
        await ask(link)
    assert (duplicate.value.status, duplicate.value.code) == (429, "spend_request_rate_limited")
    assert duplicate.value.duplicate is not None
    assert duplicate.value.duplicate.id == made.id
    with pytest.raises(LinkRefused) as missing:
        await link.retrieve_spend_request("lsrq_0")
    assert missing.value.status == 404
    with pytest.raises(LinkRefused, match="at most 50000"):
        await ask(link, amount=60_000)


async def test_short_context_is_not_sent(link: Link) -> None:
    """What Link would refuse anyway is found here, with the reason for it."""
    with pytest.raises(ConfigurationError, match="it is what your user reads"):
        await link.create_spend_request(amount=5, network_id=SELLER, context="coffee")
    assert await link.list_spend_requests(history=True) == []


async def test_expired_token_is_refreshed_once_for_all(booth: TokenBooth) -> None:
    """Ten calls at once whose token was refused all succeed with a new one."""
    async with LinkSandbox(stripe_url=booth.url, stripe_key=KEY) as sandbox:
        user = await logged_in(sandbox)
        stale = user.access_token
        user.take(await user.refresh())
        user.access_token = stale
        async with open_link(user) as link:
            found = await asyncio.gather(*(link.list_payment_methods() for _ in range(10)))
            assert len(found) == 10
        await user.aclose()


async def test_session_that_is_over_is_not_logged_in(link: Link, user: Program) -> None:
    """After a revocation there is nothing to refresh, and the error says that it has ended."""
    await user.login("revoke", token=user.refresh_token)
    with pytest.raises(NotLoggedIn, match="has ended"):
        await link.user()


async def test_silence_is_unreachable(user: Program) -> None:
    """No server, and one that is not Link, are told from a refusal, and name the address."""
    async with open_link(user, url="http://127.0.0.1:1") as link:
        with pytest.raises(LinkUnreachable, match=r"127\.0\.0\.1:1 cannot be reached \(ConnectError\)"):
            await link.user()
        with pytest.raises(LinkUnreachable):
            await link.wait_for_approval("lsrq_1", interval=0.01)
    async with open_link(user, url=f"{user.url}/device?".rstrip("?")) as link:
        with pytest.raises(LinkRefused) as caught:
            await link.user()
        assert caught.value.status == 404


@pytest.mark.parametrize(
    "url", ["http://api.link.com", "http://10.0.0.1", "ftp://127.0.0.1", "https://", "x", "https://a?b=c"]
)
def test_tokens_go_nowhere_unsafe(url: str) -> None:
    """An address at which tokens could be read on their way is refused before anything is sent."""
    with pytest.raises(ConfigurationError, match="url"):
        LinkAuth(url)
    with pytest.raises(ConfigurationError, match="url"):
        Link(LinkSession(LinkAuth(), MemoryCredentials()), url=url)
