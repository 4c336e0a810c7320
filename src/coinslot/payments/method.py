"""What a payment method is: the contract between Coinslot and a way of paying.

Anyone can write a method outside this package. A server method and a client method share a `name` (the
wire's `method`) and an `intent`; each needs nothing but the members below. The optional capabilities are
looked for by name, so a method that has no use for one just leaves it out.

    prepare    the price, as what this method puts into a challenge      at start-up, pure
    canonical  a payload's one true form, or a refusal                   per credential, pure
    verify     every check there is; moves no money                      per new payment, may ask the world
    settle     moves the money, at most once for each `Proof.key`        per new payment
    look_up    what became of a proof that was sent                      after a crash or a lost answer
    draw       an offer of its own for one challenge                     per challenge, pure
    repay      money back to its payer                                   per refund
    tend       what has to be done between payments                      in the background
    check      whether its world answers                                 when its health is asked for
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from msgspec import Struct, field

from coinslot.protocol import Challenge, Credential, JSONObject

if TYPE_CHECKING:
    from coinslot.payments.desk import Desk


class Price(Struct, frozen=True, kw_only=True):
    """What a seller asks, before a method has turned it into a request.

    `amount` is a decimal string in the currency's own unit (`"0.01"`). `description` is for people;
    `external_id` is the seller's own reference (draft-payment-intent-charge §Shared Fields).
    """

    amount: str
    description: str | None = None
    external_id: str | None = None


class Offer(Struct, frozen=True, kw_only=True):
    """A price as one method asks for it.

    `request` is the challenge's `request` object; `amount` is in base units; `currency` is the method's own
    name for it. One that `is_drawn` is a pattern: each challenge gets an offer of its own (`DrawsOffers`).
    """

    request: JSONObject
    amount: int
    currency: str
    is_drawn: bool = False


class Recovery(Struct, frozen=True):
    """What a method needs to find a payment again, in its own encoding. Never shown by `repr`."""

    data: bytes = b""

    def __repr__(self) -> str:
        return f"Recovery(<{len(self.data)} bytes>)"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        # msgspec's own would show the data wherever rich prints a traceback.
        return [("size", len(self.data))]


class Proof(Struct, frozen=True, kw_only=True):
    """A verified promise of money: what is written down before the world is asked.

    `key` is canonical and unique for ever (`method:network:transaction`). `reference` is what a look-up goes
    by, known before settlement. `amount` is in base units.
    """

    key: str
    reference: str
    amount: int
    currency: str
    recipient: str | None = None
    payer: str | None = None
    recovery: Recovery = Recovery()


class Settled(Struct, frozen=True, kw_only=True):
    """The money moved. `reference` goes into the receipt; `payer` is who the world says paid."""

    reference: str
    payer: str | None = None
    extra: dict[str, str] = field(default_factory=dict)


class Failed(Struct, frozen=True, kw_only=True):
    """The money did not move, and never will for this proof. `reason` is one sentence for the payer."""

    reason: str
    slug: str = "verification-failed"


class NotSent(Struct, frozen=True, kw_only=True):
    """Nothing reached the world; the proof is as good as it was. `reason` is for the operator's log.

    From `look_up` it means: the world does not know this proof, and could still accept it. `recovery`, if
    given, is written down in place of the proof's.
    """

    reason: str
    recovery: Recovery | None = None


class Unknown(Struct, frozen=True, kw_only=True):
    """It was sent, or may have been, and there is no answer. `reason` is for the operator's log.

    `recovery`, if given, is written down in place of the proof's: what is known by now of where to look.
    `reference` is the world's name for a refund that is on its way.
    """

    reason: str
    recovery: Recovery | None = None
    reference: str | None = None


Settlement: TypeAlias = Settled | Failed | NotSent | Unknown


@runtime_checkable
class ServerMethod(Protocol):
    """The seller's half of a method."""

    @property
    def name(self) -> str:
        """The wire's `method`, lower-case letters."""
        ...

    @property
    def intent(self) -> str:
        """The wire's `intent`, such as `charge`."""
        ...

    def prepare(self, price: Price) -> Offer | None:
        """The offer for this price, or None where this method cannot take it (below a minimum, say).

        Called once for a fixed price. Raises `AmountError` or `ConfigurationError`.
        """
        ...

    def canonical(self, payload: JSONObject) -> JSONObject:
        """The payload checked against the method's schema, in the one form that all its spellings share.

        A payment is known by this form: hex case and order of members must not make a second one.
        Raises `InvalidPayload`.
        """
        ...

    async def verify(self, credential: Credential, request: JSONObject) -> Proof:
        """Check everything that can be checked without moving money.

        `credential.payload` is in canonical form and `request` is the decoded challenge request; both the
        challenge's origin and its expiry are already established. Raises a `PaymentError`: a refusal if the
        proof is bad, `PaymentUnavailable` if the check could not be made, `NotApplied` if money has come that
        is for this challenge and cannot be accepted (too late, too little): that is kept for a refund.
        """
        ...

    async def settle(self, proof: Proof) -> Settlement:
        """Move the money. Called again for the same `proof.key` only after `look_up` said `NotSent`.

        An exception counts as `Unknown`.
        """
        ...


