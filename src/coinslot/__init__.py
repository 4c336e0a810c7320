"""Coinslot: machine payments for Python.

A `Paywall` puts a coin slot on any HTTP resource; a `Wallet` lets any program pay, within a limit. Both speak
the Machine Payments Protocol (the `Payment` HTTP authentication scheme).

Names load when they are first used, so `import coinslot` is light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from coinslot.client.wallet import (
        Wallet as Wallet,
    )
    from coinslot.errors import (
        ActionRequired as ActionRequired,
        AlreadyClaimed as AlreadyClaimed,
        AmountError as AmountError,
        BadRequest as BadRequest,
        BodyNotReplayable as BodyNotReplayable,
        ChallengeExpired as ChallengeExpired,
        CoinslotError as CoinslotError,
        ConfigurationError as ConfigurationError,
        CredentialMalformed as CredentialMalformed,
        HttpsRequired as HttpsRequired,
        InsufficientFunds as InsufficientFunds,
        InvalidChallenge as InvalidChallenge,
        InvalidPayload as InvalidPayload,
        LedgerError as LedgerError,
        MalformedChallenge as MalformedChallenge,
        MalformedCredential as MalformedCredential,
        MalformedDigest as MalformedDigest,
        MalformedEncoding as MalformedEncoding,
        MalformedHeader as MalformedHeader,
        MalformedJSON as MalformedJSON,
        MalformedReceipt as MalformedReceipt,
        MethodUnsupported as MethodUnsupported,
        NoAcceptableChallenge as NoAcceptableChallenge,
        NotApplied as NotApplied,
        NotHonoured as NotHonoured,
        OutcomeUnknown as OutcomeUnknown,
        OverLimit as OverLimit,
        PaymentError as PaymentError,
        PaymentExpired as PaymentExpired,
        PaymentInProgress as PaymentInProgress,
        PaymentInsufficient as PaymentInsufficient,
        PaymentRequired as PaymentRequired,
        PaymentUnavailable as PaymentUnavailable,
        PaymentUndecided as PaymentUndecided,
        ProtocolError as ProtocolError,
        RateLimited as RateLimited,
        RefundError as RefundError,
        UnexpectedTerms as UnexpectedTerms,
        UnsafeOrigin as UnsafeOrigin,
        VerificationFailed as VerificationFailed,
        WalletError as WalletError,
    )
    from coinslot.payments.events import (
        ChallengeIssued as ChallengeIssued,
        CredentialRefused as CredentialRefused,
        PaymentDelivered as PaymentDelivered,
        PaymentDisputed as PaymentDisputed,
        PaymentFailed as PaymentFailed,
        PaymentSettled as PaymentSettled,
        PaymentUnapplied as PaymentUnapplied,
        PaymentUndelivered as PaymentUndelivered,
        PaymentUnknown as PaymentUnknown,
        RefundEnded as RefundEnded,
    )
    from coinslot.payments.payment import Payment as Payment
    from coinslot.payments.refunds import Refund as Refund
    from coinslot.protocol import (
        Challenge as Challenge,
        Credential as Credential,
        Receipt as Receipt,
    )
    from coinslot.server.exchange import (
        Request as Request,
        Response as Response,
    )
    from coinslot.server.gate import (
        Challenged as Challenged,
        Gate as Gate,
        Paid as Paid,
        Replayed as Replayed,
    )
    from coinslot.server.health import (
        Health as Health,
    )
    from coinslot.server.limits import (
        Limits as Limits,
    )
    from coinslot.server.paywall import (
        Paywall as Paywall,
    )

# Where each public name lives; the imports above say the same to type checkers.
_HOMES = {
    "coinslot.errors": (
        "ActionRequired",
        "AlreadyClaimed",
        "AmountError",
        "BadRequest",
        "BodyNotReplayable",
        "ChallengeExpired",
        "CoinslotError",
        "ConfigurationError",
        "CredentialMalformed",
        "HttpsRequired",
        "InsufficientFunds",
        "InvalidChallenge",
        "InvalidPayload",
        "LedgerError",
        "MalformedChallenge",
        "MalformedCredential",
        "MalformedDigest",
        "MalformedEncoding",
        "MalformedHeader",
        "MalformedJSON",
        "MalformedReceipt",
        "MethodUnsupported",
        "NoAcceptableChallenge",
        "NotApplied",
        "NotHonoured",
        "OutcomeUnknown",
        "OverLimit",
        "PaymentError",
        "PaymentExpired",
        "PaymentInProgress",
        "PaymentInsufficient",
        "PaymentRequired",
        "PaymentUnavailable",
        "PaymentUndecided",
        "ProtocolError",
        "RateLimited",
        "RefundError",
        "UnexpectedTerms",
        "UnsafeOrigin",
        "VerificationFailed",
        "WalletError",
    ),
    "coinslot.protocol": ("Challenge", "Credential", "Receipt"),
    "coinslot.payments.payment": ("Payment",),
    "coinslot.payments.refunds": ("Refund",),
    "coinslot.payments.events": (
        "ChallengeIssued",
        "CredentialRefused",
        "PaymentDelivered",
        "PaymentDisputed",
        "PaymentFailed",
        "PaymentSettled",
        "PaymentUnapplied",
        "PaymentUndelivered",
        "PaymentUnknown",
        "RefundEnded",
    ),
    "coinslot.server.exchange": ("Request", "Response"),
    "coinslot.server.gate": ("Challenged", "Gate", "Paid", "Replayed"),
    "coinslot.server.health": ("Health",),
    "coinslot.server.limits": ("Limits",),
    "coinslot.server.paywall": ("Paywall",),
    "coinslot.client.wallet": ("Wallet",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", *_HOME_OF]  # pyright: ignore[reportUnsupportedDunderAll]  # loaded lazily


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'coinslot' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
