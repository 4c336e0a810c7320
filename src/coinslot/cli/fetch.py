"""One request of `coinslot pay`: sent, paid for if it comes to that, and its answer delivered.

A payment whose answer did not arrive whole is kept (`unfinished`), and the next run of the same command
presents it again instead of making another one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from decimal import Decimal

import httpx2
from msgspec import Struct

import coinslot
from coinslot.cli.answer import Answer, Target, as_json
from coinslot.cli.curl import Outgoing
from coinslot.cli.failures import explain, reference, refused
from coinslot.cli.files import CannotWrite
from coinslot.cli.interruption import interruptible
from coinslot.cli.on_demand import OnDemand, Settings, Spending, TempoOnDemand, recipients
from coinslot.cli.output import CommandError, Exit, ReaderLeft, plain, print_json, say
from coinslot.cli.payer import find_payer
from coinslot.cli.trace import Connections, Traced
from coinslot.cli.unfinished import Unfinished
from coinslot.client import Outcome, PaymentRecord, Wallet
from coinslot.client.httpx2 import EXTENSION
from coinslot.errors import CoinslotError

NO_LIMIT = Decimal(10) ** 30
"""More than there is of anything."""

_PATIENCE = 60.0
"""Seconds that a payment which was not answered is presented again, at most."""


class Order(Struct, frozen=True, kw_only=True):
    """What the command line asks for. `limit` is in the asset's own unit, `timeout` in seconds.

    With `spending` it is paid by a spend request, whose amount is the limit if there is no other.
    """

    request: Outgoing
    limit: Decimal
    account: str | None
    settings: Settings
    spending: Spending | None
    trusted_realms: tuple[str, ...]
    output: str | None
    timeout: float
    fail: bool
    follow: bool
    include: bool
    json: bool
    silent: bool
    verbose: bool
    pay_again: bool

    @property
    def show(self) -> Callable[[str], None]:
        """Where --verbose's lines go."""
        return say if self.verbose else _unsaid

    def method(self) -> OnDemand:
        """What to pay with. Raises `ConfigurationError`, and `ImportError` where Link is not installed."""
        if self.spending is None:
            return TempoOnDemand(lambda: find_payer(self.account), self.settings, show=self.show)
        from coinslot.cli.link_on_demand import LinkOnDemand

        return LinkOnDemand(self.spending, show=self.show)


def fetch(order: Order) -> None:
    """Do it. Raises `CommandError` or `ReaderLeft` unless all went well."""
    target = Target(order.output)
    errand = _Errand(order, target)
    failure: CommandError | None = None
    try:
        with interruptible():
            asyncio.run(errand.run())
    except (CoinslotError, httpx2.HTTPError, httpx2.InvalidURL) as error:
        failure = errand.failure(error)
    except KeyboardInterrupt:
        failure = CommandError("interrupted", Exit.INTERRUPTED)
    finally:
        target.abandon()
        advice = errand.conclude()
    if failure is not None and advice is not None:
        failure = CommandError(f"{failure}: {advice}", failure.code)
    if order.json:
        print_json(as_json(errand.answer, errand.body, errand.payment, failure))
    if failure is not None:
        raise failure


def connect(order: Order, wallet: Wallet) -> httpx2.AsyncClient:
    """A client that pays with `wallet`, and shows what --verbose shows."""
    inner = Connections()
    return httpx2.AsyncClient(
        transport=wallet.async_transport(Traced(inner, say) if order.verbose else inner),
        timeout=httpx2.Timeout(order.timeout, connect=min(order.timeout, 10.0)),
        follow_redirects=order.follow,
        # As with curl, the body is written as it comes: a coding has to be asked for.
        headers={
            "user-agent": f"coinslot/{coinslot.__version__}",
            "accept": "*/*",
            "accept-encoding": "identity",
        },
    )


async def send(
    client: httpx2.AsyncClient, outgoing: Outgoing, payment: PaymentRecord | None = None
) -> httpx2.Response:
    """Send it, with an earlier payment if there is one; the body of the answer is still to be read."""
    request = client.build_request(
        outgoing.method,
        outgoing.url,
        headers=outgoing.headers,
        content=outgoing.body,
        extensions=None if payment is None else {EXTENSION: payment},
    )
    for name in outgoing.dropped & set(request.headers):
        del request.headers[name]
    return await client.send(request, stream=True)


