"""What `coinslot pay` says when it fails, and the exit code for it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from decimal import Decimal

import httpx2

from coinslot.cli.output import CommandError, Exit, code_of, plain
from coinslot.client import Outcome, PaymentRecord
from coinslot.errors import NoAcceptableChallenge, OverLimit, PaymentUndecided
from coinslot.methods.stripe.link_errors import LinkError
from coinslot.payments.method import Quote


def explain(error: Exception, *, quote: Quote | None, limit: Decimal) -> CommandError:
    """The sentence and the code for an error that ended an exchange.

    `quote` is the price that was asked for last, `limit` what --max allows.
    """
    match error:
        case CommandError():
            return error
        case OverLimit() if quote is not None and error.limit == limit:
            fee = f", and up to {plain(quote.fee)} of fees" if quote.fee else ""
            return CommandError(
                f"the price is {plain(quote.amount)} {quote.asset}{fee}, above --max {plain(limit)}:"
                " nothing was paid",
                Exit.OVER_LIMIT,
            )
        case NoAcceptableChallenge() if _is_dear(error):
            return CommandError(
                f"every price is above --max {plain(limit)}: nothing was paid", Exit.OVER_LIMIT
            )
        case PaymentUndecided(payment=PaymentRecord() as payment):
            cause = f" ({type(error.__cause__).__name__})" if error.__cause__ is not None else ""
            return CommandError(
                f"a payment of {_price(payment)} was presented to {payment.origin}, and it is not known"
                f" whether it was taken{cause}",
                Exit.UNDECIDED,
            )
        case httpx2.HTTPError() | httpx2.InvalidURL():
            return _network_failure(error)
        case LinkError():
            from coinslot.cli.link_session import explain as explain_link

            return explain_link(error)
        case _:
            return CommandError(str(error), code_of(error))


def refused(
    status: int, payment: PaymentRecord | None, detail: str | None, *, is_fatal: bool
) -> CommandError | None:
    """What is wrong with an answer, if anything is.

    `detail` is what its problem document says; `is_fatal` is --fail.
    """
    because = "" if detail is None else f" ({detail})"
    if payment is None:
        if status == 402:
            return CommandError(
                f"a payment is asked for in no way that could be paid here{because}", Exit.CANNOT_PAY
            )
    elif payment.outcome is Outcome.REFUSED:
        return CommandError(
            f"{payment.origin} refused the payment of {_price(payment)}, which took nothing{because}",
            Exit.REFUSED,
        )
    elif status == 402 and payment.outcome is Outcome.PAID:
        return CommandError(
            f"{payment.origin} no longer honours the payment of {_price(payment)}{because}", Exit.REFUSED
        )
    elif status == 402:
        return CommandError(
            f"{payment.origin} refused the payment of {_price(payment)}{because}; whether it took anything is"
            f" not certain{reference(payment)}",
            Exit.REFUSED,
        )
    elif status >= 400 and payment.outcome is Outcome.UNDECIDED:
        return CommandError(
            f"{payment.origin} answered {status} to a payment of {_price(payment)}{because}; whether it took"
            f" anything is not certain{reference(payment)}",
            Exit.UNDECIDED,
        )
    if status >= 400 and is_fatal:
        return CommandError(f"the answer is {status}{because}", Exit.HTTP_ERROR)
    return None


def _is_dear(error: NoAcceptableChallenge) -> bool:
    """Whether nothing but the limit stands in the way."""
    reasons = [reason for reason in error.refusals if not isinstance(reason, NoAcceptableChallenge)]
    return bool(reasons) and all(isinstance(reason, OverLimit) for reason in reasons)


def _network_failure(error: httpx2.HTTPError | httpx2.InvalidURL) -> CommandError:
    if isinstance(error, httpx2.InvalidURL):
        return CommandError(f"that is not the address of anything: {error}", Exit.USAGE)
    try:
        host = error.request.url.host
    except RuntimeError:  # it has none
        host = "the host"
    if isinstance(error, httpx2.TimeoutException):
        return CommandError(f"{host} did not answer in time: see --timeout", Exit.TIMEOUT)
    if isinstance(error, httpx2.TooManyRedirects):
        return CommandError(f"{host} sent us round in circles: too many redirects", Exit.TOO_MANY_REDIRECTS)
    if not isinstance(error, httpx2.ConnectError | httpx2.ProxyError):
        return CommandError(f"the connection to {host} broke ({type(error).__name__})", Exit.BROKEN_ANSWER)
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            return CommandError(f"{host} cannot be resolved: is the name right?", Exit.NO_HOST)
        if isinstance(cause, ssl.SSLError):
            reason = getattr(cause, "verify_message", None) or cause.reason
            return CommandError(f"{host} cannot be trusted: {reason}", Exit.TLS)
    return CommandError(f"there is no connection to {host}: is it running there?", Exit.NO_CONNECTION)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def reference(payment: PaymentRecord) -> str:
    """What to look for a payment by, as the end of a sentence; empty if there is nothing."""
    return "" if payment.reference is None else f", reference {payment.reference}"


def _price(payment: PaymentRecord) -> str:
    return f"{plain(payment.quote.amount)} {payment.quote.asset}"
