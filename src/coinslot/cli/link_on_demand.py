"""The wallet's Stripe method for one spend request: Link is asked only if there is something to pay."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from coinslot.cli.link_session import find_session
from coinslot.cli.on_demand import Spending, recipients
from coinslot.cli.output import plain, say
from coinslot.cli.waiting import waiting
from coinslot.errors import UnexpectedTerms, WalletError
from coinslot.methods import stripe
from coinslot.methods.stripe.client import AFTERWARDS
from coinslot.methods.stripe.currencies import as_money
from coinslot.methods.stripe.link import Link
from coinslot.methods.stripe.link_auth import LinkAuth
from coinslot.methods.stripe.link_session import LinkSession
from coinslot.methods.stripe.link_values import SpendRequest
from coinslot.payments.method import Payload, Quote
from coinslot.protocol import Challenge

_PATIENCE: Final = 600.0
_SENDING_MARGIN: Final = 5.0


class LinkOnDemand:
    """`stripe/charge` with the token of a spend request that exists, for what that was made for."""

    name = "stripe"
    intent = "charge"

    def __init__(self, spending: Spending, *, show: Callable[[str], None]) -> None:
        """`show` takes a line for each step. Raises `ConfigurationError`."""
        self.quotes: dict[str, Quote] = {}
        self._id = spending.identifier
        self._show = show
        session = LinkSession(LinkAuth(spending.auth_url), find_session(spending.auth_url, spending.api_url))
        self._link = Link(session, url=spending.api_url)
        self._request: SpendRequest | None = None
        self._account: stripe.StripeAccount | None = None

    def payer(self) -> str:
        """Who pays, for people."""
        status = "" if self._request is None else f" ({self._request.status})"
        return f"Link, by the spend request {self._id}{status}"

    async def quote(self, challenge: Challenge) -> Quote | None:
        """What the challenge would cost. Raises `WalletError` if the spend request cannot pay it."""
        if (challenge.method, challenge.intent) != (self.name, self.intent):
            return None
        if self._request is None or self._account is None:
            self._request = await self._link.retrieve_spend_request(self._id)
            self._account = stripe.account(spt=self._token, currencies=[self._request.currency or "usd"])
        quote = await self._account.quote(challenge)
        if quote is not None:
            _check(self._request, quote)
            self.quotes[challenge.id] = quote
            self._show(f"* asked for {plain(quote.amount)} {quote.asset} to {recipients(quote)}")
        return quote

    async def pay(self, challenge: Challenge) -> Payload:
        """The token, once its user has approved. Waits for that while the challenge is good."""
        assert self._account is not None  # it was quoted
        self._show(f"* paying by the spend request {self._id}")
        return await self._account.pay(challenge)

    async def is_dead(self, payload: Payload) -> bool:  # noqa: ARG002 - as the contract has it
        """Never certain: until it ends, a seller can charge the token that it was given."""
        return False

    async def aclose(self) -> None:
        """Close the connections to Link."""
        await self._link.aclose()

    async def _token(self, terms: stripe.TokenTerms) -> str:
        assert self._request is not None  # it was quoted
        within = min(_PATIENCE, terms.expires_at - AFTERWARDS - _SENDING_MARGIN - time.time())
        if self._request.is_granted:
            approved = await self._wait(within)
        else:
            say(f"coinslot: {self._id} is to be approved at {self._request.approval_url or 'app.link.com'}")
            with waiting(f"waiting for {self._id} to be approved"):
                approved = await self._wait(within)
        if approved.shared_payment_token is None:
            raise WalletError(f"the spend request {self._id} is {approved.status}, and shows no token")
        return approved.shared_payment_token.id

    async def _wait(self, seconds: float) -> SpendRequest:
        def show_challenge(request: SpendRequest) -> None:
            if request.next_action is not None:
                say(f"coinslot: {request.next_action.display_message} {request.next_action.action_url or ''}")

        return await self._link.wait_for_approval(
            self._id, within=max(0.0, seconds), on_change=show_challenge
        )


def _check(request: SpendRequest, quote: Quote) -> None:
    """Raise `WalletError` if the request cannot pay that, whatever its user says."""
    name = f"the spend request {request.id}"
    if request.credential_type not in (None, "shared_payment_token"):
        raise WalletError(f"{name} is for a {request.credential_type}, which no server takes as a payment")
    if request.status == "created":
        raise WalletError(
            f"{name} was not put to its user: use `coinslot link spend-request request-approval {request.id}`"
        )
    if request.status == "succeeded" or not (request.is_granted or request.is_waiting):
        how = request.status.replace("_", " ")
        raise WalletError(f"{name} is {how}, and pays for nothing: make a new one")
    if request.network_id != quote.recipient:
        raise UnexpectedTerms(f"{name} is for {request.network_id}, and the seller here is {quote.recipient}")
    if request.amount is not None and quote.base_units > request.amount:
        raise UnexpectedTerms(
            f"{name} is for {as_money(request.amount, quote.currency)}, and the price is"
            f" {as_money(quote.base_units, quote.currency)}"
        )
