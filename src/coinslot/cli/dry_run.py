"""`coinslot pay --dry-run`: the way of a payment, up to the point where it would be signed."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import httpx2
from msgspec import Struct, to_builtins

from coinslot.cli.failures import explain, refused
from coinslot.cli.fetch import NO_LIMIT, Order, connect, send
from coinslot.cli.on_demand import OnDemand
from coinslot.cli.output import plain, print_json, print_line, print_table
from coinslot.client import Wallet
from coinslot.errors import CoinslotError
from coinslot.payments.method import Payload, Quote
from coinslot.protocol import Challenge


class _WouldPay(Exception):
    """All that stands before the signature was passed."""

    def __init__(self, challenge: Challenge, quote: Quote, payer: str | None) -> None:
        super().__init__()
        self.challenge = challenge
        self.quote = quote
        self.payer = payer


class _Unsigned:
    """A method that signs nothing."""

    def __init__(self, method: OnDemand) -> None:
        self.name, self.intent = method.name, method.intent
        self._method = method

    async def quote(self, challenge: Challenge) -> Quote | None:
        """What the challenge would cost."""
        return await self._method.quote(challenge)

    async def pay(self, challenge: Challenge) -> Payload:
        """Raise `_WouldPay`."""
        raise _WouldPay(challenge, self._method.quotes[challenge.id], self._method.payer())

    async def aclose(self) -> None:
        """Close the method's connections."""
        await self._method.aclose()


class Preview(Struct, frozen=True, kw_only=True):
    """What would be paid. Amounts are in the asset's own unit; `payer` is None if there is no account.

    `shares` are what others than `recipient` get of `amount`, by their address.
    """

    amount: str
    fee_limit: str
    asset: str
    currency: str
    network: str
    recipient: str | None
    shares: list[tuple[str, str]]
    method: str
    realm: str
    description: str | None
    expires: str | None
    payer: str | None
    within_max: bool


def dry_run(order: Order) -> None:
    """Send the request without a payment, and print what would be paid for it. Raises `CommandError`."""
    try:
        found = asyncio.run(_look(order))
    except (CoinslotError, httpx2.HTTPError, httpx2.InvalidURL) as error:
        failure = explain(error, quote=None, limit=order.limit)
        if order.json:
            print_json({"status": None, "would_pay": None, "error": failure.as_member()})
        raise failure from error
    if order.json:
        preview, status = (None, found) if isinstance(found, int) else (to_builtins(found), 402)
        print_json({"status": status, "would_pay": preview, "error": None})
    elif isinstance(found, int):
        print_line(f"Nothing to pay: the answer is {found}")
    else:
        print_table(_rows(found, order.limit))


async def _look(order: Order) -> Preview | int:
    """What would be paid, or the status of the answer if nothing is asked for it."""
    method = _Unsigned(order.method())
    wallet = Wallet([method], max_amount=NO_LIMIT, trusted_realms=order.trusted_realms)
    try:
        async with wallet, connect(order, wallet) as client:
            response = await send(client, order.request)
            await response.aclose()
    except _WouldPay as would:
        return _preview(order, would)
    failure = refused(response.status_code, None, None, is_fatal=False)
    if failure is not None:
        raise failure
    return response.status_code


def _preview(order: Order, would: _WouldPay) -> Preview:
    challenge, quote = would.challenge, would.quote
    return Preview(
        amount=plain(quote.amount),
        fee_limit=plain(quote.fee),
        asset=quote.asset,
        currency=quote.currency,
        network=quote.network,
        recipient=quote.recipient,
        shares=[(share.recipient, plain(share.amount)) for share in quote.shares],
        method=f"{challenge.method}/{challenge.intent}",
        realm=challenge.realm,
        description=challenge.description,
        expires=challenge.expires,
        payer=would.payer,
        within_max=quote.amount + quote.fee <= order.limit,
    )


def _rows(preview: Preview, limit: Decimal) -> list[tuple[str, str]]:
    fee = f", and a fee of at most {preview.fee_limit}" if Decimal(preview.fee_limit) else ""
    price = f"{preview.amount} {preview.asset}{fee}"
    within = "yes" if preview.within_max else "NO"
    rows = [
        ("Would pay", price if Decimal(preview.amount) else "nothing, and prove who pays"),
        ("To", preview.recipient),
        *(("Of that", f"{amount} to {recipient}") for recipient, amount in preview.shares),
        ("From", preview.payer or "no account yet"),
        ("On", preview.network),
        ("By", preview.method),
        ("For", preview.description),
        ("Asked by", preview.realm),
        ("Until", preview.expires),
        ("Within --max", None if limit == NO_LIMIT else f"{within} ({plain(limit)})"),
    ]
    return [(name, value) for name, value in rows if value is not None]
