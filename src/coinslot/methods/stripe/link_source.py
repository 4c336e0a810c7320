"""A Link wallet as the source of a buyer's tokens: every payment is one that its user approves.

stripe.account(spt=LinkTokens(link, show=lambda request: print(request.approval_url)))
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from coinslot.methods.stripe.currencies import as_money
from coinslot.methods.stripe.link import Link
from coinslot.methods.stripe.link_errors import LinkError
from coinslot.methods.stripe.link_values import SpendRequest

if TYPE_CHECKING:
    from coinslot.methods.stripe.sources import TokenTerms


class LinkTokens:
    """A `TokenSource`. Asks the user of `link` for each payment, and waits `within` seconds for their word.

    `show` is called with the request when there is something for them to do: its `approval_url`, or its
    `next_action`. `payment_method` is what is paid with, if not their default. `test` is for test money.
    """

    def __init__(
        self,
        link: Link,
        *,
        show: Callable[[SpendRequest], None],
        payment_method: str | None = None,
        within: float = 600.0,
        interval: float = 2.0,
        test: bool = False,
    ) -> None:
        self._link = link
        self._show = show
        self._payment_method = payment_method
        self._within, self._interval = within, interval
        self._test = test

    async def __call__(self, terms: TokenTerms, /) -> str:
        """A token for these terms. Asked for again, it is the same request. Raises `LinkError`."""
        said = "\n".join((terms.challenge_id, terms.realm, str(terms.amount), terms.network_id))
        request = await self._link.create_spend_request(
            amount=terms.amount,
            currency=terms.currency,
            network_id=terms.network_id,
            context=_context(terms),
            payment_method=self._payment_method,
            idempotency_key=f"mpp_{hashlib.sha256(said.encode()).hexdigest()}",
            test=self._test,
        )
        approved = await self._link.wait_for_approval(
            request.id, within=self._within, interval=self._interval, on_change=self._show
        )
        if approved.shared_payment_token is None:
            raise LinkError(f"the spend request {request.id} is {approved.status}, and shows no token")
        return approved.shared_payment_token.id

    async def aclose(self) -> None:
        """Close the connections to Link."""
        await self._link.aclose()


def _context(terms: TokenTerms) -> str:
    """What the user reads. It has Link's least length whatever the terms are."""
    what = f": {terms.description}" if terms.description else ", which says nothing more about it"
    return (
        f"A program that you let use this wallet asked {terms.realm} for something that is paid for by the "
        f"request{what}. The price is {as_money(terms.amount, terms.currency)}, once, to {terms.network_id}."
    )