class _Errand:
    """An order under way: what has come of it so far."""

    def __init__(self, order: Order, target: Target) -> None:
        self.answer: Answer | None = None
        self.body: bytes | None = None
        self.payment: PaymentRecord | None = None
        self._order = order
        self._target = target
        self._unfinished = Unfinished()
        self._is_delivered = False
        self._method = order.method()

    async def run(self) -> None:
        """From the first byte to the last. Raises whatever stands in the way."""
        order = self._order
        wallet = Wallet(
            [self._method],
            max_amount=order.limit,
            patience=min(order.timeout, _PATIENCE),
            trusted_realms=order.trusted_realms,
            on_payment=self._learn,
        )
        async with wallet, connect(order, wallet) as client:
            self.answer = await self._ask(client)
            async with aclosing(self.answer):
                detail = await self.answer.detail() if self.answer.status >= 400 else None
                self._report()
                await self._deliver(self.answer)
        failure = refused(self.answer.status, self.payment, detail, is_fatal=order.fail)
        if failure is not None:
            raise failure

    def failure(self, error: Exception) -> CommandError:
        """What to tell of `error`."""
        quotes = list(self._method.quotes.values())
        return explain(error, quote=quotes[-1] if quotes else None, limit=self._order.limit)

    def conclude(self) -> str | None:
        """Keep a payment that is not done with, forget one that is. What the user can do, if anything."""
        payment, request = self.payment, self._order.request
        if payment is None:
            return None
        is_refused = self.answer is not None and self.answer.status == 402
        if self._is_delivered or payment.outcome is Outcome.REFUSED:
            self._unfinished.forget(request, payment)
            return None
        if is_refused and payment.outcome is Outcome.PAID:
            self._unfinished.forget(request, payment)
            return "run the same command again to make a new payment"
        try:
            self._unfinished.keep(request, payment)
        except CannotWrite as error:
            return f"the payment was made and cannot be kept ({error}){reference(payment)}"
        if is_refused:
            return "run the same command again to ask again, or with --pay-again to make another payment"
        return "run the same command again, which presents the same payment and makes no other"

    async def _ask(self, client: httpx2.AsyncClient) -> Answer:
        request = self._order.request
        earlier = self._unfinished.find(request)
        if earlier is not None and self._order.pay_again:
            self._unfinished.forget(request, earlier)
            earlier = None
        if earlier is not None:
            self.payment = earlier
            self._note(f"presenting the payment that was made before, {_summary(earlier)}")
            answer = await self._send(client, earlier)
            if answer.status != 402 or not await self._is_dead(earlier):
                return answer
            await answer.response.aclose()
            self._note("it took nothing, and never will: paying anew")
            self._unfinished.forget(request, earlier)
            self.payment = None
        return await self._send(client)

    async def _is_dead(self, earlier: PaymentRecord) -> bool:
        is_ours = earlier.challenge.method == self._method.name
        return is_ours and await self._method.is_dead(earlier.payload)

    async def _send(self, client: httpx2.AsyncClient, earlier: PaymentRecord | None = None) -> Answer:
        response = await send(client, self._order.request, earlier)
        self.payment = response.extensions.get(EXTENSION, self.payment)
        return Answer(response)

    async def _deliver(self, answer: Answer) -> None:
        order = self._order
        try:
            async with aclosing(answer.body()) as body:
                if order.json and order.output is None:
                    self.body = b"".join([chunk async for chunk in body])
                elif answer.status < 400 or not order.fail:
                    self._target.begin()
                    if order.include:
                        self._target.write(answer.heads())
                    async for chunk in body:
                        self._target.write(chunk)
                    self._target.finish()
        except ReaderLeft:
            self._is_delivered = answer.status < 400
            raise
        self._is_delivered = answer.status < 400

    def _report(self) -> None:
        payment = self.payment
        if payment is None or payment.outcome is not Outcome.PAID:
            return
        if payment.quote.base_units == 0:
            self._note(f"proved to {payment.challenge.realm} who pays")
        else:
            self._note(f"paid {_summary(payment)}")

    def _note(self, text: str) -> None:
        if not self._order.silent:
            say(f"coinslot: {text}")

    def _learn(self, payment: PaymentRecord) -> None:
        self.payment = payment


def _summary(payment: PaymentRecord) -> str:
    quote = payment.quote
    return (
        f"{plain(quote.amount)} {quote.asset} to {recipients(quote)} on {quote.network}{reference(payment)}"
    )


def _unsaid(line: str) -> None:
    """Where --verbose's lines go without it."""
