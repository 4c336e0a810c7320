"""Payments by what people have of them: a challenge's id, a reference, or the beginning of either.

An id may begin with a dash, which a shell's commands take for an option. So it is shown, and found, without.
Money that came without a challenge goes by its reference.
"""

from __future__ import annotations

from typing import Final

from coinslot.cli.output import CommandError, Exit
from coinslot.payments.books import Query
from coinslot.payments.desk import NO_CHALLENGE
from coinslot.payments.ledger import Ledger
from coinslot.payments.payment import Payment

SHORT: Final = 10
"""Characters of an id that are shown in a table."""

_SHORTEST: Final = 4
_PAGE: Final = 1000
_LISTED: Final = 4


def handle(payment: Payment) -> str:
    """What a payment goes by on a command line."""
    if payment.challenge_id.startswith(NO_CHALLENGE):
        return payment.reference
    return payment.challenge_id.lstrip("-")


async def find_payment(ledger: Ledger, text: str) -> Payment:
    """The payment that `text` names: one, or `CommandError`."""
    for challenge_id in (text, f"-{text}", NO_CHALLENGE + text):
        if (payment := await ledger.find(challenge_id)) is not None:
            return payment
    if (payment := await ledger.find_by_reference(text)) is not None:
        return payment
    if (refund := await ledger.find_refund(text)) is not None:
        payment = await ledger.find(refund.challenge_id)
        assert payment is not None  # the ledger keeps no refund without its payment
        return payment
    found = await _begin_with(ledger, text.lstrip("-")) if len(text) >= _SHORTEST else []
    if not found:
        more = "" if len(text) >= _SHORTEST else f": a beginning has {_SHORTEST} characters at least"
        raise CommandError(f"there is no payment {text!r}{more}", Exit.NO_PAYMENT)
    if len(found) > 1:
        some = ", ".join(handle(payment)[: len(text) + SHORT] for payment in found[:_LISTED])
        more = " and more" if len(found) > _LISTED else ""
        raise CommandError(f"several payments begin with {text!r}: {some}{more}", Exit.USAGE)
    return found[0]


async def _begin_with(ledger: Ledger, text: str) -> list[Payment]:
    """Those that do, up to a few more than can be listed."""
    found: list[Payment] = []
    after = None
    while len(found) <= _LISTED and (
        page := await ledger.select(Query(), after=after, newest_first=True, limit=_PAGE)
    ):
        found += [
            payment
            for payment in page
            if handle(payment).startswith(text) or payment.reference.startswith(text)
        ]
        after = (page[-1].created_at, page[-1].challenge_id)
    return found
