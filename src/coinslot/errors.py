"""Every error Coinslot raises, in one tree.

    CoinslotError
    ├── ConfigurationError          wrong at start-up; one sentence says what to change
    ├── ProtocolError               bytes on the wire that are not what they claim to be
    │   ├── MalformedHeader         not RFC 9110 auth-params
    │   ├── MalformedEncoding       not base64url without padding
    │   ├── MalformedJSON           not strict JSON, or not the expected shape
    │   ├── MalformedChallenge
    │   ├── MalformedCredential
    │   ├── MalformedReceipt
    │   └── MalformedDigest
    ├── AmountError                 an amount that is not an exact, representable decimal
    ├── PaymentError                why a request was not served; carries its problem type
    │   ├── PaymentRequired         402  payment-required
    │   ├── CredentialMalformed     402  malformed-credential
    │   ├── InvalidChallenge        402  invalid-challenge
    │   ├── VerificationFailed      402  verification-failed
    │   ├── InvalidPayload          402  invalid-payload
    │   ├── PaymentExpired          402  payment-expired
    │   ├── PaymentInsufficient     402  payment-insufficient
    │   ├── ActionRequired          402  payment-action-required
    │   ├── BadRequest              400  bad-request
    │   ├── MethodUnsupported       400  method-unsupported
    │   ├── HttpsRequired           403  https-required
    │   ├── NotHonoured             403  payment-undelivered: received, and given up on delivering
    │   │   └── NotApplied          403  the same, of money that came and is not what was asked
    │   ├── PaymentInProgress       409  payment-in-progress
    │   ├── RateLimited             429  rate-limited
    │   ├── PaymentUnavailable      503  payment-unavailable: nothing was sent, the credential is still good
    │   └── OutcomeUnknown          503  payment-outcome-unknown: sent, and no answer yet
    ├── RefundError                 a refund that cannot be made; one sentence says why
    ├── LedgerError                 the ledger could not answer
    │   └── AlreadyClaimed          a challenge or a proof that already has a payment
    └── WalletError                 the wallet would not, or could not, pay
        ├── NoAcceptableChallenge   nothing in the 402 that this wallet can pay
        ├── OverLimit               dearer than this wallet may pay
        ├── UnsafeOrigin            not https and not loopback, or another origin than was asked
        ├── ChallengeExpired        too late to pay
        ├── UnexpectedTerms         another chain, currency or recipient than was allowed
        ├── InsufficientFunds       the account cannot cover it
        ├── BodyNotReplayable       the request could not be sent a second time
        └── PaymentUndecided        a payment was presented and its outcome is not known

Messages say what was wrong, where, and what to do. They never hold a secret, a credential or a proof.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decimal import Decimal


class CoinslotError(Exception):
    """The root: `except CoinslotError` catches everything that Coinslot raises on purpose."""


class ConfigurationError(CoinslotError):
    """A setting that cannot work, found at start-up."""


class ProtocolError(CoinslotError):
    """Bytes from the other side that break the wire format."""


class MalformedHeader(ProtocolError):
    """Not auth-params (RFC 9110 §11)."""


class MalformedEncoding(ProtocolError):
    """Not canonical base64url without padding (RFC 4648 §5)."""


class MalformedJSON(ProtocolError):
    """Not strict JSON (RFC 8259, I-JSON), beyond a limit, or of another shape than expected."""


class MalformedChallenge(ProtocolError):
    """A `Payment` challenge that breaks draft-httpauth-payment §Challenge."""


class MalformedCredential(ProtocolError):
    """A `Payment` credential that breaks draft-httpauth-payment §Credentials."""


class MalformedReceipt(ProtocolError):
    """A `Payment-Receipt` that breaks draft-httpauth-payment §Payment-Receipt."""


class MalformedDigest(ProtocolError):
    """A digest that is not `sha-256` in either form in use (RFC 9530)."""


class AmountError(CoinslotError, ValueError):
    """An amount that is not an exact decimal, or that does not fit the currency's decimals."""


