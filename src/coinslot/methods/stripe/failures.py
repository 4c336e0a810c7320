"""Calls to Stripe that brought no result, with an answer to the question that money asks: was it done?

    StripeFailure
    ├── NotDone       certainly not: Stripe was not reached, or would not begin
    ├── Unanswered    it may have been, and nobody says
    └── Refused       Stripe did begin, and said no: `code`, `decline_code`, `param`

Stripe's own sentences quote tokens and keys, so they are not passed on. Its codes and the request's id are:
with that id the whole exchange can be read in the Dashboard.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import Struct

from coinslot.errors import CoinslotError
from coinslot.methods.stripe.sdk import stripe

# Errors of httpx, httpx2 and aiohttp from before the first byte of a request was sent.
_BEFORE_SENDING: Final = frozenset(
    (
        "ConnectError",
        "ConnectTimeout",
        "PoolTimeout",
        "ClientConnectorError",
        "ClientConnectorDNSError",
        "ClientConnectorSSLError",
        "ClientConnectorCertificateError",
        "ConnectionTimeoutError",
    )
)

_WORD: Final = re.compile(r"[A-Za-z0-9_.\[\]-]{1,80}+")


class StripeFailure(CoinslotError):
    """A call to Stripe that brought no result."""


class NotDone(StripeFailure):
    """Stripe certainly did nothing: it was not reached, or would not begin with this."""


class Unanswered(StripeFailure):
    """Stripe may have done what was asked, and did not say.

    It is `replayed` if Stripe said from memory what it had said to an earlier request.
    """

    def __init__(self, message: str, *, replayed: bool = False) -> None:
        super().__init__(message)
        self.replayed = replayed


class Refused(StripeFailure):
    """Stripe began with what was asked and ended it: with `status`, and its own `code` for why.

    `decline_code` is the bank's, of a card that was declined; `param` is the parameter at fault.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str | None = None,
        decline_code: str | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.decline_code = decline_code
        self.param = param

    @property
    def is_decline(self) -> bool:
        """Whether it was the payer's bank that said no."""
        return self.status == 402

    @property
    def is_unknown_token(self) -> bool:
        """Whether there is no such shared payment token for the account that asked."""
        return self.code == "resource_missing" and "shared_payment_granted_token" in (self.param or "")


class _Error(Struct):
    """The `error` of an answer (docs.stripe.com/api/errors)."""

    code: str | None = None
    decline_code: str | None = None
    param: str | None = None
    type: str | None = None


class _Body(Struct):
    error: _Error


def classify(error: stripe.StripeError) -> StripeFailure:
    """What an error of the SDK means for the money."""
    if isinstance(error, stripe.APIConnectionError):
        cause = type(error.__cause__).__name__
        if cause in _BEFORE_SENDING:
            return NotDone(f"Stripe cannot be reached ({cause})")
        return Unanswered(f"the connection to Stripe broke ({cause})")
    status, body = error.http_status or 0, _read(error)
    message = _describe(status, body, error.request_id)
    match error:
        case stripe.IdempotencyError():
            return Unanswered(f"{message}: the idempotency key was used before, with other parameters")
        case stripe.RateLimitError() | stripe.AuthenticationError() | stripe.PermissionError():
            return NotDone(message)
        case stripe.CardError():
            return _refused(message, status, body)
        case stripe.InvalidRequestError() if _began(status, body):
            return _refused(message, status, body)
        case stripe.InvalidRequestError():
            return NotDone(message)
        case _:
            return Unanswered(message, replayed=(error.headers or {}).get("Idempotent-Replayed") == "true")


def _began(status: int, error: _Error) -> bool:
    """Whether a 400 or 404 is from what was asked, and not from how it was asked.

    Parameters that Stripe does not take, and URLs that it does not have, are the seller's mistake. It finds
    them before it begins with anything.
    """
    return not (error.code or "").startswith("parameter_") and (status != 404 or error.code is not None)


def _refused(message: str, status: int, error: _Error) -> Refused:
    return Refused(
        message, status=status, code=error.code, decline_code=error.decline_code, param=error.param
    )


def _read(error: stripe.StripeError) -> _Error:
    try:
        found = msgspec.convert(error.json_body, _Body).error
    except msgspec.ValidationError:
        return _Error()
    return _Error(
        code=_word(found.code),
        decline_code=_word(found.decline_code),
        param=_word(found.param),
        type=_word(found.type),
    )


def _word(text: str | None) -> str | None:
    """A code, or the name of a parameter; nothing that could be a sentence or a secret."""
    return text if text is not None and _WORD.fullmatch(text) and not text.startswith("spt_") else None


def _describe(status: int, error: _Error, request_id: str | None) -> str:
    words = [str(status), error.type, error.code, error.decline_code, error.param and f"({error.param})"]
    said = " ".join(word for word in words if word)
    named = _word(request_id)
    return f"Stripe answered {said}" + (f", request {named}" if named else "")
