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
        AlreadyClaimed as AlreadyClaimed,
    )
    from coinslot.errors import (
        AmountError as AmountError,
    )
    from coinslot.errors import (
        BadRequest as BadRequest,
    )
    from coinslot.errors import (
        BodyNotReplayable as BodyNotReplayable,
    )
    from coinslot.errors import (
        ChallengeExpired as ChallengeExpired,
    )
    from coinslot.errors import (
        CoinslotError as CoinslotError,
    )
    from coinslot.errors import (
        ConfigurationError as ConfigurationError,
    )
    from coinslot.errors import (
        CredentialMalformed as CredentialMalformed,
    )
    from coinslot.errors import (
        HttpsRequired as HttpsRequired,
    )
    from coinslot.errors import (
        InsufficientFunds as InsufficientFunds,
    )
    from coinslot.errors import (
        InvalidChallenge as InvalidChallenge,
    )
    from coinslot.errors import (
        InvalidPayload as InvalidPayload,
    )
    from coinslot.errors import (
        LedgerError as LedgerError,
    )
    from coinslot.errors import (
        MalformedChallenge as MalformedChallenge,
    )
    from coinslot.errors import (
        MalformedCredential as MalformedCredential,
    )
    from coinslot.errors import (
        MalformedDigest as MalformedDigest,
    )
    from coinslot.errors import (
        MalformedEncoding as MalformedEncoding,
    )
    from coinslot.errors import (
        MalformedHeader as MalformedHeader,
    )
    from coinslot.errors import (
        MalformedJSON as MalformedJSON,
    )
    from coinslot.errors import (
        MalformedReceipt as MalformedReceipt,
    )
    from coinslot.errors import (
        MethodUnsupported as MethodUnsupported,
    )
    from coinslot.errors import (
        NoAcceptableChallenge as NoAcceptableChallenge,
    )
    from coinslot.errors import (
        OutcomeUnknown as OutcomeUnknown,
    )
    from coinslot.errors import (
        OverLimit as OverLimit,
    )
    from coinslot.errors import (
        PaymentError as PaymentError,
    )
    from coinslot.errors import (
        PaymentExpired as PaymentExpired,
    )
    from coinslot.errors import (
        PaymentInProgress as PaymentInProgress,
    )
    from coinslot.errors import (
        PaymentInsufficient as PaymentInsufficient,
    )
    from coinslot.errors import (
        PaymentRequired as PaymentRequired,
    )
    from coinslot.errors import (
        PaymentUnavailable as PaymentUnavailable,
    )
    from coinslot.errors import (
        PaymentUndecided as PaymentUndecided,
    )
    from coinslot.errors import (
        ProtocolError as ProtocolError,
    )
    from coinslot.errors import (
        UnexpectedTerms as UnexpectedTerms,
    )
    from coinslot.errors import (
        UnsafeOrigin as UnsafeOrigin,
    )
    from coinslot.errors import (
        VerificationFailed as VerificationFailed,
    )
    from coinslot.errors import (
        WalletError as WalletError,
    )
    from coinslot.payments.events import (
        ChallengeIssued as ChallengeIssued,
    )
    from coinslot.payments.events import (
        CredentialRefused as CredentialRefused,
    )
    from coinslot.payments.events import (
        PaymentDelivered as PaymentDelivered,
    )
    from coinslot.payments.events import (
        PaymentFailed as PaymentFailed,
    )
    from coinslot.payments.events import (
        PaymentSettled as PaymentSettled,
    )
    from coinslot.payments.events import (
        PaymentUndelivered as PaymentUndelivered,
    )
    from coinslot.payments.events import (
        PaymentUnknown as PaymentUnknown,
    )
    from coinslot.payments.ledger import (
        Payment as Payment,
    )
    from coinslot.protocol import (
        Challenge as Challenge,
    )
    from coinslot.protocol import (
        Credential as Credential,
    )
    from coinslot.protocol import (
        Receipt as Receipt,
    )
    from coinslot.server.exchange import (
        Request as Request,
    )
    from coinslot.server.exchange import (
        Response as Response,
    )
    from coinslot.server.gate import (
        Challenged as Challenged,
    )
    from coinslot.server.gate import (
        Gate as Gate,
    )
    from coinslot.server.gate import (
        Paid as Paid,
    )
    from coinslot.server.paywall import (
        Paywall as Paywall,
    )

# Where each public name lives; the imports above say the same to type checkers.
_HOMES = {
    "coinslot.errors": (
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
        "UnexpectedTerms",
        "UnsafeOrigin",
        "VerificationFailed",
        "WalletError",
    ),
    "coinslot.protocol": ("Challenge", "Credential", "Receipt"),
    "coinslot.payments.ledger": ("Payment",),
    "coinslot.payments.events": (
        "ChallengeIssued",
        "CredentialRefused",
        "PaymentDelivered",
        "PaymentFailed",
        "PaymentSettled",
        "PaymentUndelivered",
        "PaymentUnknown",
    ),
    "coinslot.server.exchange": ("Request", "Response"),
    "coinslot.server.gate": ("Challenged", "Gate", "Paid"),
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