@runtime_checkable
class DrawsOffers(Protocol):
    """A server method some of whose offers differ from challenge to challenge: in a memo, or an address."""

    async def draw(self, offer: Offer) -> Offer | None:
        """A new offer like this one, for one challenge. None: there is none to be had right now.

        It must not ask the world, since whoever asks for a challenge has not paid for anything.
        """
        ...

    def pinned(self, request: JSONObject) -> JSONObject:
        """What all requests drawn from one offer have in common."""
        ...


@runtime_checkable
class MovesFirst(Protocol):
    """A server method some of whose payloads tell of money that has moved before they are presented."""

    def has_moved(self, payload: JSONObject) -> bool:
        """Whether this one does, in canonical form.

        Then it is not refused for being shown late: `verify` says whether the money moved in time.
        """
        ...


@runtime_checkable
class LooksUp(Protocol):
    """A server method that can say what became of a proof. Without it an unknown outcome stays unknown."""

    async def look_up(self, proof: Proof) -> Settlement:
        """What became of it. Read-only."""
        ...


@runtime_checkable
class Completes(Protocol):
    """A server method that settles with a secret which the ledger should never hold.

    Its proofs are written down without it. As a payment is settled only while its credential is at hand, the
    secret can be taken from there each time.
    """

    def complete(self, proof: Proof, credential: Credential) -> Proof:
        """The proof as `settle` is to have it. It is used once and not kept. Pure.

        `credential` is the one that the proof was made from.
        """
        ...


class Repayment(Struct, frozen=True, kw_only=True):
    """Money that is to go back. `amount` is in base units, at most what `paid` has.

    `key` is unique for ever: the world is asked under it. `paid` is the payment, whose `reference` is the
    settled one. `recovery` is what `draft_repayment` returned; `reference` is the world's name for the
    refund, once it has one.
    """

    key: str
    challenge_id: str
    paid: Proof
    amount: int
    recovery: Recovery = Recovery()
    reference: str | None = None


@runtime_checkable
class Repays(Protocol):
    """A server method that can send money back."""

    async def draft_repayment(self, repayment: Repayment) -> Recovery:
        """What it takes to send it once, and to find it again. It is written down before `repay`.

        Raises `RefundError` if it cannot be done; then nothing is written. Moves no money.
        """
        ...

    async def repay(self, repayment: Repayment) -> Settlement:
        """Send it, at most once for each `repayment.key`. An exception counts as `Unknown`.

        `Settled`: the payer has it. `Unknown`: it may be on its way, and `look_up_repayment` is asked later;
        its `reference`, if it has one, is written down.
        """
        ...

    async def look_up_repayment(self, repayment: Repayment) -> Settlement:
        """What became of it. `NotSent`: the world does not know it, and could still do it."""
        ...


class Movement(Struct, frozen=True, kw_only=True):
    """Money that the world says came in, or went back. `reference` is the payment's, or the refund's."""

    reference: str
    amount: int
    currency: str
    at: float
    payer: str | None = None
    is_refund: bool = False