class PaymentError(CoinslotError):
    """Why a request was not served.

    `slug` names the problem type in `coinslot.protocol.problem`; `detail` is one sentence for the payer;
    `retry_after` is in seconds. `log` is what the operator should read beside it, when that says more.
    """

    slug = "verification-failed"
    retry_after: int | None = None

    def __init__(self, detail: str, *, log: str | None = None, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.log = log
        if retry_after is not None:
            self.retry_after = retry_after


class PaymentRequired(PaymentError):
    """No credential came."""

    slug = "payment-required"


class CredentialMalformed(PaymentError):
    """A credential came and could not be read."""

    slug = "malformed-credential"


class InvalidChallenge(PaymentError):
    """The challenge is not ours, not for this request, or already used."""

    slug = "invalid-challenge"


class VerificationFailed(PaymentError):
    """The proof does not pay this challenge."""

    slug = "verification-failed"


class InvalidPayload(PaymentError):
    """The payload is not of the method's shape."""

    slug = "invalid-payload"


class PaymentExpired(PaymentError):
    """The challenge, or the authorization in the proof, is past its time."""

    slug = "payment-expired"


class PaymentInsufficient(PaymentError):
    """It pays less than was asked."""

    slug = "payment-insufficient"


class ActionRequired(PaymentError):
    """Somebody has to do something before a payment of this kind can be made; this one was given up."""

    slug = "payment-action-required"


class BadRequest(PaymentError):
    """A request that could not be right at any price.

    Two Payment credentials (draft-httpauth-payment §Multiple Payment Options), or an `Idempotency-Key` that
    is none. A price's callable raises it for what it cannot price.
    """

    slug = "bad-request"


class MethodUnsupported(PaymentError):
    """A credential for a method or an intent that is not offered here."""

    slug = "method-unsupported"


class HttpsRequired(PaymentError):
    """Payment over plain http from a peer that is not loopback."""

    slug = "https-required"


class NotHonoured(PaymentError):
    """The payment was received, delivering failed too often or too long ago, and a refund is due."""

    slug = "payment-undelivered"


class NotApplied(NotHonoured):
    """Money came for this challenge that cannot be accepted: too late, or not the right amount.

    `received` is the `coinslot.payments.method.Proof` of what came; it is kept as `unapplied`, for a refund.
    """

    def __init__(self, detail: str, *, received: object, log: str | None = None) -> None:
        super().__init__(detail, log=log)
        self.received = received


class PaymentInProgress(PaymentError):
    """Another request is working on this payment right now."""

    slug = "payment-in-progress"
    retry_after = 1


class RateLimited(PaymentError):
    """Too many requests of this kind from one client. What was sent is as good as it was."""

    slug = "rate-limited"
    retry_after = 1


class PaymentUnavailable(PaymentError):
    """Nothing was sent and nothing is lost: the same credential is good for another try."""

    slug = "payment-unavailable"
    retry_after = 5


class OutcomeUnknown(PaymentError):
    """The payment was sent and its outcome is not known yet: present the same credential again."""

    slug = "payment-outcome-unknown"
    retry_after = 5


class RefundError(CoinslotError):
    """A refund that cannot be made: too much, not refundable, or nothing to make it with."""


class LedgerError(CoinslotError):
    """The ledger could not be read or written."""


class AlreadyClaimed(LedgerError):
    """The challenge, or the proof, already has a payment. `by` is `"challenge"` or `"proof"`."""

    def __init__(self, by: str) -> None:
        super().__init__(f"this {by} already has a payment")
        self.by = by


class WalletError(CoinslotError):
    """The wallet did not pay."""


class NoAcceptableChallenge(WalletError):
    """No challenge in the 402 is one that this wallet can pay.

    `refusals` has the reason for each challenge, in the server's order; the message lists them.
    """

    def __init__(self, message: str, *, refusals: tuple[CoinslotError, ...] = ()) -> None:
        super().__init__(message)
        self.refusals = refusals


class OverLimit(WalletError):
    """The price is above what the wallet may pay at once.

    `price` includes the fee; both amounts are in the asset's own unit.
    """

    def __init__(self, message: str, *, price: Decimal | None = None, limit: Decimal | None = None) -> None:
        super().__init__(message)
        self.price = price
        self.limit = limit


class UnsafeOrigin(WalletError):
    """A challenge that came over plain http, or for another realm than the host that sent it."""


class ChallengeExpired(WalletError):
    """The challenge's time is over, or too short to pay in."""


class UnexpectedTerms(WalletError):
    """The chain, currency or recipient is not one that the wallet was told to expect."""


class InsufficientFunds(WalletError):
    """The account holds less than the price and its fee."""


class BodyNotReplayable(WalletError):
    """The request's body could not be kept to be sent again with the payment, so nothing was paid."""


class PaymentUndecided(WalletError):
    """A payment was presented and no answer says whether it went through.

    Nothing more was paid. `payment` is what was presented, a `coinslot.client.PaymentRecord` (its `repr`
    shows no secret). Sending the same request again with `extensions={"payment": error.payment}` presents
    the same credential, and so finds out without paying twice. It is None if the method itself raised this
    before there was a credential.
    """

    def __init__(self, message: str, *, payment: object = None) -> None:
        super().__init__(message)
        self.payment = payment