@runtime_checkable
class Audits(Protocol):
    """A server method that can say what the world knows, for comparison with the ledger."""

    def movements(self, *, since: float, until: float, recipients: frozenset[str]) -> AsyncIterator[Movement]:
        """What moved from `since` to `until`, in Unix seconds. Read-only.

        `recipients` are those that the ledger's payments of that time name, beside the method's own.
        """
        ...


@runtime_checkable
class Keeps(Protocol):
    """A server method that needs the ledger for more than payments: it keeps records, or finds money."""

    def keep(self, desk: Desk) -> None:
        """Have this desk from now on. Called each time the paywall opens, before anything else."""
        ...


@runtime_checkable
class Tends(Protocol):
    """A server method with something to do between payments, in every worker."""

    async def tend(self) -> float:
        """Do what is due; returns the seconds after which to be asked again.

        The first round is over before the first request, unless it takes long. What one worker should do at
        a time is done under `Desk.alone`. An exception is logged, and it is asked again later.
        """
        ...


@runtime_checkable
class Checks(Protocol):
    """A server method that can tell whether its world answers."""

    async def check(self) -> None:
        """Ask it the lightest question there is. Raises a `CoinslotError` if there is no good answer."""
        ...


@runtime_checkable
class Closes(Protocol):
    """A method, of either half, that holds connections."""

    async def aclose(self) -> None:
        """Let go of them."""
        ...


class Share(Struct, frozen=True, kw_only=True):
    """A part of a price that goes to somebody else than its recipient. `amount` is in the currency's unit."""

    recipient: str
    amount: Decimal


class Quote(Struct, frozen=True, kw_only=True):
    """What a challenge would cost, as the wallet's limits are asked about it.

    `amount` is exact and in the currency's unit, `base_units` the same as the wire has it. `asset` is a short
    name for people (`pathUSD`); `fee` is the most that paying may cost beside it, in the same unit. `shares`
    are parts of `amount`: what they leave goes to `recipient`.
    """

    amount: Decimal
    base_units: int
    asset: str
    currency: str
    network: str
    recipient: str | None = None
    fee: Decimal = Decimal(0)
    shares: tuple[Share, ...] = ()


class Payload(Struct, frozen=True, kw_only=True):
    """A proof, ready to be sent: the credential's `payload` and `source`. Never shown by `repr`.

    `reference` is what the payer can look for afterwards (a transaction hash). `lapses` is for `is_dead`: if
    this proof has taken nothing by then, in Unix seconds, it never will.
    """

    payload: JSONObject
    source: str | None = None
    reference: str | None = None
    lapses: int | None = None

    def __repr__(self) -> str:
        return f"Payload(<redacted>, source={self.source!r}, reference={self.reference!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("source", self.source), ("reference", self.reference)]


@runtime_checkable
class ClientMethod(Protocol):
    """The buyer's half of a method."""

    @property
    def name(self) -> str:
        """The wire's `method`."""
        ...

    @property
    def intent(self) -> str:
        """The wire's `intent`."""
        ...

    async def quote(self, challenge: Challenge) -> Quote | None:
        """What it would cost, or None if this wallet cannot pay it (another chain, say). Signs nothing.

        Raises `UnexpectedTerms` if it could pay, and was told not to on such terms.
        """
        ...

    async def pay(self, challenge: Challenge) -> Payload:
        """Make the proof. Raises a `WalletError` such as `InsufficientFunds`.

        Raising means that no money moved for this challenge, and that none will. A method that moves it here,
        and cannot tell whether it did, returns its payload all the same: the server finds out, or `is_dead`
        does. A wallet whose caller goes away meanwhile waits for the end of this, so it has to end in time.
        Where it is cancelled nevertheless, because the event loop itself ends, letting `CancelledError` out
        is raising too.
        """
        ...


@runtime_checkable
class Revokes(Protocol):
    """A client method that can tell when a proof it made can no longer take money."""

    async def is_dead(self, payload: Payload) -> bool:
        """True only if it is certain that this proof took nothing and never will."""
        ...
